//! Part C: stateful identity, a StatefulSet.
//!
//! [`facts`] lists what each claim reads; the file of each claim lists its marks and the kinds of objects whose changes
//! it reads. A fact that was not observed makes its claim inconclusive. Where the order of events is judged, an
//! interrupted watch does so too.
//!
//! Order is checked twice: by the order of the watch's records, which is that of the API's resource versions, and by
//! the times that the API and the kubelets wrote into the objects.

use super::Claim;

#[cfg(not(feature = "internals"))]
pub(crate) mod claims;
#[cfg(feature = "internals")]
pub mod claims;
#[cfg(not(feature = "internals"))]
pub(crate) mod creation;
#[cfg(feature = "internals")]
pub mod creation;
pub mod facts;
#[cfg(not(feature = "internals"))]
pub(crate) mod history;
#[cfg(feature = "internals")]
pub mod history;
#[cfg(not(feature = "internals"))]
pub(crate) mod lost_node;
#[cfg(feature = "internals")]
pub mod lost_node;
#[cfg(not(feature = "internals"))]
pub(crate) mod network;
#[cfg(feature = "internals")]
pub mod network;
#[cfg(not(feature = "internals"))]
pub(crate) mod prediction;
#[cfg(feature = "internals")]
pub mod prediction;
#[cfg(not(feature = "internals"))]
pub(crate) mod refusal;
#[cfg(feature = "internals")]
pub mod refusal;
#[cfg(not(feature = "internals"))]
pub(crate) mod replacement;
#[cfg(feature = "internals")]
pub mod replacement;
#[cfg(not(feature = "internals"))]
pub(crate) mod scale;
#[cfg(feature = "internals")]
pub mod scale;
#[cfg(not(feature = "internals"))]
pub(crate) mod update;
#[cfg(feature = "internals")]
pub mod update;

/// C1: names are set name + ordinal 0..N-1, created in order.
pub static C1: Claim =
    Claim::new("C1", "names are set name + ordinal 0..N-1, created in order", creation::in_order)
        .watching(&["Pod"]);
/// C2: each pod has a stable network identity.
pub static C2: Claim = Claim::new("C2", "each pod has a stable network identity", network::judge);
/// C3: each pod has its own claim, made from the template, before the pod runs.
pub static C3: Claim = Claim::new(
    "C3",
    "each pod has its own claim, made from the template, before the pod runs",
    creation::own_claims,
)
.watching(&["PersistentVolumeClaim", "Pod"]);
/// C4: a replaced pod keeps name and claim, and finds its data.
pub static C4: Claim =
    Claim::new("C4", "a replaced pod keeps name and claim, and finds its data", replacement::judge)
        .watching(&["PersistentVolumeClaim", "Pod"]);
/// C5: scale down takes the highest ordinal first, one at a time.
pub static C5: Claim =
    Claim::new("C5", "scale down takes the highest ordinal first, one at a time", scale::down)
        .watching(&["Pod"]);
/// C6: scale down is refused while a pod is unhealthy.
pub static C6: Claim = Claim::new("C6", "scale down is refused while a pod is unhealthy", refusal::judge)
    .watching(&["Pod", "StatefulSet"]);
/// C7: claims survive scale down, and are found again.
pub static C7: Claim = Claim::new("C7", "claims survive scale down, and are found again", claims::judge)
    .watching(&["PersistentVolumeClaim"]);
/// C8: the pod that goes is known in advance, unlike a Deployment's.
pub static C8: Claim =
    Claim::new("C8", "the pod that goes is known before: unlike a Deployment's", prediction::judge)
        .watching(&["Pod"]);
/// C9: a pod on a dead node is not replaced until its node is declared out of service.
pub static C9: Claim = Claim::new(
    "C9",
    "a pod on a dead node is not replaced until its node is declared gone",
    lost_node::judge,
)
.watching(&["Node", "Pod", "StatefulSet"]);
/// C10: rolling update goes from the highest ordinal down, and `partition` holds the lower ones.
pub static C10: Claim = Claim::new(
    "C10",
    "rolling update goes from the highest ordinal down, and `partition` holds the lower ones",
    update::judge,
)
.watching(&["Pod", "StatefulSet"]);

/// The claims of part C.
pub static CLAIMS: [&Claim; 10] = [&C1, &C2, &C3, &C4, &C5, &C6, &C7, &C8, &C9, &C10];

/// Label with the name of the ControllerRevision that a pod was made from.
pub const REVISION: &str = "controller-revision-hash";
/// How many times the controller must have processed the set during a held state. Each pass is a generation of the set
/// that the controller observed.
pub const PASSES: usize = 5;
/// Minimum of seconds for which a held state must have been watched.
pub const HELD: f64 = 5.0;
