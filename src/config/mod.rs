//! Settings, resolved once by the command line and passed down: flags before environment before defaults.

mod address;
mod identity;
mod proxies;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use address::{AddressError, DEFAULT as DEFAULT_ADDRESS};
pub use identity::{CONTROL_LABEL, IdentityError, OWNED_BY_LABEL, StateId};
pub use proxies::{Proxies, ProxyError};

use crate::hint::{FailureKind, Hint};
use crate::secret::Secrets;

/// The folders and options of seatrial. Only the command line and the tests read the environment: [`Settings::resolve`]
/// gets a function that looks up variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of what can be created again: built images, downloaded tools. `SEATRIAL_CACHE`, else
    /// `$XDG_CACHE_HOME/seatrial`, else `~/.cache/seatrial`.
    pub cache: PathBuf,
    /// The folder of what must not be lost while clusters run: leases, kubeconfigs, fault intents, runs.
    /// `SEATRIAL_STATE`, else `$XDG_STATE_HOME/seatrial`, else `~/.local/state/seatrial`.
    pub state: PathBuf,
    /// Image profile: a name in `images/`, a file whose name ends in `.toml`, or `auto`.
    /// `SEATRIAL_PROFILE`; default `auto`.
    pub profile: String,
    /// Kubernetes version without `v`; none selects the profile's default. `SEATRIAL_K8S`.
    pub kubernetes: Option<String>,
    /// How long an unused cluster is kept. `SEATRIAL_IDLE`; default 30 min.
    pub idle: Duration,
    /// The container engine's address: `DOCKER_HOST`, else that of the docker program's context, else
    /// `unix:///var/run/docker.sock`.
    pub engine: String,
    /// The `kind` program. `SEATRIAL_KIND`, else the one that `scripts/tools` installed in the
    /// cache, else `kind` in PATH.
    pub kind: PathBuf,
    /// The proxies that kind sets on nodes: `HTTP_PROXY`, `HTTPS_PROXY`.
    pub proxies: Proxies,
    /// The secrets known so far, which appear in no evidence and no message. At first these are the secrets in the
    /// proxies' variables, which kind sets on the nodes.
    pub secrets: Secrets,
}

/// Variables whose secrets may reach nodes and logs.
const KEPT_OUT: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "DOCKER_AUTH_CONFIG"];

/// A setting with an invalid value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither the setting nor a home directory is set.
    #[error("no folder for {0}: neither {1} nor HOME is set")]
    NoFolder(&'static str, &'static str),
    /// The docker program's context does not exist.
    #[error("failed to find the container engine")]
    Engine(#[source] AddressError),
    /// A value that is not a duration.
    #[error("{name}={value} is not a duration such as 30m or 90s")]
    Duration {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The reason.
        #[source]
        source: jiff::Error,
    },
}

impl Settings {
    /// Resolves every setting. `lookup` returns a variable's value, as `std::env::var` does.
    ///
    /// # Errors
    /// [`ConfigError`], with the name of the variable that has an invalid value.
    pub fn resolve(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| lookup(name).filter(|v| !v.is_empty());
        let folder = |what, own: &'static str, xdg: &str, home: &str| {
            let below = |base: String| Path::new(&base).join("seatrial");
            get(own)
                .map(PathBuf::from)
                .or_else(|| get(xdg).map(below))
                .or_else(|| get("HOME").map(|h| Path::new(&h).join(home).join("seatrial")))
                // Child processes run in other folders, so the path must be absolute.
                .map(|path| std::path::absolute(&path).unwrap_or(path))
                .ok_or(ConfigError::NoFolder(what, own))
        };
        let cache = folder("the cache", "SEATRIAL_CACHE", "XDG_CACHE_HOME", ".cache")?;
        let state = folder("the state", "SEATRIAL_STATE", "XDG_STATE_HOME", ".local/state")?;
        let idle = match get("SEATRIAL_IDLE") {
            None => Duration::from_secs(30 * 60),
            Some(value) => duration(&value).map_err(|source| ConfigError::Duration {
                name: "SEATRIAL_IDLE",
                value,
                source,
            })?,
        };
        let installed = cache.join("tools").join("kind");
        let found = if installed.is_file() { installed } else { PathBuf::from("kind") };
        Ok(Self {
            engine: address::address(get).map_err(ConfigError::Engine)?,
            profile: get("SEATRIAL_PROFILE").unwrap_or_else(|| "auto".into()),
            kubernetes: get("SEATRIAL_K8S").map(|v| v.trim_start_matches('v').to_owned()),
            kind: get("SEATRIAL_KIND").map_or(found, PathBuf::from),
            proxies: Proxies::resolve(get),
            secrets: secrets(get),
            cache,
            state,
            idle,
        })
    }

    /// Returns the folder of a cluster's state.
    pub fn cluster_dir(&self, name: &str) -> PathBuf {
        self.state.join("clusters").join(name)
    }

    /// Returns the folder of all runs; each run has a folder in it.
    pub fn runs_dir(&self) -> PathBuf {
        self.state.join("runs")
    }
}

