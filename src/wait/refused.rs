//! Decides from a controller's text whether the API refused an object permanently.
//!
//! Controllers keep only the error's text, in conditions and events; the status code is lost. Sources:
//! `apimachinery/pkg/api/errors` (`is forbidden: `, `is invalid: `), the admission plugins `PodSecurity`,
//! `LimitRanger`, `ResourceQuota`, `ServiceAccount` and `Priority`.

/// Reason of the event that a controller sends about each refused pod (`FailedCreatePodReason` of
/// `pkg/controller/controller_utils.go`; the other controllers use the same reason).
pub(super) const REASON: &str = "FailedCreate";

/// Texts of refusals that no retry changes: they follow from the object and from the cluster's configuration.
const FOR_GOOD: [&str; 4] =
    ["violates PodSecurity ", " usage per ", ": must specify ", "no PriorityClass with name "];

/// Whether a refusal with this text remains until somebody changes something.
///
/// Some refusals are temporary: a quota is freed, a webhook comes back or decides otherwise, a service account is
/// created shortly after its namespace. An unknown text counts as temporary.
pub(super) fn for_good(message: &str) -> bool {
    // A webhook's own text may contain anything.
    if message.contains("admission webhook ") || message.contains("failed calling webhook ") {
        return false;
    }
    let forbidden = message.split_once("\" is forbidden: ").map(|(_, why)| why);
    let known = |why: &str| FOR_GOOD.iter().any(|words| why.contains(words));
    forbidden.is_some_and(known) || message.contains("\" is invalid: ")
}
