//! Why a manifest cannot be read, applied or deleted.

use std::fmt;
use std::time::Duration;

use super::Place;
use super::kinds::{group, is_own};
use crate::client::ApiError;
use crate::wait::WaitError;

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
    /// Several things are wrong.
    #[error("{} faults: {}", .faults.len(), listed(.faults))]
    Several {
        /// Each with its place, in the order of the file.
        faults: Vec<Self>,
    },
    /// Several things failed, each of which left the others as they are: the file is good.
    #[error("{} failures: {}", .failures.len(), listed(.failures))]
    Each {
        /// They, in the order in which they came.
        failures: Vec<Self>,
    },
    /// The cluster does not know the kind.
    #[error("{place}: the cluster does not serve kind {kind} in {api_version}{}", elsewhere(.served))]
    UnknownKind {
        /// The place.
        place: Box<Place>,
        /// The kind.
        kind: String,
        /// Its `apiVersion`.
        api_version: String,
        /// Each `apiVersion` in which the cluster serves a kind of this name, those of the same group first.
        served: Vec<String>,
    },
    /// The API of the kind is another server's, and that one is not available.
    #[error("{place}: the server of {api_version} is away: {reason}")]
    Away {
        /// The place.
        place: Box<Place>,
        /// The `apiVersion` that it serves.
        api_version: String,
        /// What the APIService says of it.
        reason: String,
    },
    /// The API does not serve the kinds that a definition of the manifest defines.
    #[error("{place}: the kind that it defines is not served")]
    NotEstablished {
        /// The definition.
        place: Box<Place>,
        /// What was seen last.
        #[source]
        source: Box<WaitError>,
    },
    /// An error after some objects were applied: they are there.
    #[error("{source}; applied are {}", some(.applied))]
    Partly {
        /// Kind and name of what was applied.
        applied: Vec<String>,
        /// The error.
        source: Box<Self>,
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
    /// It goes with what it holds, and that is not seatrial's.
    #[error("{place}: it holds what seatrial did not make, so it stays: {}", some(.held))]
    Holds {
        /// The namespace, or the definition of a kind.
        place: Box<Place>,
        /// Kind and name of each object, with its namespace.
        held: Vec<String>,
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

fn elsewhere(served: &[String]) -> String {
    if served.is_empty() { String::new() } else { format!("; it serves one in {}", served.join(", ")) }
}

/// The first of many, and how many more there are.
fn some(texts: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = texts.len().saturating_sub(SHOWN);
    let shown = texts[..texts.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The first faults in one line, and how many more there are.
fn listed(faults: &[ManifestError]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    if faults.len() > SHOWN {
        shown.push(format!("and {} more", faults.len() - SHOWN));
    }
    shown.join("; ")
}

/// Whether the first of the served versions has the same kind as another version. Kinds of Kubernetes went from one of
/// its groups to another; a kind of the same name in anybody else's group is another one.
fn is_same(api_version: &str, served: &[String]) -> bool {
    let is_kubernetes = |api_version: &str| is_own(api_version) || group(api_version) == "extensions";
    served.first().is_some_and(|served| {
        group(served) == group(api_version) || is_kubernetes(served) && is_kubernetes(api_version)
    })
}

fn held_by(objects: &[String]) -> String {
    if objects.is_empty() { String::new() } else { format!(", held by {}", objects.join(", ")) }
}

impl ManifestError {
    /// The error itself, without what was applied before it.
    pub fn cause(&self) -> &Self {
        if let Self::Partly { source, .. } = self { source.cause() } else { self }
    }

    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Partly { source, .. } => source.hint(),
            Self::Each { failures } => {
                let mut hints: Vec<String> = failures.iter().filter_map(Self::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| some(&hints))
            }
            Self::UnknownKind { place, served, api_version, .. } if is_same(api_version, served) => {
                Some(format!("write `apiVersion: {}` in {}:{}", served[0], place.file, place.line))
            }
            Self::UnknownKind { api_version, .. } if !is_own(api_version) => Some(format!(
                "kubectl api-resources --api-group {}    # where it has no kind, what defines it is missing",
                group(api_version)
            )),
            Self::Away { api_version, .. } => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                Some(format!("kubectl describe apiservice {version}.{group}"))
            }
            Self::UnknownKind { kind, .. } => {
                Some(format!("kubectl api-resources | grep -w {kind}    # what the cluster serves"))
            }
            Self::Holds { .. } => Some(
                "move those objects, or delete them where nobody needs them, and delete the manifest again"
                    .into(),
            ),
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