fn secrets(get: impl Fn(&str) -> Option<String>) -> Secrets {
    let secrets = Secrets::default();
    for name in KEPT_OUT {
        for name in [name.to_owned(), name.to_lowercase()] {
            get(&name).iter().for_each(|value| secrets.learn_variable(&name, value));
        }
    }
    secrets
}

/// Reads a duration as people write it: `90s`, `30m`, `1h 30m`.
///
/// # Errors
/// The text is not a duration, or the duration is negative or longer than [`LONGEST`].
pub fn duration(text: &str) -> Result<Duration, jiff::Error> {
    let read = text.parse::<jiff::SignedDuration>().and_then(Duration::try_from)?;
    match read <= LONGEST {
        true => Ok(read),
        false => {
            Err(jiff::Error::from_args(format_args!("it is longer than {} h", LONGEST.as_secs() / 3600)))
        }
    }
}

/// The longest duration that can be set. Longer ones overflow the clock when they are added to the present time.
pub const LONGEST: Duration = Duration::from_secs(10_000 * 3600);

impl Hint for ConfigError {
    fn failure(&self) -> Option<FailureKind> {
        Some(FailureKind::Usage)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFolder(_, variable) => Some(format!("set {variable} to a folder")),
            Self::Engine(_) => {
                Some("docker context ls; then docker context use NAME, or set DOCKER_HOST".into())
            }
            Self::Duration { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::resolve(|name| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_owned()))
    }

    #[test]
    fn own_variables_override_xdg_and_xdg_overrides_home() {
        let home = with(&[("HOME", "/h")]).unwrap();
        assert_eq!(home.cache, Path::new("/h/.cache/seatrial"));
        assert_eq!(home.state, Path::new("/h/.local/state/seatrial"));
        let xdg = with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).unwrap();
        assert_eq!(xdg.cache, Path::new("/x/seatrial"));
        let own = with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("SEATRIAL_CACHE", "/o")]).unwrap();
        assert_eq!(own.cache, Path::new("/o"));
    }

    #[test]
    fn an_error_names_the_variable_with_an_invalid_value() {
        let error = with(&[("HOME", "/h"), ("SEATRIAL_IDLE", "soon")]).unwrap_err();
        assert_eq!(error.to_string(), "SEATRIAL_IDLE=soon is not a duration such as 30m or 90s");
        assert!(with(&[]).is_err());
    }

    #[test]
    fn the_password_of_a_proxy_is_known_from_the_start() {
        let settings =
            with(&[("HOME", "/h"), ("https_proxy", "http://jane:s3cr%2Ft-value@proxy:3128")]).unwrap();
        let text = "proxy:3128 refused jane s3cr/t-value, s3cr%2Ft-value";
        assert_eq!(settings.secrets.hide(text), "proxy:3128 refused jane (left out), (left out)");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("1h 30m").unwrap(), Duration::from_secs(5400));
        assert!(duration("-3s").is_err());
    }
}
