//! Why a manifest cannot be read, applied or deleted.

use std::fmt;
use std::time::Duration;

use super::Place;
use super::kinds::{group, is_own};
use crate::client::ApiError;
use crate::hint::{FailureKind, Hint};
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
        /// The place; kind and name if the text shows them.
        place: Box<Place>,
        /// The parser's reason, in one line.
        why: String,
    },
    /// A document is not an object, or not an object that a test may apply.
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
    /// Several objects failed, each without effect on the others: the file itself is valid.
    #[error("{} failures: {}", .failures.len(), listed(.failures))]
    Each {
        /// The failures, in the order in which they happened.
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
    /// The kind belongs to an aggregated API server that is unavailable.
    #[error("{place}: the API server of {api_version} is unavailable: {reason}")]
    Away {
        /// The place.
        place: Box<Place>,
        /// The `apiVersion` that it serves.
        api_version: String,
        /// The reason from the condition of its APIService.
        reason: String,
    },
    /// The API does not serve the kinds that a CustomResourceDefinition of the manifest defines.
    #[error("{place}: the kind that it defines is not served")]
    NotEstablished {
        /// The definition.
        place: Box<Place>,
        /// The last observation.
        #[source]
        source: Box<WaitError>,
    },
    /// An error after some objects were applied: these objects exist now.
    #[error("{source}; already applied: {}", some(.applied))]
    Partly {
        /// Kind and name of each applied object.
        applied: Vec<String>,
        /// The error.
        source: Box<Self>,
    },
    /// The API refused the object, or did not succeed before the deadline.
    #[error("{place}: failed to {doing} after {:.1} s", .waited.as_secs_f64())]
    Api {
        /// The place.
        place: Box<Place>,
        /// The failed operation, such as `apply it`.
        doing: &'static str,
        /// Time since the start of the operation.
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
    /// The API did not list its kinds before the deadline.
    #[error("failed to list the kinds of the cluster for {:.1} s", .waited.as_secs_f64())]
    Discovery {
        /// Time since the start of the operation.
        waited: Duration,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// The object still exists.
    #[error("{place}: failed to delete it")]
    Left {
        /// The place.
        place: Box<Place>,
        /// What blocks the deletion.
        #[source]
        source: Box<WaitError>,
    },
    /// The object stays, because a dependant of a deleted custom resource is left.
    #[error("{place}: it stays, because {dependant} is left, the owner of which is deleted")]
    Dependant {
        /// The place.
        place: Box<Place>,
        /// Kind and name of the dependant.
        dependant: String,
        /// What blocks its deletion.
        #[source]
        source: Box<WaitError>,
    },
    /// The namespace of a test cannot be created or removed.
    #[error("failed to {doing} namespace {namespace} after {:.1} s", .waited.as_secs_f64())]
    Namespace {
        /// Its name.
        namespace: String,
        /// The failed operation, such as `create`.
        doing: &'static str,
        /// Time since the start of the operation.
        waited: Duration,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// An object of this kind and name exists, and seatrial did not create it.
    #[error("{what}: seatrial did not create this object, so it stays")]
    NotOurs {
        /// Kind and name, with the place in the manifest if there is one.
        what: String,
    },
    /// An object of this kind and name exists before the manifest is applied.
    #[error("{place}: it exists already, and belongs to somebody else")]
    Exists {
        /// The place.
        place: Box<Place>,
    },
    /// Deletion would also remove contained objects that seatrial did not create.
    #[error("{place}: it holds objects that seatrial did not create, so it stays: {}", some(.held))]
    Holds {
        /// The namespace, or the CustomResourceDefinition.
        place: Box<Place>,
        /// Kind and name of each object, with its namespace.
        held: Vec<String>,
    },
    /// The namespace of a test did not reach the wanted state before the deadline.
    #[error("failed to {doing} namespace {namespace}{}", held_by(.held))]
    NamespaceWait {
        /// Its name.
        namespace: String,
        /// The failed operation, such as `delete`.
        doing: &'static str,
        /// The objects that block it, with their finalizers.
        held: Vec<String>,
        /// The last observation.
        #[source]
        source: Box<WaitError>,
    },
}

impl ManifestError {
    /// Whether nothing is known but that the API server gave no answer.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Api { source, .. } | Self::Discovery { source, .. } | Self::Namespace { source, .. } => {
                source.is_unanswered()
            }
            Self::NotEstablished { source, .. }
            | Self::Left { source, .. }
            | Self::Dependant { source, .. } => source.is_unanswered(),
            Self::NamespaceWait { source, held, .. } => held.is_empty() && source.is_unanswered(),
            Self::Partly { source, .. } => source.is_unanswered(),
            Self::Several { faults: all } | Self::Each { failures: all } => {
                all.iter().all(Self::is_unanswered)
            }
            _ => false,
        }
    }
}

fn elsewhere(served: &[String]) -> String {
    if served.is_empty() {
        String::new()
    } else {
        format!("; it serves a kind of that name in {}", served.join(", "))
    }
}

/// The first texts in one line, and the number of the others.
fn some(texts: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = texts.len().saturating_sub(SHOWN);
    let shown = texts[..texts.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The first faults in one line, and the number of the others.
fn listed(faults: &[ManifestError]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    if faults.len() > SHOWN {
        shown.push(format!("and {} more", faults.len() - SHOWN));
    }
    shown.join("; ")
}

/// Whether the first served version has the same kind as `api_version`. Kubernetes moved kinds between its own groups.
/// A kind of the same name in any other group is a different kind.
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
    /// The error itself, without the list of objects that were applied before.
    pub fn cause(&self) -> &Self {
        if let Self::Partly { source, .. } = self { source.cause() } else { self }
    }
}

impl Hint for ManifestError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self.cause() {
            Self::Conflict { .. } | Self::NotOurs { .. } | Self::Exists { .. } | Self::Holds { .. } => {
                FailureKind::Refused
            }
            Self::Yaml { .. } | Self::Wrong { .. } | Self::Several { .. } => FailureKind::Input,
            Self::Away { .. } => FailureKind::Unavailable,
            // A refusal will not change on a second try. Another failure may, so its kind is reported.
            Self::Each { failures } => {
                let mut all = failures.iter().filter_map(Hint::failure);
                all.find(|failure| *failure != FailureKind::Refused).unwrap_or(FailureKind::Refused)
            }
            _ => FailureKind::Internal,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Partly { source, .. } => source.hint(),
            Self::Each { failures } => {
                let mut hints: Vec<String> = failures.iter().filter_map(Hint::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| some(&hints))
            }
            Self::UnknownKind { place, served, api_version, .. } if is_same(api_version, served) => {
                Some(format!("write `apiVersion: {}` in {}:{}", served[0], place.file, place.line))
            }
            Self::UnknownKind { api_version, .. } if !is_own(api_version) => Some(format!(
                "kubectl api-resources --api-group {}    # without a kind, its CustomResourceDefinition is missing",
                group(api_version)
            )),
            Self::Away { api_version, .. } => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                Some(format!("kubectl describe apiservice {version}.{group}"))
            }
            Self::UnknownKind { kind, .. } => {
                Some(format!("kubectl api-resources | grep -w {kind}    # what the cluster serves"))
            }
            Self::Exists { place } => Some(format!(
                "delete {} {} from the cluster if nobody needs it, leave it out of the manifests, or use a new cluster",
                place.kind, place.name
            )),
            Self::Holds { .. } => Some(
                "move those objects, or delete them if nobody needs them, and delete the manifest again"
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
