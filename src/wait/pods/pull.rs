//! Decides whether an image that could not be pulled can be pulled later.
//!
//! Sources: `pkg/kubelet/images/types.go` and `image_manager.go` of Kubernetes, `pkg/errors` of cri-api (reasons);
//! `core/remotes/docker` and `core/remotes/errors` of containerd (texts). The kubelet passes containerd's text on
//! unchanged, and containerd uses the same status code for most failures: only the text distinguishes them. The verdict
//! for an unknown text is "not yet".

/// The consequence of a failed pull for a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// No further pull succeeds until somebody changes the image, the registry or the credentials.
    ForGood,
    /// A later pull may succeed, or the text does not decide.
    NotYet,
}

/// Reasons of a waiting container whose image could not be pulled, or whose pull was not tried.
pub(super) const REASONS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// Reasons after which the kubelet's next try must fail, too.
const FOR_GOOD: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "SignatureValidationFailed"];

/// Texts of temporary failures. They take precedence over [`DENIED`] and [`ABSENT`], because a registry's own text may
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

/// Texts of a registry that refuses the image to these credentials.
const DENIED: [&str; 2] = ["pull access denied", "authorization failed"];

/// Texts of a registry that does not have the image, and of a resolver that does not know the registry.
const ABSENT: [&str; 3] = ["no such host", "no match for platform in manifest", "manifest unknown"];

/// Decides from the reason of the waiting container and the texts of the failed pull.
pub(super) fn failed(reason: &str, text: &str) -> Failed {
    let passing = || PASSING.iter().any(|words| text.contains(words)) || codes(text).any(passes);
    let gone = || {
        let is_refused = DENIED.iter().chain(&ABSENT).any(|words| text.contains(words));
        is_refused || is_not_found(text) || codes(text).any(|code| matches!(code, 401 | 403 | 404))
    };
    match () {
        () if FOR_GOOD.contains(&reason) => Failed::ForGood,
        () if passing() => Failed::NotYet,
        () if gone() => Failed::ForGood,
        () => Failed::NotYet,
    }
}

/// Whether the registry's name can never resolve: it is below `invalid` (RFC 6761, section 6.4). A machine without name
/// servers reports "server misbehaving" for such a name, too.
pub(super) fn is_nowhere(image: &str) -> bool {
    let host = image.split_once('/').map_or("", |(host, _)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.ends_with(".invalid")
}

/// Whether the message has the cause. `ImagePullBackOff` reads `Back-off pulling image "IMAGE": ErrImagePull: CAUSE`; a
/// kubelet that restarted during the back-off has lost the cause.
pub(super) fn has_cause(reason: &str, message: &str) -> bool {
    reason != "ImagePullBackOff" || message.contains("\": ")
}

/// Whether the kubelet's text can be about this image; it may be about another one if the pod was changed since. Texts
/// name the image, with the default tag if it has no tag (`applyDefaultImageTag`).
pub(super) fn is_about(text: &str, image: &str) -> bool {
    named(text).is_none_or(|named| is_named(named, image))
}

/// Whether the kubelet's text names this image.
pub(super) fn names(text: &str, image: &str) -> bool {
    named(text).is_some_and(|named| is_named(named, image))
}

/// Prefixes of the kubelet's texts before the name of the image.
const PREFIXES: [&str; 4] = [
    "Back-off pulling image \"",
    "Failed to pull image \"",
    "Failed to apply default image tag \"",
    "couldn't parse image name \"",
];

/// The image that a text names. None also if the kubelet's notation differs from the pod's: Go's `%q` escapes
/// characters.
fn named(text: &str) -> Option<&str> {
    Some(PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)?.split_once('"'))?.0)
        .filter(|named| !named.contains('\\'))
}

fn is_named(named: &str, image: &str) -> bool {
    named.strip_prefix(image).is_some_and(|tag| matches!(tag, "" | ":latest"))
}

/// Whether the registry answered 404 for the manifest: containerd resolves the name and ends the text with it.
fn is_not_found(text: &str) -> bool {
    text.contains("failed to resolve") && text.trim_end().ends_with(": not found")
}

/// The HTTP status codes in a text such as `unexpected status from HEAD request to URL: 503 Service Unavailable`.
fn codes(text: &str) -> impl Iterator<Item = u16> {
    text.split("unexpected status").skip(1).filter_map(|rest| {
        rest.split(": ").skip(1).find_map(|part| {
            let digits = part.get(..3)?;
            let whole = !part[3..].starts_with(|c: char| c.is_ascii_alphanumeric());
            digits.parse::<u16>().ok().filter(|code| whole && (100..600).contains(code))
        })
    })
}

/// Whether a status is temporary: 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and 5xx (RFC 9110, RFC
/// 6585).
fn passes(code: u16) -> bool {
    matches!(code, 408 | 425 | 429 | 500..)
}
