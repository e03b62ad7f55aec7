//! The proxies that kind sets on nodes.

use crate::hint::Hint;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The proxies, without user names and passwords, that kind reads from its environment and sets on each node it
/// creates, also for containerd: `HTTP_PROXY` and `HTTPS_PROXY`, or their lower-case names if those are not set
/// (`getProxyEnvs` in kind's pkg/cluster/internal/providers/common/proxy.go).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// `HTTP_PROXY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `HTTPS_PROXY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
}

/// A proxy that nodes cannot reach: a loopback address on a node is the node's own, and no proxy listens there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {proxy}: kind hands it to every node, and on a node that address is the node's own")]
pub struct ProxyError {
    /// The variable.
    pub variable: &'static str,
    /// Its value, without user name and password.
    pub proxy: String,
}

impl Proxies {
    /// Reads the variables. `NO_PROXY=*` disables all proxies (Go's golang.org/x/net/http/httpproxy).
    pub(super) fn resolve(get: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| get(name).or_else(|| get(&name.to_lowercase()));
        if either("NO_PROXY").is_some_and(|list| list.split(',').any(|entry| entry.trim() == "*")) {
            return Self::default();
        }
        let of = |name| either(name).map(|value| without_user(&value));
        Self { http: of("HTTP_PROXY"), https: of("HTTPS_PROXY") }
    }

    /// Refuses proxies on a loopback address.
    ///
    /// # Errors
    /// [`ProxyError`] for the first such proxy.
    pub fn check(&self) -> Result<(), ProxyError> {
        match self.each().find_map(|(variable, proxy)| Some((variable, proxy.filter(|p| is_loopback(p))?))) {
            Some((variable, proxy)) => Err(ProxyError { variable, proxy: proxy.to_owned() }),
            None => Ok(()),
        }
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        [("HTTP_PROXY", self.http.as_deref()), ("HTTPS_PROXY", self.https.as_deref())].into_iter()
    }
}

impl fmt::Display for Proxies {
    /// Writes for example `HTTP_PROXY http://proxy:3128, no HTTPS_PROXY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |(name, value): (&str, Option<&str>)| match value {
            Some(value) => format!("{name} {value}"),
            None => format!("no {name}"),
        };
        f.write_str(&self.each().map(said).collect::<Vec<_>>().join(", "))
    }
}

/// Returns scheme, host and port of `value`, without user, password and path.
fn without_user(value: &str) -> String {
    let (scheme, rest) = value.split_once("://").map_or(("", value), |(scheme, rest)| (scheme, rest));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

/// Whether the result of [`without_user`] is a loopback or unspecified address; the kernel treats the latter as
/// loopback.
fn is_loopback(proxy: &str) -> bool {
    let host = proxy.rsplit_once("://").map_or(proxy, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => v6.to_canonical().is_loopback() || v6.is_unspecified(),
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

impl Hint for ProxyError {
    fn hint(&self) -> Option<String> {
        Some("give the proxy an address that containers reach (`ip -4 addr show docker0` shows this machine's), or unset \
HTTP_PROXY and HTTPS_PROXY for seatrial"
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::resolve(|name| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_owned()))
    }

    #[test]
    fn proxies_of_the_loopback_are_refused_and_no_others() {
        for own in [
            "http://127.0.0.1:3128",
            "127.0.0.1:9",
            "http://jane:s3cr%40t@localhost:3128/",
            "socks5://[::1]:1080",
            "http://127.8.9.10",
            "HTTP://LOCALHOST.:1",
            "http://0.0.0.0:3128",
            "http://[::ffff:127.0.0.1]:3128",
        ] {
            assert!(of(&[("HTTPS_PROXY", own)]).check().is_err(), "{own}");
            assert!(of(&[("http_proxy", own)]).check().is_err(), "{own}");
            assert_eq!(of(&[("HTTP_PROXY", own), ("NO_PROXY", "*")]).check(), Ok(()), "{own}");
        }
        for other in
            ["http://10.0.0.1:3128", "http://localhost@proxy:3128", "http://proxy.localhost.corp:1", "proxy"]
        {
            assert_eq!(of(&[("HTTP_PROXY", other), ("https_proxy", other)]).check(), Ok(()), "{other}");
        }
    }

    #[test]
    fn the_variable_is_named_and_no_password() {
        let error = of(&[("https_proxy", "http://jane:s3cr3t-value@127.0.0.1:9/x")]).check().unwrap_err();
        assert_eq!((error.variable, error.proxy.as_str()), ("HTTPS_PROXY", "http://127.0.0.1:9"));
        let both = of(&[("HTTP_PROXY", "http://a:1"), ("http_proxy", "http://b:1")]);
        assert_eq!(both.to_string(), "HTTP_PROXY http://a:1, no HTTPS_PROXY");
    }
}
