//! Part C: stateful identity, a StatefulSet.
//!
//! What each claim reads. "Object" is a Kubernetes object as the API gave it, "list" a list of them;
//! "history" is what the watch of pods recorded. A fact that was not observed makes its claim
//! inconclusive, and so does a watch that broke off where the order of events is judged.
//!
//! | claim | observed facts | marks, history |
//! |---|---|---|
//! | C1 | `set` object, `pods` list | `apply` to `applied` |
//! | C2 | see [`network`] | |
//! | C3 | `set` object, `pods`, `claims`, `volumes` lists, `nodes` that hold volumes | `apply` to `applied`; listing `before` |
//! | C4 | see [`replacement`] | |
//! | C5, C6, C8 | see [`scale`], [`refusal`], [`prediction`] | |
//! | C7 | see [`claims`] | |
//! | C9 | see [`lost_node`] | |
//! | C10 | see [`update`] | |
//!
//! Order is judged twice: by the order of the watch's records, which is that of the API's resource
//! versions, and by the times that the API and the kubelets wrote into the objects.

use super::Claim;

pub mod claims;
pub mod creation;
pub mod history;
pub mod lost_node;
pub mod network;
pub mod prediction;
pub mod refusal;
pub mod replacement;
pub mod scale;
pub mod update;

/// The claims of part C.
pub static CLAIMS: [Claim; 10] = [
    Claim {
        id: "C1",
        title: "names are set name + ordinal 0..N-1, created in order",
        watches: &["Pod"],
        judge: creation::in_order,
    },
    Claim { id: "C2", title: "each pod has a stable network identity", watches: &[], judge: network::judge },
    Claim {
        id: "C3",
        title: "each pod has its own claim, made from the template, before the pod runs",
        watches: &["PersistentVolumeClaim", "Pod"],
        judge: creation::own_claims,
    },
    Claim {
        id: "C4",
        title: "a replaced pod keeps name and claim, and finds its data",
        watches: &["PersistentVolumeClaim", "Pod"],
        judge: replacement::judge,
    },
    Claim {
        id: "C5",
        title: "scale down takes the highest ordinal first, one at a time",
        watches: &["Pod"],
        judge: scale::down,
    },
    Claim {
        id: "C6",
        title: "scale down is refused while a pod is unhealthy",
        watches: &["Pod", "StatefulSet"],
        judge: refusal::judge,
    },
    Claim {
        id: "C7",
        title: "claims survive scale down, and are found again",
        watches: &["PersistentVolumeClaim"],
        judge: claims::judge,
    },
    Claim {
        id: "C8",
        title: "the pod that goes is known before: unlike a Deployment's",
        watches: &["Pod"],
        judge: prediction::judge,
    },
    Claim {
        id: "C9",
        title: "a pod on a dead node is not replaced until its node is declared gone",
        watches: &["Node", "Pod", "StatefulSet"],
        judge: lost_node::judge,
    },
    Claim {
        id: "C10",
        title: "rolling update goes from the highest ordinal down, and `partition` holds the lower ones",
        watches: &["Pod", "StatefulSet"],
        judge: update::judge,
    },
];

/// Label with the name of the ControllerRevision that a pod was made from.
pub const REVISION: &str = "controller-revision-hash";
/// Passes of the controller that a held state must have seen: each is a generation of the set that
/// it observed.
pub const PASSES: usize = 5;
/// Seconds for which a held state must have been watched at least.
pub const HELD: f64 = 5.0;
