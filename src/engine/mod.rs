//! The container engine, through the Docker API: containers, commands and files in them, images. The only state is in
//! labels on containers, which any process can find.

mod aside;
mod containers;
mod error;
mod exec;
mod feed;
mod files;
mod images;
mod network;
mod networks;
mod product;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::deadline::Deadline;
use jiff::Timestamp;

pub use aside::{Aside, AsideSpec};
pub use containers::{Container, Power};
pub use error::EngineError;
pub(crate) use error::WHERE_IT_RUNS;
pub use exec::ExecResult;
pub use feed::Piped;
pub use files::{Listed, SUMMED};
pub use images::ImageInfo;

/// The oldest supported Docker API: that of Docker 20.10, the first with cgroup namespaces, which kind's nodes need.
pub const OLDEST_API: &str = "1.41";

/// Time limit for requests that the engine answers from memory.
const QUICK: Duration = Duration::from_secs(30);
/// Time limit for requests that take work: starting, killing, removing, reading a file.
const WORK: Duration = Duration::from_secs(120);

/// A connection to the engine. Cheap to clone. It keeps no connections open between calls and may be shared between
/// runtimes.
///
/// # Guarantees
/// Every call has a time limit: its own deadline, or 30 s if the engine answers from memory and 120 s if it has to
/// work. [`Engine::at_most`] shortens these two.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    host: Arc<str>,
    id: Arc<tokio::sync::OnceCell<String>>,
    patience: Duration,
}

/// What the engine reports about itself and its machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EngineFacts {
    /// The product, such as `Docker`, `Docker Desktop`, `Colima`, `OrbStack` or `Docker (rootless)`.
    pub product: &'static str,
    /// The engine's version, such as `28.2.2`.
    pub version: String,
    /// The newest API version that it supports.
    pub api_version: String,
    /// Its operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Its architecture as the kernel calls it, such as `x86_64`.
    pub architecture: String,
    /// Its kernel.
    pub kernel: String,
    /// Processor cores.
    pub cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The cgroup version, `1` or `2`.
    pub cgroup_version: String,
    /// The cgroup driver: `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// The storage driver, such as `overlay2`.
    pub storage_driver: String,
    /// The folder on its machine that contains images and containers.
    pub root_dir: String,
    /// Whether it runs without root.
    pub rootless: bool,
}

impl EngineFacts {
    /// Returns the facts that a report shows, by name.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        BTreeMap::from([
            ("engine".into(), format!("{} {}", self.product, self.version)),
            ("system".into(), format!("{} {}", self.os, self.architecture)),
            ("kernel".into(), self.kernel.clone()),
            ("cores".into(), self.cores.to_string()),
            ("memory".into(), format!("{gib:.1} GiB")),
            ("cgroup".into(), format!("v{} {}", self.cgroup_version, self.cgroup_driver)),
            ("storage".into(), self.storage_driver.clone()),
        ])
    }
}

