//! Manifests: YAML files of Kubernetes objects, which are read, scoped to a test's namespace, applied and deleted.
//! Every error names file, line, document, kind and name.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::client::Client;
use crate::deadline::Deadline;

mod apply;
mod bound;
mod check;
mod collected;
mod delete;
mod elsewhere;
mod error;
mod exact;
mod faults;
mod folder_users;
mod held;
mod host_folder;
mod images;
mod inventory;
mod kinds;
mod namespace;
mod order;
mod read;
mod scope;
mod yaml;

pub use apply::{Applied, apply, force_apply};
pub use delete::{delete, delete_with_contents};
pub use error::{ManifestError, OwnedField};
pub use exact::delete_exact;
pub use host_folder::{HostFolder, HostFolderError, Leftover};
pub use images::ImageElsewhere;
pub use inventory::Inventory;
pub use namespace::{LeftNamespace, RUN_LABEL, TestNamespace};
pub use scope::{ForeignReference, Kept, NAMESPACE_LABEL, Renamed, Scoped};

/// The field manager that owns what seatrial applies.
pub const FIELD_MANAGER: &str = "seatrial";
/// The field manager for objects that seatrial changes but did not create; they are not seatrial's.
const GUEST: &str = "seatrial-guest";

/// The objects of a file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    objects: Vec<Object>,
}

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The place of the object in its file.
    pub place: Place,
    /// The object.
    pub body: Value,
}

/// The place of an object, such as `mysql.yaml:12: document 2, Deployment mysql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the file as passed to [`Manifest::read`].
    pub file: String,
    /// The first line of the object, from 1; for a fault, the line of the wrong field.
    pub line: u64,
    /// Number of the document from 1; empty documents and those with only comments are not counted. 0 means the file
    /// itself.
    pub document: usize,
    /// Number from 1 within `items` if the document is a list.
    pub item: Option<usize>,
    /// Its kind; empty if it has none.
    pub kind: String,
    /// Its name; its `generateName` with `*` if it has only that; empty if it has neither.
    pub name: String,
}

impl Manifest {
    /// Reads the objects of a text, YAML or JSON, with any number of documents. `List` and typed lists such as
    /// `ConfigMapList` are flattened. Values are read as `kubectl` reads them: `0644` is octal, `on` is true, a number
    /// as a key becomes its text. A key that `kubectl` would change is an error, and so is a duplicate key.
    /// CRLF line ends and a byte order mark are accepted. Aliases, depth and size have limits.
    ///
    /// For Kubernetes' own kinds, the read checks sizes and the fields that hold text by key (labels, annotations,
    /// selectors, the data of a ConfigMap).
    ///
    /// # Errors
    /// [`ManifestError::Yaml`] or [`ManifestError::Wrong`]; [`ManifestError::Several`] with all faults.
    pub fn read(file: &str, text: &str) -> Result<Self, ManifestError> {
        Ok(Self { objects: read::objects(file, text)? })
    }

    /// Like [`Manifest::read`], from the bytes of a file.
    ///
    /// # Errors
    /// Those of [`Manifest::read`]; [`ManifestError::Yaml`] for bytes that are not UTF-8, with the name of the encoding
    /// for UTF-16 and UTF-32.
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

    /// Leaves out objects that are not to be applied, and returns their places.
    pub fn leave_out(&mut self, is_out: impl Fn(&Object) -> bool) -> Vec<Place> {
        let out = self.objects.extract_if(.., |object| is_out(object));
        out.map(|object| object.place).collect()
    }

    /// Appends the other manifest's objects. A volume and a claim from two files stay a pair when they are scoped to a namespace
    /// together.
    pub fn join(mut self, other: Self) -> Self {
        self.objects.extend(other.objects);
        self
    }

    /// Replaces images by exact name in the pods of Kubernetes' own kinds: in containers, init containers, ephemeral
    /// containers, and mounted image volumes (`volumes[].image.reference`). An image without an entry is not changed.
    /// Returns the pairs that were used, each once.
    ///
    /// Custom resources are not changed, because only their controllers know what their fields mean:
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

