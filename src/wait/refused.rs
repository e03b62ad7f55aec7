//! Whether the API refused an object for good, from the text that a controller passes on.
//!
//! Controllers keep the error's text only, in conditions and events; the status code is lost. Sources:
//! `apimachinery/pkg/api/errors` (`is forbidden: `, `is invalid: `), the admission plugins `PodSecurity`,
//! `LimitRanger`, `ResourceQuota`, `ServiceAccount` and `Priority`.

/// Reason of the event that a controller sends about each pod that was refused (`FailedCreatePodReason` of
/// `pkg/controller/controller_utils.go`; the others name it so too).
pub(super) const REASON: &str = "FailedCreate";

/// Words of refusals that no retry changes: they follow from the object and from what somebody has set up.
const FOR_GOOD: [&str; 4] =
    ["violates PodSecurity ", " usage per ", ": must specify ", "no PriorityClass with name "];

/// Whether a refusal with this text stays as long as nobody changes anything.
///
/// A quota empties, a webhook comes back or changes its mind, a service account is made shortly after its namespace:
/// those are not for good, and neither is a text that no rule knows.
pub(super) fn for_good(message: &str) -> bool {
    // A webhook's own text may say anything.
    if message.contains("admission webhook ") || message.contains("failed calling webhook ") {
        return false;
    }
    let forbidden = message.split_once("\" is forbidden: ").map(|(_, why)| why);
    let known = |why: &str| FOR_GOOD.iter().any(|words| why.contains(words));
    forbidden.is_some_and(known) || message.contains("\" is invalid: ")
}
