//! Containers: their state, and starting and stopping them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerUpdateBody, HostConfig};
use bollard::query_parameters::{
    KillContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions, StopContainerOptions,
};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::{ApiError, Engine, EngineError, bounded};
use crate::deadline::Deadline;
use crate::retry;

/// The kernel's period for processor limits, in microseconds.
const CPU_PERIOD: i64 = 100_000;

/// A container's state, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Its first process runs.
    Running,
    /// Its first process was stopped, was killed, or ended by itself.
    Exited,
    /// Frozen: processes stay in memory but get no processor time.
    Paused,
    /// Its first process ended, and the engine is about to start it again.
    Restarting,
    /// Never started.
    Created,
    /// The engine failed to remove it.
    Dead,
    /// The engine is removing it.
    Removing,
}

impl Power {
    /// Returns Docker's word for the state.
    pub fn name(self) -> &'static str {
        match self {
            Power::Running => "running",
            Power::Exited => "exited",
            Power::Paused => "paused",
            Power::Restarting => "restarting",
            Power::Created => "created",
            Power::Dead => "dead",
            Power::Removing => "removing",
        }
    }
}

impl std::fmt::Display for Power {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A container as the engine describes it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// The image reference that it was created from.
    pub image: String,
    /// The id of that image.
    pub image_id: String,
    /// Its labels, including those of its image.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub power: Power,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// The exit code of its last end; 0 while it runs for the first time.
    pub exit_code: i64,
    /// Whether the kernel killed it because memory ran out.
    pub oom_killed: bool,
    /// The process id of its first process on the host; 0 if it does not run.
    pub pid: i64,
    /// The signal that `docker stop` sends first; empty means SIGTERM.
    pub stop_signal: String,
    /// Its address in each network; empty if it does not run, because Docker then releases the addresses.
    pub addresses: BTreeMap<String, IpAddr>,
    /// The names of its networks, also if it does not run.
    pub networks: Vec<String>,
    /// Published ports: `6443/tcp` -> the address on the host.
    pub ports: BTreeMap<String, SocketAddr>,
    /// Paths of tmpfs mounts, whose files are lost when it stops.
    pub tmpfs: Vec<String>,
    /// The number of processor cores that it may use; none if there is no limit.
    pub cores: Option<f64>,
}

