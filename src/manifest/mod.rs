//! Manifests: YAML files of Kubernetes objects, read, made a test's own, applied and deleted.
//! Every error names file, line, document, kind and name.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

mod apply;
mod check;
mod delete;
mod error;
mod faults;
mod folder_users;
mod held;
mod host_folder;
mod images;
mod kinds;
mod localise;
mod namespace;
mod read;
mod yaml;

pub use apply::{Applied, apply, force_apply};
pub use delete::{delete, delete_exact};
pub use error::{ManifestError, OwnedField};
pub use host_folder::{HostFolder, HostFolderError, Leftover};
pub use images::ImageElsewhere;
pub use localise::{ForeignReference, Localised, NAMESPACE_LABEL, Renamed};
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
    /// The line that the object starts at, from 1; of what is wrong, the line of the field.
    pub line: u64,
    /// Number of the document from 1; empty ones and ones with comments only are not counted. 0 where the
    /// file itself is meant.
    pub document: usize,
    /// Number from 1 within `items`, where the document is a list.
    pub item: Option<usize>,
    /// Its kind; empty where there is none.
    pub kind: String,
    /// Its name; its `generateName` with `*` where it has only that; empty where there is none.
    pub name: String,
}

impl Manifest {
    /// Reads the objects of a text, YAML or JSON, with any number of documents. `List` and lists of a kind, such as
    /// `ConfigMapList`, are flattened. The text is read as `kubectl` reads it: `0644` is octal, `on` is true, a number
    /// for a key is its text. A key that `kubectl` would read as another text is an error, and so is one given twice.
    /// CRLF is read, and a byte order mark. Aliases, depth and size have budgets.
    ///
    /// Fields that hold texts by key (labels, annotations, selectors, the data of a ConfigMap) and sizes are checked
    /// where the schema of Kubernetes' own kinds has them.
    ///
    /// # Errors
    /// [`ManifestError::Yaml`], [`ManifestError::Wrong`]; [`ManifestError::Several`] with all that is wrong.
    pub fn read(file: &str, text: &str) -> Result<Self, ManifestError> {
        Ok(Self { objects: read::objects(file, text)? })
    }

    /// As [`Manifest::read`], from the bytes of a file.
    ///
    /// # Errors
    /// Those of [`Manifest::read`]; [`ManifestError::Yaml`] for bytes that are not UTF-8. UTF-16 and UTF-32 are named.
    pub fn read_bytes(file: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::read(file, read::text_of(file, bytes)?)
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

    /// Replaces images by exact name in the pods of Kubernetes' own kinds: of containers, init containers and
    /// ephemeral ones, and those that are mounted (`volumes[].image.reference`). An image without an entry is left
    /// alone. Returns the pairs that were used, each once.
    ///
    /// Custom resources are left as they are, since only their own controllers know what their fields mean:
    /// [`Manifest::images_of_custom_resources`] lists them.
    pub fn substitute_images(&mut self, map: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let mut used = Vec::new();
        for object in &mut self.objects {
            images::substitute(object, map, &mut used);
        }
        used
    }

    /// The images that custom resources name in fields called `image`. They are not substituted.
    pub fn images_of_custom_resources(&self) -> Vec<ImageElsewhere> {
        self.objects.iter().flat_map(images::elsewhere).collect()
    }

    /// Makes the manifest a test's own, so that several may stand side by side in one cluster.
    ///
    /// Namespaced objects go into `namespace`. Volumes and storage classes get `-suffix` on their
    /// names, `labels` and [`NAMESPACE_LABEL`]. Storage classes that a volume of this manifest
    /// names get the suffix too, in volumes, claims and claim templates alike: the pair can only
    /// bind to each other, and the controller still chooses, so that the claim carries what a
    /// chosen binding carries (`bound-by-controller`). A hostPath stays as it is. A storage class that is the default
    /// one is so for the claims of this manifest only: [`Localised::defaults`].
    ///
    /// References to another namespace inside objects (subjects of bindings, addresses of Services in arguments,
    /// environments, ConfigMaps and Secrets, Secrets of volumes and storage classes, sources of claims, services that
    /// the API server calls) follow where they mean an object of this
    /// manifest. All others, and selectors of namespaces by name, are left and given in [`Localised::foreign`].
    ///
    /// # Errors
    /// [`ManifestError::Wrong`] for an object that names another namespace, or one of a
    /// cluster-scoped kind that cannot be renamed; [`ManifestError::Several`] for several.
    pub fn localise(
        &mut self,
        namespace: &str,
        suffix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Localised, ManifestError> {
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

    /// Its `metadata.generateName`, where it has no name: the API gives it one.
    pub fn generate_name(&self) -> Option<&str> {
        self.body["metadata"]["generateName"].as_str().filter(|_| self.name().is_empty())
    }

    /// Its namespace, where it names one: an empty one is none, as templates leave it.
    pub fn namespace(&self) -> Option<&str> {
        self.body["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
    }

    /// Whether it is of this kind: another group's kind of the name is another one.
    fn is(&self, group: &str, kind: &str) -> bool {
        self.kind() == kind && kinds::group(self.api_version()) == group
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.document == 0 {
            return Ok(());
        }
        write!(f, ": document {}", self.document)?;
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

/// Whether seatrial made an object: it is one of the field managers. A label may be anybody's. Where seatrial applied to
/// what was there before, the manager is another one ([`GUEST`]).
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    managers.into_iter().any(|manager| manager == FIELD_MANAGER)
}
