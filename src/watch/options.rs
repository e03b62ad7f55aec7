//! What is watched, read from the command line.

use std::time::Duration;

use super::WatchError;
use crate::judge::Claim;
use crate::judge::watch::CLAIMS;
use crate::judge::watch::facts::{Away, Expected};
use crate::probe::get::{ServicePort, Url};

/// Longest outage of a probe by default: while a node's rules still lead to a deleted pod, requests fail for a moment
/// (`judge::stateless::change`).
const LONGEST: f64 = 5.0;
/// The share of failed requests that is allowed by default: a request that meets a pod at its end fails, and a rollout
/// ends each pod once.
const FAILED: f64 = 0.01;
/// How often one event may be repeated.
const REPEATS: i64 = 20;
/// Seconds that a pod may be Pending without a known reason.
const PENDING: f64 = 60.0;

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// HTTP of a Service's port.
    Http(ServicePort),
    /// A TCP connection to a Service's port.
    Tcp(ServicePort),
    /// A URL, from this host.
    Url(Url),
}

/// A probe that a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name in samples and reports: the argument with a blank in place of `=`.
    pub name: String,
    /// The argument as it was given.
    pub text: String,
    /// What it asks.
    pub target: Target,
}

/// What is watched, and what is expected.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The namespaces, at least one.
    pub namespaces: Vec<String>,
    /// The probes.
    pub probes: Vec<Probe>,
    /// What the claims expect.
    pub expected: Expected,
    /// When nodes may be away.
    pub away: Vec<Away>,
    /// The claims that are proved.
    pub claims: Vec<&'static Claim>,
    /// How long the watch goes on after the command.
    pub after: Duration,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// The texts of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// The namespaces, at least one.
    pub namespaces: &'a [String],
    /// `http=...`, `tcp=...`, `url=...`.
    pub probes: &'a [String],
    /// `longest=...`, `failed=...`.
    pub budgets: &'a [String],
    /// `always` or `FROM..TO`.
    pub away: &'a [String],
    /// Ids of claims; none means all.
    pub only: &'a [String],
    /// Ids of claims.
    pub skip: &'a [String],
    /// The program and its arguments.
    pub command: &'a [String],
}

impl Watch {
    /// Reads what is watched. Nothing is contacted.
    ///
    /// # Errors
    /// [`WatchError`] for an argument that cannot be read.
    pub fn read(texts: Texts<'_>, after: Duration) -> Result<Self, WatchError> {
        let probes: Result<Vec<_>, _> =
            texts.probes.iter().map(|text| probe(text, texts.namespaces)).collect();
        let away: Result<Vec<_>, _> = texts.away.iter().map(|text| self::away(text)).collect();
        let mut expected = Expected { longest: LONGEST, failed: FAILED, repeats: REPEATS, pending: PENDING };
        for text in texts.budgets {
            budget(text, &mut expected)?;
        }
        let probes = probes?;
        let unknown = |id: &&String| !CLAIMS.iter().any(|claim| claim.id == id.as_str());
        if let Some(id) = texts.only.iter().chain(texts.skip).find(unknown) {
            return Err(WatchError::NoClaim { id: id.clone() });
        }
        let has = |ids: &[String], claim: &Claim| ids.iter().any(|id| id == claim.id);
        let wanted = |claim: &&&'static Claim| {
            let asked = !probes.is_empty() || claim.id != "outages";
            asked && (texts.only.is_empty() || has(texts.only, claim)) && !has(texts.skip, claim)
        };
        Ok(Self {
            namespaces: texts.namespaces.to_vec(),
            claims: CLAIMS.iter().filter(wanted).copied().collect(),
            probes,
            expected,
            away: away?,
            after,
            command: texts.command.to_vec(),
        })
    }
}

/// Reads `http=[NAMESPACE/]SERVICE:PORT[/PATH]`, `http=URL`, `url=URL` or `tcp=[NAMESPACE/]SERVICE:PORT`.
fn probe(text: &str, namespaces: &[String]) -> Result<Probe, WatchError> {
    let wrong = |why: &str| WatchError::Probe { text: text.into(), why: why.into() };
    let (kind, of) = text.split_once('=').ok_or_else(|| wrong("no `=`"))?;
    let is_url = of.starts_with("http://") || of.starts_with("https://");
    let target = match (kind, is_url) {
        ("http" | "url", true) => Target::Url(Url::parse(of).map_err(|e| wrong(&e.to_string()))?),
        ("http", false) => Target::Http(service(of, namespaces).map_err(|why| wrong(why.0))?),
        ("tcp", false) => {
            let port = service(of, namespaces).map_err(|why| wrong(why.0))?;
            if of.contains(':') && of.split_once(':').is_some_and(|(_, rest)| rest.contains('/')) {
                return Err(wrong("a TCP connection has no path"));
            }
            Target::Tcp(port)
        }
        ("url", false) => return Err(wrong("no URL of HTTP or HTTPS")),
        _ => return Err(wrong("neither http, tcp nor url")),
    };
    Ok(Probe { name: format!("{kind} {of}"), text: text.into(), target })
}