impl Engine {
    /// Returns the containers with all these labels, in any state, sorted by name. An empty value matches any value of
    /// the label.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn containers(&self, labels: &[(&str, &str)]) -> Result<Vec<Container>, EngineError> {
        let wanted = labels.iter().map(|(key, value)| match *value {
            "" => (*key).to_owned(),
            value => format!("{key}={value}"),
        });
        let filters = [("label".to_owned(), wanted.collect::<Vec<_>>())].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let doing = || "failed to list containers".to_owned();
        let deadline = self.quick();
        let found = self.ask(doing, deadline, self.docker.list_containers(Some(options))).await?;
        let ids: Vec<String> = found.into_iter().filter_map(|c| c.id).collect();
        // A container that is removed in the meantime is left out.
        let mut all: Vec<Container> = futures::stream::iter(ids)
            .map(async |id| self.container(&id).await)
            .buffer_unordered(8)
            .try_filter_map(|c| async { Ok(c) })
            .try_collect()
            .await?;
        // Callers remove what this returns. Do not trust the engine's label filter alone.
        let fits = |c: &Container, (key, value): &(&str, &str)| {
            c.labels.get(*key).is_some_and(|found| value.is_empty() || found == value)
        };
        all.retain(|c| labels.iter().all(|label| fits(c, label)));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Returns the values of label `wanted` on the containers that have label `having`, in any state. It inspects no
    /// container: one that cannot be inspected would hide the others.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn label_values(&self, having: &str, wanted: &str) -> Result<BTreeSet<String>, EngineError> {
        let filters = [("label".to_owned(), vec![having.to_owned()])].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let doing = || "failed to list containers".to_owned();
        let found = self.ask(doing, self.quick(), self.docker.list_containers(Some(options))).await?;
        let labels = found.into_iter().filter_map(|c| c.labels).filter(|labels| labels.contains_key(having));
        Ok(labels.filter_map(|mut labels| labels.remove(wanted)).collect())
    }

    /// Returns the container of this name or id, or none if it does not exist.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let doing = || format!("failed to inspect container {name}");
        let asked = self.ask(doing, self.quick(), self.docker.inspect_container(name, None)).await;
        match asked {
            Ok(found) => Ok(Some(read(found))),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the container of this name or id, which must exist.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], and those of [`Engine::container`].
    pub async fn existing(&self, name: &str) -> Result<Container, EngineError> {
        let missing = || EngineError::NotFound { what: "container", name: name.into() };
        self.container(name).await?.ok_or_else(missing)
    }

    /// Starts a container. Does nothing if it runs.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Api`], [`EngineError::Timeout`] after 120 s.
    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        let wish = |p| p == Power::Running;
        self.switch(
            Switch { verb: "start", name, deadline: self.work() },
            wish,
            self.docker.start_container(name, None),
        )
        .await
    }

    /// Sends a container its stop signal, waits `grace`, then kills it. Does nothing if it does not run.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Api`], [`EngineError::Timeout`] 120 s after the grace period.
    ///
    /// # Cancellation
    /// The engine keeps stopping the container.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let t = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(t), signal: None };
        let work = self.docker.stop_container(name, Some(options));
        let deadline = Deadline::after(grace.saturating_add(self.work().remaining()));
        self.switch(Switch { verb: "stop", name, deadline }, ended, work).await
    }

    /// Kills a container's first process, and with it all others. Does nothing if it does not run.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Api`], [`EngineError::Timeout`] after 120 s.
    pub async fn kill(&self, name: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions { signal: "SIGKILL".into() };
        self.switch(
            Switch { verb: "kill", name, deadline: self.work() },
            ended,
            self.docker.kill_container(name, Some(options)),
        )
        .await
    }

    /// Freezes all processes of a container. Does nothing if they are frozen.
    ///
    /// # Errors
    /// [`EngineError::NotRunning`], [`EngineError::NotFound`], [`EngineError::Api`],
    /// [`EngineError::Timeout`] after 120 s.
    pub async fn pause(&self, name: &str) -> Result<(), EngineError> {
        let wish = |p| p == Power::Paused;
        self.switch(
            Switch { verb: "pause", name, deadline: self.work() },
            wish,
            self.docker.pause_container(name),
        )
        .await
    }

    /// Continues the processes of a frozen container. Does nothing if they run.
    ///
    /// # Errors
    /// As [`Engine::pause`].
    pub async fn unpause(&self, name: &str) -> Result<(), EngineError> {
        let wish = |p| p == Power::Running;
        self.switch(
            Switch { verb: "unpause", name, deadline: self.work() },
            wish,
            self.docker.unpause_container(name),
        )
        .await
    }

    /// Limits all processes of a container together to this number of processor cores, in any power state; none removes
    /// the limit. The limit survives restarts.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn limit_cpu(&self, name: &str, cores: Option<f64>) -> Result<(), EngineError> {
        let doing = || format!("failed to limit the processors of container {name}");
        // A quota of 0 would leave the limit unchanged.
        let quota = cores.map_or(-1, |cores| (cores * CPU_PERIOD as f64) as i64);
        let change = ContainerUpdateBody {
            cpu_period: Some(CPU_PERIOD),
            cpu_quota: Some(quota),
            ..Default::default()
        };
        let asked = self.ask(doing, self.quick(), self.docker.update_container(name, change)).await;
        asked.map_err(|e| e.or_not_found("container", name))
    }

    /// Kills a container and removes it with its anonymous volumes. Does nothing if it does not exist.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 120 s.
    pub async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let doing = || format!("failed to remove container {name}");
        let deadline = self.work();
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        let removed = self.ask(doing, deadline, self.docker.remove_container(name, Some(options))).await;
        match removed {
            Err(error) if error.status() == Some(404) => Ok(()),
            // Another client is already removing it: wait until that is done.
            Err(error) if error.status() == Some(409) => {
                let gone = || async {
                    Ok::<_, EngineError>(self.container(name).await?.map_or(Ok(()), |_| Err(())))
                };
                let pauses = retry::every(Duration::from_millis(200));
                retry::try_until(deadline, pauses, gone).await?.map_err(|_| error)
            }
            other => other,
        }
    }

    /// Returns the last `tail` lines of a container's output, both streams together.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Api`], [`EngineError::Timeout`] after 120 s.
    pub async fn logs(&self, name: &str, tail: usize) -> Result<String, EngineError> {
        let doing = || format!("failed to read the log of container {name}");
        let options =
            LogsOptions { stdout: true, stderr: true, tail: tail.to_string(), ..Default::default() };
        let pieces = self.docker.logs(name, Some(options)).map_ok(|piece| piece.into_bytes());
        let all = pieces.try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        let all = self.ask(doing, self.work(), all).await;
        let all = all.map_err(|e| e.or_not_found("container", name))?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// Runs a change of the power state. Engines answer 304, 409 or 500 if the container is already in that state, so
    /// the state is checked after such an error.
    async fn switch(
        &self,
        switch: Switch<'_>,
        wish: impl Fn(Power) -> bool,
        work: impl Future<Output = Result<(), ApiError>>,
    ) -> Result<(), EngineError> {
        let Switch { verb, name, deadline } = switch;
        let doing = || format!("failed to {verb} container {name}");
        let Err(error) = bounded(doing, deadline, work).await else { return Ok(()) };
        if !matches!(error.status(), Some(409 | 500)) {
            return Err(error.or_not_found("container", name));
        }
        // If the engine cannot report the state either, its first error says more.
        let now = self.container(name).await.ok().flatten();
        match now.map(|c| c.power) {
            Some(power) if wish(power) => Ok(()),
            Some(power) if verb.ends_with("pause") && power != Power::Running && power != Power::Paused => {
                Err(EngineError::NotRunning { doing: doing(), container: name.into(), power })
            }
            _ => Err(error),
        }
    }
}