    /// Scopes the manifest to the namespace of one test, to allow several copies in one cluster.
    ///
    /// Namespaced objects go into `namespace`. Volumes and storage classes get `-suffix` on their names, `labels` and
    /// [`NAMESPACE_LABEL`]. Storage classes that a volume of this manifest names get the suffix, too, in volumes,
    /// claims and claim templates alike. The pair can only bind to each other, and the volume controller still makes
    /// the binding: the claim has the same marks as after any such binding (`bound-by-controller`). A hostPath is not
    /// changed. A default storage class is the default for the claims of this manifest only: [`Scoped::defaults`].
    ///
    /// References to another namespace inside objects are changed if they mean an object of this manifest: subjects of
    /// bindings, addresses of Services in arguments, environments, ConfigMaps and Secrets, Secrets of volumes and
    /// storage classes, data sources of claims, services that the API server calls. All other references, and selectors
    /// of namespaces by name, are left unchanged and listed in [`Scoped::foreign`].
    ///
    /// # Errors
    /// [`ManifestError::Wrong`] for an object that names another namespace, or whose kind is cluster-scoped and cannot
    /// be renamed; [`ManifestError::Several`] for several.
    pub fn scope_to_namespace(
        &mut self,
        namespace: &str,
        suffix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Scoped, ManifestError> {
        scope::scope_to_namespace(&mut self.objects, namespace, suffix, labels)
    }

    /// Keeps all names and namespaces as they are, for a test that has the cluster to itself. Objects without a namespace
    /// go into `namespace`; references that mean one of them follow, as in [`Manifest::scope_to_namespace`]. Namespaces
    /// that the manifest names, that it does not declare, and that the cluster lacks are added to it. The objects are put
    /// into the order of their dependencies. Objects outside `namespace` get `labels` and [`NAMESPACE_LABEL`]: after a kill,
    /// [`TestNamespace::delete`] finds them.
    ///
    /// # Errors
    /// [`ManifestError::Wrong`] for a kind that describes the machines or is a request, such as Node.
    /// [`ManifestError::Exists`] for an object outside the new namespaces that exists already; [`ManifestError::Each`] for
    /// several. [`ManifestError::Discovery`] and [`ManifestError::Api`] if the API cannot be asked. Nothing was changed then.
    pub async fn keep_names(
        self,
        client: &Client,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        deadline: Deadline,
    ) -> Result<Kept, ManifestError> {
        scope::keep_names(client, self, namespace, labels, deadline).await
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

    /// Its `metadata.generateName` if it has no name: the API chooses the name.
    pub fn generate_name(&self) -> Option<&str> {
        self.body["metadata"]["generateName"].as_str().filter(|_| self.name().is_empty())
    }

    /// Its namespace. An empty one, as some templates write it, counts as missing.
    pub fn namespace(&self) -> Option<&str> {
        self.body["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
    }

    /// The spec of its pods: of Kubernetes' own kinds by their schema, of a custom resource `spec.template.spec`.
    pub(crate) fn pod_spec(&self) -> Option<&Value> {
        if !kinds::is_own(self.api_version()) {
            return self.body.pointer("/spec/template/spec");
        }
        let template = kinds::pod_template(self.api_version(), self.kind())?;
        let mut steps = template.split('.').filter(|step| !step.is_empty()).chain(["spec"]);
        steps.try_fold(&self.body, |value, step| value.get(step))
    }

    /// Whether it is of this group and kind. Another group's kind of the same name is a different kind.
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

/// Whether a kind of this `apiVersion` is one of Kubernetes' own. All others are custom resources, or kinds of aggregated
/// API servers.
pub(crate) fn is_own_kind(api_version: &str) -> bool {
    kinds::is_own(api_version)
}

/// Whether seatrial created an object: the field managers include seatrial's. A label proves nothing, because anybody
/// can set it. For objects of others that seatrial changes, the manager is [`GUEST`].
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    managers.into_iter().any(|manager| manager == FIELD_MANAGER)
}