/// What is wrong with the name of a Service's port.
struct Wrong(&'static str);

fn service(of: &str, namespaces: &[String]) -> Result<ServicePort, Wrong> {
    let (name, rest) = of.split_once(':').ok_or(Wrong("no port"))?;
    let (namespace, service) = match name.split_once('/') {
        Some((namespace, service)) => (namespace, service),
        None => match namespaces {
            [one] => (one.as_str(), name),
            _ => return Err(Wrong("with several namespaces, the Service needs one: NAMESPACE/SERVICE")),
        },
    };
    let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    };
    let is_path = path.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if !is_name(namespace) || !is_name(service) {
        return Err(Wrong("no name of a Service"));
    }
    if !is_name(port) {
        return Err(Wrong("no port"));
    }
    if !is_path {
        return Err(Wrong("a path has no blanks, no `#` and only ASCII"));
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok(ServicePort {
        namespace: namespace.into(),
        service: service.into(),
        port: port.into(),
        path: path.into(),
    })
}

fn budget(text: &str, expected: &mut Expected) -> Result<(), WatchError> {
    let wrong = || WatchError::Budget { text: text.into() };
    match text.split_once('=').ok_or_else(wrong)? {
        ("longest", time) => {
            expected.longest = crate::config::duration(time).map_err(|_| wrong())?.as_secs_f64();
        }
        ("failed", share) => {
            let number = share.strip_suffix('%').ok_or_else(wrong)?.parse::<f64>().map_err(|_| wrong())?;
            if !(0.0..=100.0).contains(&number) {
                return Err(wrong());
            }
            expected.failed = number / 100.0;
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn away(text: &str) -> Result<Away, WatchError> {
    if text == "always" {
        return Ok(Away { from: None, to: None });
    }
    let (from, to) = text.split_once("..").ok_or_else(|| WatchError::Away { text: text.into() })?;
    let mark = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    Ok(Away { from: mark(from), to: mark(to) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(probes: &[&str], budgets: &[&str]) -> Result<Watch, WatchError> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (namespaces, probes, budgets) = (words(&["shop"]), words(probes), words(budgets));
        let texts = Texts { namespaces: &namespaces, probes: &probes, budgets: &budgets, ..Texts::default() };
        Watch::read(texts, Duration::ZERO)
    }

    #[test]
    fn a_probe_names_a_service_or_a_url() {
        let port = |namespace: &str, port: &str, path: &str| ServicePort {
            namespace: namespace.into(),
            service: "shop".into(),
            port: port.into(),
            path: path.into(),
        };
        for (text, target) in [
            ("http=shop:80/healthz?a=b", Target::Http(port("shop", "80", "/healthz?a=b"))),
            ("http=shop:web", Target::Http(port("shop", "web", "/"))),
            ("http=other/shop:80/a", Target::Http(port("other", "80", "/a"))),
            ("tcp=shop:3306", Target::Tcp(port("shop", "3306", "/"))),
            ("http=https://a.test/b", Target::Url(Url::parse("https://a.test/b").unwrap())),
            ("url=http://a.test", Target::Url(Url::parse("http://a.test").unwrap())),
        ] {
            let watch = read(&[text], &[]).unwrap();
            assert_eq!(watch.probes[0].target, target, "{text}");
            assert_eq!(watch.probes[0].name, text.replacen('=', " ", 1));
        }
        for (text, why) in [
            ("shop:80", "no `="),
            ("http=shop", "no port"),
            ("http=shop:", "no port"),
            ("http=:80", "no name"),
            ("http=shop:80/a b", "a path"),
            ("tcp=shop:80/a", "has no path"),
            ("dns=shop:80", "neither"),
            ("url=shop:80", "no URL"),
        ] {
            let error = read(&[text], &[]).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn budgets_have_units_and_defaults() {
        let watch = read(&["url=http://a.test"], &["longest=2s", "failed=0.5%"]).unwrap();
        assert_eq!((watch.expected.longest, watch.expected.failed), (2.0, 0.005));
        assert_eq!(watch.claims.len(), CLAIMS.len());
        let watch = read(&[], &[]).unwrap();
        assert_eq!((watch.expected.longest, watch.expected.failed), (LONGEST, FAILED));
        assert!(watch.claims.iter().all(|claim| claim.id != "outages"), "nothing asks");
        for wrong in ["longest=2 apples", "failed=0.5", "failed=101%", "often=1", "2s"] {
            assert!(matches!(read(&[], &[wrong]), Err(WatchError::Budget { .. })), "{wrong}");
        }
    }

    #[test]
    fn times_without_nodes_lie_between_marks() {
        let mark = |name: &str| Some(name.to_owned());
        assert_eq!(away("a..b").unwrap(), Away { from: mark("a"), to: mark("b") });
        assert_eq!(away("..b").unwrap(), Away { from: None, to: mark("b") });
        assert_eq!(away("always").unwrap(), Away { from: None, to: None });
        assert!(away("a-b").is_err());
    }
}
