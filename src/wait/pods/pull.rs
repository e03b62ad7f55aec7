//! Whether an image that could not be pulled can be pulled later.
//!
//! Sources: `pkg/kubelet/images/types.go` and `image_manager.go` of Kubernetes, `pkg/errors` of cri-api (reasons);
//! `core/remotes/docker` and `core/remotes/errors` of containerd (words). The kubelet passes containerd's text on
//! unchanged, and containerd gives most failures the same status code, so that only the words tell them apart. A text
//! that no rule knows is "not yet".

/// What a failed pull means for a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// No further pull succeeds until somebody changes the image, the registry or the credentials.
    ForGood,
    /// A later pull may succeed, or the text says too little.
    NotYet,
}

/// Reasons of a waiting container whose image could not be pulled, or was not even tried.
pub(super) const REASONS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// Reasons after which the kubelet's next try cannot have another result.
const FOR_GOOD: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "SignatureValidationFailed"];

/// Words of a failure that passes by itself. They win over [`DENIED`] and [`ABSENT`]: a registry's own text may
/// contain anything.
const PASSING: [&str; 16] = [
    "pull QPS exceeded",
    "toomanyrequests: ",
    "Too Many Requests",
    "rate limit",
    "connection refused",
    "connection reset by peer",
    "i/o timeout",
    "TLS handshake timeout",
    "deadline exceeded",
    "Client.Timeout exceeded",
    "context canceled",
    "server misbehaving",
    "Temporary failure in name resolution",
    "network is unreachable",
    "no route to host",
    "unexpected EOF",
];

/// Words of a registry that does not give the image to these credentials.
const DENIED: [&str; 2] = ["pull access denied", "authorization failed"];

/// Words of a registry that does not have the image, and of a resolver that does not know the registry.
const ABSENT: [&str; 3] = ["no such host", "no match for platform in manifest", "manifest unknown"];

/// Decides from the reason of the waiting container and the texts of the failed pull.
pub(super) fn failed(reason: &str, text: &str) -> Failed {
    let passing = || PASSING.iter().any(|words| text.contains(words)) || codes(text).any(passes);
    let gone = || {
        let told = DENIED.iter().chain(&ABSENT).any(|words| text.contains(words));
        told || is_not_found(text) || codes(text).any(|code| matches!(code, 401 | 403 | 404))
    };
    match () {
        () if FOR_GOOD.contains(&reason) => Failed::ForGood,
        () if passing() => Failed::NotYet,
        () if gone() => Failed::ForGood,
        () => Failed::NotYet,
    }
}

/// Whether no resolver can ever know the registry: its name lies below `invalid` (RFC 6761, section 6.4). A machine
/// without name servers says "server misbehaving" of such a name too.
pub(super) fn is_nowhere(image: &str) -> bool {
    let host = image.split_once('/').map_or("", |(host, _)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.ends_with(".invalid")
}

/// The cause in the message of `ImagePullBackOff`, which reads `Back-off pulling image "IMAGE": ErrImagePull: CAUSE`.
/// A kubelet that was restarted during the back-off has lost the cause.
pub(super) fn has_cause(reason: &str, message: &str) -> bool {
    reason != "ImagePullBackOff" || message.contains("\": ")
}

/// Whether the kubelet's text is not about another image than this one, as the pod was changed since. Texts name the
/// image, with the default tag where it has none (`applyDefaultImageTag`).
pub(super) fn is_about(text: &str, image: &str) -> bool {
    named(text).is_none_or(|named| is_named(named, image))
}

/// Whether the kubelet's text names this image.
pub(super) fn names(text: &str, image: &str) -> bool {
    named(text).is_some_and(|named| is_named(named, image))
}

/// Before the name of the image in the kubelet's texts.
const PREFIXES: [&str; 4] = [
    "Back-off pulling image \"",
    "Failed to pull image \"",
    "Failed to apply default image tag \"",
    "couldn't parse image name \"",
];

/// None also of a name that the kubelet writes in another way than the pod has it: Go's `%q` escapes signs in it.
fn named(text: &str) -> Option<&str> {
    Some(PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)?.split_once('"'))?.0)
        .filter(|named| !named.contains('\\'))
}

fn is_named(named: &str, image: &str) -> bool {
    named.strip_prefix(image).is_some_and(|tag| matches!(tag, "" | ":latest"))
}

/// The registry's answer to the manifest: containerd resolves the name, gets 404, and ends the text with it.
fn is_not_found(text: &str) -> bool {
    text.contains("failed to resolve") && text.trim_end().ends_with(": not found")
}

/// Status codes of HTTP answers. The text reads `unexpected status from HEAD request to URL: 503 Service Unavailable`.
fn codes(text: &str) -> impl Iterator<Item = u16> {
    text.split("unexpected status").skip(1).filter_map(|rest| {
        rest.split(": ").skip(1).find_map(|part| {
            let digits = part.get(..3)?;
            let whole = !part[3..].starts_with(|c: char| c.is_ascii_alphanumeric());
            digits.parse::<u16>().ok().filter(|code| whole && (100..600).contains(code))
        })
    })
}

/// 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and every trouble of a server (RFC 9110, RFC 6585).
fn passes(code: u16) -> bool {
    matches!(code, 408 | 425 | 429 | 500..)
}