impl Engine {
    /// Connects to an address such as `unix:///path`, and asks for the version.
    /// [`Settings::engine`](crate::config::Settings::engine) is the address that the docker program uses.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`], [`EngineError::TooOld`], [`EngineError::NotDocker`], [`EngineError::Timeout`]
    /// after 30 s.
    pub fn connect(host: &str) -> BoxFuture<'_, Result<Engine, EngineError>> {
        Self::connect_within(host, Deadline::after(QUICK)).boxed()
    }

    /// As [`Engine::connect`], with the caller's deadline.
    ///
    /// # Errors
    /// Those of [`Engine::connect`].
    pub async fn connect_within(host: &str, deadline: Deadline) -> Result<Engine, EngineError> {
        let lost = |source| EngineError::Unreachable { host: host.into(), source: Box::new(source) };
        // Every call has its own deadline. The client's limit of 120 s would cut off a long stop or load, with an error
        // that does not name the operation.
        let docker =
            Docker::connect_with_host(host).map_err(lost)?.with_timeout(Duration::from_secs(24 * 3600));
        let doing = || format!("failed to ask {host} for its version");
        // bollard puts the negotiated version into the path of each request only from 0.22 on.
        let docker =
            bounded(doing, deadline, docker.negotiate_version()).await.map_err(|e| e.unreachable(host))?;
        let engine = Engine { docker, host: host.into(), id: Arc::default(), patience: WORK };
        let version = engine.ask(doing, deadline, engine.docker.version()).await?;
        let found = version.api_version.unwrap_or_default();
        if older(&found, OLDEST_API) {
            return Err(EngineError::TooOld { found, need: OLDEST_API.into() });
        }
        // Podman's service answers like Docker, but names itself among the components of its version.
        let parts = version.components.into_iter().flatten();
        if let Some(podman) = parts.into_iter().find(|part| part.name.contains("Podman")) {
            let product = format!("{} {}", podman.name, podman.version);
            return Err(EngineError::NotDocker { host: host.into(), product });
        }
        Ok(engine)
    }

    /// Checks that the engine publishes loopback ports in this process's network namespace. If the engine's process is
    /// not visible, as from a container that has only its socket, the check passes.
    ///
    /// # Errors
    /// [`EngineError::OtherNetwork`].
    pub async fn check_network(&self) -> Result<(), EngineError> {
        network::check(&self.host).await
    }

    /// Returns the engine's address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns an id of this engine, which is the same for all its addresses: the `ID` that Docker creates once and
    /// keeps in its data folder (GET /info). An engine that reports a different `ID` each time, as Podman does, is
    /// identified by the name of its machine, its data folder and its address.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn id(&self) -> Result<String, EngineError> {
        let doing = || "failed to ask the engine for its id".to_owned();
        let ask = async || self.ask(doing, self.quick(), self.docker.info()).await;
        let id = self.id.get_or_try_init(async || {
            let (info, again) = (ask().await?, ask().await?);
            let id = info.id.clone().filter(|id| !id.is_empty() && info.id == again.id);
            let place = || {
                let [name, root] = [info.name, info.docker_root_dir].map(Option::unwrap_or_default);
                format!("{name} {root} {}", self.host)
            };
            Ok(id.unwrap_or_else(place))
        });
        id.await.cloned()
    }

    /// Returns the time on the engine's clock, which is also the clock of its nodes and kubelets. Ours may differ by
    /// seconds: the engine may run in a virtual machine.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn now(&self) -> Result<Timestamp, EngineError> {
        let doing = || "failed to ask the engine for its time".to_owned();
        let info = self.ask(doing, self.quick(), self.docker.info()).await?;
        let time = info.system_time.unwrap_or_default();
        time.parse().map_err(|e| {
            let what = format!("the engine's time {time:?}: {e}");
            EngineError::api(doing(), std::io::Error::other(what).into())
        })
    }

    /// Returns the same engine with a shorter time limit for each call without a deadline.
    pub fn at_most(&self, patience: Duration) -> Engine {
        Engine { patience: patience.min(self.patience), ..self.clone() }
    }

    /// Returns what the engine reports about itself and its machine.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let doing = || "failed to ask the engine for its system information".to_owned();
        let deadline = self.quick();
        let info = self.ask(doing, deadline, self.docker.info()).await?;
        let version = self.ask(doing, deadline, self.docker.version()).await?;
        let options = info.security_options.unwrap_or_default();
        let whole = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let os = info.operating_system.unwrap_or_default();
        let rootless = options.iter().any(|o| o.split(',').any(|part| part == "name=rootless"));
        Ok(EngineFacts {
            product: product::product(&os, &info.name.unwrap_or_default(), rootless),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            os,
            architecture: info.architecture.unwrap_or_default(),
            kernel: info.kernel_version.unwrap_or_default(),
            cores: whole(info.ncpu),
            memory_bytes: whole(info.mem_total),
            // An engine without the field is one from before cgroup v2.
            cgroup_version: info.cgroup_version.map_or_else(|| "1".into(), |v| v.to_string()),
            cgroup_driver: info.cgroup_driver.map(|d| d.to_string()).unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            rootless,
        })
    }

    fn quick(&self) -> Deadline {
        Deadline::after(QUICK.min(self.patience))
    }

    fn work(&self) -> Deadline {
        Deadline::after(WORK.min(self.patience))
    }

    async fn ask<T>(
        &self,
        doing: impl Fn() -> String,
        deadline: Deadline,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, EngineError> {
        bounded(doing, deadline, work).await
    }
}

async fn bounded<T>(
    doing: impl Fn() -> String,
    deadline: Deadline,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, EngineError> {
    match deadline.bound(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(EngineError::api(doing(), source)),
        Err(late) => Err(EngineError::Timeout { doing: doing(), waited: late.0 }),
    }
}

/// Compares versions of the form `major.minor`; an invalid version is the oldest.
fn older(found: &str, need: &str) -> bool {
    let parts = |v: &str| {
        let (major, minor) = v.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    parts(found) < parts(need)
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn versions_compare_by_number() {
        assert!(older("1.9", "1.41"));
        assert!(!older("1.41", "1.41"));
        assert!(!older("1.100", "1.41"));
        assert!(older("", "1.41"));
    }
}
