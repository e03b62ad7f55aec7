//! Manifests: YAML files of Kubernetes objects, read, made a test's own, applied and deleted.
//! Every error names file, line, document, kind and name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::client::ApiError;
use crate::wait::WaitError;

mod apply;
mod delete;
mod folder_users;
mod host_folder;
mod images;
mod localise;
mod namespace;
mod read;

pub use apply::{Applied, apply, force_apply};
pub use delete::{delete, delete_exact};
pub use host_folder::{HostFolder, HostFolderError};
pub use localise::{NAMESPACE_LABEL, Renamed};
pub use namespace::{LeftNamespace, RUN_LABEL, TestNamespace};

/// The field manager that owns what seatrial applies.
pub const FIELD_MANAGER: &str = "seatrial";
/// The field manager of what seatrial applies to an object that it did not make: such an object is not seatrial's.
const GUEST: &str = "seatrial-guest";

/// The objects of a file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    objects: Vec<Object>,
}

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Where it stands.
    pub place: Place,
    /// The object.
    pub body: Value,
}

/// Where an object stands: `mysql.yaml:12: document 2, Deployment mysql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named to [`Manifest::read`].
    pub file: String,
    /// Line that the document's content starts at, from 1; of a parse error, the line of the error.
    pub line: u64,
    /// Number of the document from 1; empty ones and ones with comments only are not counted.
    pub document: usize,
    /// Number from 1 within `items`, where the document is a `List`.
    pub item: Option<usize>,
    /// Its kind; empty where there is none.
    pub kind: String,
    /// Its name; empty where there is none.
    pub name: String,
}

impl Manifest {
    /// Reads the objects of a YAML text with any number of documents; `List`s are flattened. YAML
    /// is read as `kubectl` reads it: `0644` is octal, a key given twice is an error.
    ///
    /// # Errors
    /// [`ManifestError::Yaml`], [`ManifestError::Wrong`].
    pub fn read(file: &str, text: &str) -> Result<Self, ManifestError> {
        Ok(Self { objects: read::objects(file, text)? })
    }

    /// The objects, in the order of the file.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The first object of this kind and name.
    pub fn object(&self, kind: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|o| o.kind() == kind && o.name() == name)
    }

    /// This manifest's objects, then the other's, so that volume and claim from two files stay a
    /// pair when they are localised.
    pub fn join(mut self, other: Self) -> Self {
        self.objects.extend(other.objects);
        self
    }

    /// Replaces container images by exact name wherever a pod is described: containers, init
    /// containers, templates of any kind. An image without an entry is left alone. Returns the
    /// pairs that were used, each once.
    pub fn substitute_images(&mut self, map: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let mut used = Vec::new();
        for object in &mut self.objects {
            images::substitute(&mut object.body, map, &mut used);
        }
        used
    }

    /// Makes the manifest a test's own, so that several may stand side by side in one cluster.
    ///
    /// Namespaced objects go into `namespace`. Volumes and storage classes get `-suffix` on their
    /// names, `labels` and [`NAMESPACE_LABEL`]. Storage classes that a volume of this manifest
    /// names get the suffix too, in volumes, claims and claim templates alike: the pair can only
    /// bind to each other, and the controller still chooses, so that the claim carries what a
    /// chosen binding carries (`bound-by-controller`). A hostPath stays as it is.
    ///
    /// # Errors
    /// [`ManifestError::Wrong`] for an object that names another namespace, or one of a
    /// cluster-scoped kind that cannot be renamed.
    pub fn localise(
        &mut self,
        namespace: &str,
        suffix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Renamed>, ManifestError> {
        localise::localise(&mut self.objects, namespace, suffix, labels)
    }
}

impl Object {
    /// Its `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.body["apiVersion"].as_str().unwrap_or_default()
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        self.body["kind"].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.body["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its namespace, where it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.body["metadata"]["namespace"].as_str()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: document {}", self.file, self.line, self.document)?;
        if let Some(item) = self.item {
            write!(f, " item {item}")?;
        }
        match (self.kind.as_str(), self.name.as_str()) {
            ("", "") => Ok(()),
            ("", name) => write!(f, ", `{name}` without kind"),
            (kind, "") => write!(f, ", {kind} without name"),
            (kind, name) => write!(f, ", {kind} {name}"),
        }
    }
}

