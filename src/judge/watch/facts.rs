//! The facts of a watch: what is recorded and asked, what could not be read, and what its claims expect.

use serde::{Deserialize, Serialize};

use crate::judge::Fact;

/// How a probe reaches its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From a node's network: kube-proxy leads the request to a pod.
    Node,
    /// Through the API server, which chooses an endpoint itself: kube-proxy is bypassed.
    ApiServer,
    /// From the host that watches, to a URL.
    Host,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Name of the probe in its samples.
    pub probe: String,
    /// How it reaches its target.
    pub way: Way,
    /// Whether the target answered steadily before the command began. Otherwise nothing is judged by this probe.
    pub steady: bool,
}

/// What the claims expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Longest outage of a probe in seconds.
    pub longest: f64,
    /// The share of a probe's requests that may fail, from 0 to 1. The number of requests is rounded up.
    pub failed: f64,
    /// How often one event may be repeated.
    pub repeats: i64,
    /// Seconds that a pod may be Pending without a known reason.
    pub pending: f64,
}

/// A kind that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The kind.
    pub kind: String,
    /// The namespace; none for a kind without namespaces.
    pub namespace: Option<String>,
    /// The API's answer.
    pub why: String,
}

/// A time in which nodes may be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// The mark at which the time begins; none for the beginning.
    pub from: Option<String>,
    /// The mark at which the time ends; none for the end.
    pub to: Option<String>,
}

/// The probes, recorded once, before the command begins.
pub const PROBES: Fact<Vec<Asked>> = Fact::new("watch_probes");
/// What is expected, recorded once.
pub const EXPECTED: Fact<Expected> = Fact::new("watch_expected");
/// What could not be read, recorded once.
pub const UNREAD: Fact<Vec<Unread>> = Fact::new("watch_unread");
/// When nodes may be away, recorded once.
pub const AWAY: Fact<Vec<Away>> = Fact::new("watch_away");