/// A change of a container's power: what is done to which one, and until when.
struct Switch<'a> {
    verb: &'a str,
    name: &'a str,
    deadline: Deadline,
}

fn ended(power: Power) -> bool {
    matches!(power, Power::Exited | Power::Created | Power::Dead)
}

fn read(found: ContainerInspectResponse) -> Container {
    let state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let network = found.network_settings.unwrap_or_default();
    let address = |e: bollard::models::EndpointSettings| e.ip_address.and_then(|ip| ip.parse().ok());
    let networks: Vec<String> = network.networks.iter().flatten().map(|(name, _)| name.clone()).collect();
    let addresses = network.networks.into_iter().flatten().filter_map(|(name, e)| Some((name, address(e)?)));
    let ports = network.ports.into_iter().flatten().filter_map(|(port, bound)| {
        let bound = bound?.into_iter().find_map(|b| {
            let ip: IpAddr = b.host_ip?.parse().ok()?;
            Some(SocketAddr::new(ip, b.host_port?.parse().ok()?))
        });
        Some((port, bound?))
    });
    let memory = |m: &bollard::models::MountPoint| m.typ.as_deref() == Some("tmpfs");
    let mounted = found.mounts.into_iter().flatten().filter(memory).filter_map(|m| m.destination);
    let host = found.host_config.unwrap_or_default();
    let cores = cores(&host);
    let asked = host.tmpfs.into_iter().flatten().map(|(path, _)| path);
    let mut tmpfs: Vec<String> = asked.chain(mounted).collect();
    tmpfs.sort();
    tmpfs.dedup();
    Container {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        power: power(state.status, state.paused, state.running),
        started_at: moment(state.started_at.as_deref()),
        finished_at: moment(state.finished_at.as_deref()),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        pid: state.pid.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        addresses: addresses.collect(),
        networks,
        ports: ports.collect(),
        tmpfs,
        cores,
    }
}

/// Docker stores a limit either as a quota for each period, or in billionths of a core.
fn cores(host: &HostConfig) -> Option<f64> {
    let given = |n: Option<i64>| n.filter(|n| *n > 0).map(|n| n as f64);
    let period = given(host.cpu_period).unwrap_or(CPU_PERIOD as f64);
    given(host.nano_cpus).map(|n| n / 1e9).or_else(|| given(host.cpu_quota).map(|quota| quota / period))
}

fn power(status: Option<ContainerStateStatusEnum>, paused: Option<bool>, running: Option<bool>) -> Power {
    use ContainerStateStatusEnum as S;
    match status {
        Some(S::RUNNING | S::STOPPING) => Power::Running,
        Some(S::EXITED) => Power::Exited,
        Some(S::PAUSED) => Power::Paused,
        Some(S::RESTARTING) => Power::Restarting,
        Some(S::CREATED) => Power::Created,
        Some(S::DEAD) => Power::Dead,
        Some(S::REMOVING) => Power::Removing,
        Some(S::EMPTY) | None if paused == Some(true) => Power::Paused,
        Some(S::EMPTY) | None if running == Some(true) => Power::Running,
        Some(S::EMPTY) | None => Power::Exited,
    }
}

/// Parses a time. Docker writes the year 1 for "never".
fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|t| t.as_second() > 0)
}