/// A field of an object that another field manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedField {
    /// The field, such as `.spec.replicas`.
    pub field: String,
    /// Its manager as the API names it, such as `"kubectl" with subresource "scale" using apps/v1`.
    pub manager: String,
}

impl fmt::Display for OwnedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field manager {} owns {}", self.manager, self.field)
    }
}

/// Why a manifest cannot be read, applied or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not YAML, or a key is given twice.
    #[error("{place}: {why}")]
    Yaml {
        /// The place; kind and name as far as they can be made out.
        place: Box<Place>,
        /// The parser's reason, in one line.
        why: String,
    },
    /// A document is no object, or not one that a test may apply.
    #[error("{place}: {why}")]
    Wrong {
        /// The place.
        place: Box<Place>,
        /// What is wrong.
        why: String,
    },
    /// The cluster does not know the kind.
    #[error("{place}: the cluster does not serve kind {kind} in {api_version}")]
    UnknownKind {
        /// The place.
        place: Box<Place>,
        /// The kind.
        kind: String,
        /// Its `apiVersion`.
        api_version: String,
    },
    /// The API refused the object, or gave no good answer before the deadline.
    #[error("{place}: failed to {doing} after {:.1} s", .waited.as_secs_f64())]
    Api {
        /// The place.
        place: Box<Place>,
        /// What was being done.
        doing: &'static str,
        /// How long was tried.
        waited: Duration,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// Other field managers own fields that the manifest sets to other values.
    #[error("{place}: {}", .owned.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Conflict {
        /// The place.
        place: Box<Place>,
        /// The fields.
        owned: Vec<OwnedField>,
    },
    /// The API gave no list of its kinds before the deadline.
    #[error("failed to ask the cluster for its kinds for {:.1} s", .waited.as_secs_f64())]
    Discovery {
        /// How long was tried.
        waited: Duration,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// The object is still there.
    #[error("{place}: failed to delete it")]
    Left {
        /// The place.
        place: Box<Place>,
        /// What holds it.
        #[source]
        source: Box<WaitError>,
    },
    /// The namespace of a test cannot be made or removed.
    #[error("failed to {doing} namespace {namespace} after {:.1} s", .waited.as_secs_f64())]
    Namespace {
        /// Its name.
        namespace: String,
        /// What was being done.
        doing: &'static str,
        /// How long was tried.
        waited: Duration,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// An object of this kind and name is there, and seatrial did not make it.
    #[error("{what}: seatrial did not make what is there, so it stays")]
    NotOurs {
        /// Kind and name, with the place in a manifest where there is one.
        what: String,
    },
    /// The namespace of a test did not get as far as it should.
    #[error("failed to {doing} namespace {namespace}{}", held_by(.held))]
    NamespaceWait {
        /// Its name.
        namespace: String,
        /// What was being done.
        doing: &'static str,
        /// The objects that hold it, with their finalizers.
        held: Vec<String>,
        /// What was seen last.
        #[source]
        source: Box<WaitError>,
    },
}

fn held_by(objects: &[String]) -> String {
    if objects.is_empty() { String::new() } else { format!(", held by {}", objects.join(", ")) }
}

/// Whether seatrial made an object: it is one of the field managers. A label may be anybody's. Where seatrial applied to
/// what was there before, the manager is another one ([`GUEST`]).
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    managers.into_iter().any(|manager| manager == FIELD_MANAGER)
}

impl ManifestError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKind { kind, .. } => {
                Some(format!("kubectl api-resources | grep -w {kind}    # what the cluster serves"))
            }
            Self::Conflict { place, .. } => Some(format!(
                "leave the fields out of {}, or take them over with `manifest::force_apply`",
                place.file
            )),
            Self::NamespaceWait { namespace, doing: "delete", .. } => Some(format!(
                "kubectl get namespace {namespace} -o yaml    # its conditions name what is left"
            )),
            _ => None,
        }
    }
}
