//! Creates and removes clusters with the `kind` program, with a kubeconfig of our own: the user's kubeconfig is never
//! touched.

use std::fs::File;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wanted::Wanted;
use crate::cluster::state::record::{Record, remove_dir};
use crate::cluster::{ClusterError, Clusters, role};
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::exec::{Exec, ExecError};
use crate::file::{self, Readers};
use crate::kubernetes::kubeadm_output;
use crate::node::{CLUSTER_LABEL, Role};
use crate::retry::{self, Late};
use crate::sanitise;

/// The `kind` program and the engine that it works on.
#[derive(Debug)]
pub(crate) struct Kind<'a> {
    pub clusters: &'a Clusters,
}

/// Time to remove a cluster.
const DELETE: Duration = Duration::from_secs(180);
/// kind starts all containers at once and gives up when the first one fails; the others may still appear during this
/// time.
const LATE_CONTAINERS: Duration = Duration::from_secs(5);
/// Part of kind's error if the name is taken.
const ALREADY: &str = "already exist for a cluster with the name";
/// Prefixes of kind's error, and of the output of the command that failed.
const ERROR: &str = "ERROR: ";
const OUTPUT: &str = "Command Output: ";
/// Time between two tries of the creation lock, and between two looks for late containers.
const LOOK: Duration = Duration::from_millis(250);

impl Kind<'_> {
    /// Creates the cluster. Nothing of that name may exist. kind does not wait until nodes are ready; see
    /// [`crate::cluster::ready`]. `lock` is the lock of [`Kind::creation_lock`].
    ///
    /// # Errors
    /// [`ClusterError::Create`] with a folder of evidence; the cluster is then removed.
    ///
    /// # Cancellation
    /// kind is killed with its children, and containers stay behind: the cluster's record is not complete, so the
    /// next holder removes them. If this process is killed, kind continues until it is done; the next creation waits
    /// for that.
    pub async fn create(
        &self,
        wanted: &Wanted,
        lock: File,
        deadline: Deadline,
        mut detail: impl FnMut(&str) + Send,
    ) -> Result<(), ClusterError> {
        let dir = &self.dir(&wanted.name);
        let (config, kubeconfig) = (dir.join("kind.yaml"), dir.join("kubeconfig"));
        file::replace(&config, Readers::Owner, wanted.topology.yaml().as_bytes())
            .map_err(|e| ClusterError::file("write", &config, e))?;
        let _ = std::fs::remove_file(&kubeconfig);
        let exec = self
            .command(["create", "cluster", "--retain", "--name", &wanted.name])
            .args(["--image", &wanted.image])
            .arg("--config")
            .arg(&config)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .holding(lock);
        let exec = match wanted.topology.control_planes() {
            ..=1 => exec,
            // The engine assigns the lowest free address of a network to each container that starts. In a network of
            // its own, a control plane that was down gets its old address back. etcd's members know each other by
            // that address.
            _ => exec.env("KIND_EXPERIMENTAL_DOCKER_NETWORK", &wanted.name),
        };
        // kind also prints warnings and advice; lines about its steps start with a bullet.
        let show = |line: &str| {
            if let Some(begun) = line.trim_start().strip_prefix('•') {
                detail(step(begun));
            }
        };
        let error = match exec.run_with(deadline, show).await {
            Ok(_) => return Ok(()),
            // kind checks the name before it creates anything: these containers belong to somebody else.
            Err(error) if output(&error).contains(ALREADY) => {
                remove_dir(dir)?;
                let owner = "another process created it a moment ago".into();
                return Err(ClusterError::Elsewhere { name: wanted.name.clone(), owner });
            }
            Err(source @ ExecError::Start { .. }) => {
                return Err(ClusterError::Kind { doing: "create", name: wanted.name.clone(), source });
            }
            Err(error) => error,
        };
        detail("failed: collecting evidence");
        Err(self.give_up(wanted, reason(&error), &output(&error)).await?)
    }

    /// Waits until no creation is in progress, including that of a killed process.
    ///
    /// # Errors
    /// [`ClusterError::Late`].
    pub async fn settle(
        &self,
        name: &str,
        deadline: Deadline,
        mut detail: impl FnMut(&str),
    ) -> Result<(), ClusterError> {
        self.creation_lock(name, deadline, &mut detail).await.map(drop)
    }

    /// Reports whether kind is creating a cluster right now.
    pub fn is_creating(&self) -> bool {
        let lock = File::open(self.clusters.settings.state.join("create.lock"));
        lock.is_ok_and(|f| matches!(f.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// Collects evidence of a cluster that kind created but that did not become ready, and removes the cluster.
    /// Returns the error for the caller.
    ///
    /// # Errors
    /// Those of the removal.
    pub async fn failed(&self, wanted: &Wanted, error: &ClusterError) -> Result<ClusterError, ClusterError> {
        let text = error.to_string();
        self.give_up(wanted, text.clone(), &text).await
    }

    async fn give_up(
        &self,
        wanted: &Wanted,
        reason: String,
        output: &str,
    ) -> Result<ClusterError, ClusterError> {
        let evidence = self.evidence(wanted, output).await?;
        let network = wanted.topology.control_planes() > 1;
        self.remove(&wanted.name, network, LATE_CONTAINERS, &[]).await?;
        remove_dir(&self.dir(&wanted.name))?;
        let reason = sanitise::line(&self.clusters.settings.secrets.hide(&reason));
        Ok(ClusterError::Create { name: wanted.name.clone(), reason, evidence })
    }

    /// Removes a cluster's containers with their volumes, and the cluster's own `network` if it has one. A missing
    /// cluster is not an error. The caller has checked that the cluster is ours, or the user has named it. Containers
    /// with the ids in `spared` stay, and so does the network that one of them uses. Returns a message if the network
    /// stays because somebody else uses it.
    ///
    /// # Errors
    /// [`ClusterError::Kind`], [`ClusterError::Engine`].
    pub async fn delete(
        &self,
        name: &str,
        network: bool,
        spared: &[String],
    ) -> Result<Option<String>, ClusterError> {
        // If the seatrial that started kind was killed, kind fails at its next step once its containers are gone. If
        // kind was killed, the engine still finishes its last requests.
        let begun =
            self.is_creating() || Record::read(&self.dir(name)).is_some_and(|record| !record.complete);
        let quiet = if begun { LATE_CONTAINERS } else { Duration::ZERO };
        self.remove(name, network, quiet, spared).await
    }

    /// Removes containers until none has appeared for `quiet`, then the cluster's own network.
    async fn remove(
        &self,
        name: &str,
        network: bool,
        quiet: Duration,
        spared: &[String],
    ) -> Result<Option<String>, ClusterError> {
        let dir = self.dir(name);
        let deadline = Deadline::after(DELETE);
        let exec = self
            .command(["delete", "cluster", "--name", name, "--kubeconfig"])
            // kind creates the kubeconfig's folder, which may have been removed for good.
            .arg(if dir.is_dir() { dir.join("kubeconfig") } else { PathBuf::from("/dev/null") });
        // kind deletes every container of the cluster, so do not run it if some are spared.
        let by_kind = if spared.is_empty() { exec.run(deadline).await.err() } else { None };
        let mut shared = false;
        let mut since = Deadline::after(quiet);
        loop {
            let mut left = self.clusters.engine.containers(&[(CLUSTER_LABEL, name)]).await?;
            left.retain(|c| {
                let stays = spared.contains(&c.id);
                shared |= stays && c.networks.iter().any(|n| n == name);
                !stays
            });
            // Remove the load balancer before the nodes: the nodes carry the owner's mark.
            left.sort_by_key(|c| role(c) != Role::LoadBalancer);
            for container in &left {
                // Remove by id: another container may have the name by now.
                self.clusters.engine.remove(&container.id).await?;
                since = Deadline::after(quiet);
            }
            if left.is_empty() && since.is_over() {
                break;
            }
            if deadline.is_over() {
                let (name, waited) = (name.into(), deadline.waited());
                return Err(ClusterError::Late { doing: "delete", name, waited });
            }
            deadline.pause(LOOK).await;
        }
        // No container is left, so kind's error does not matter.
        drop(by_kind);
        if !network || shared {
            return Ok(None);
        }
        self.remove_network(name, deadline).await
    }

    /// Removes the cluster's own network. Containers that were just removed may stay in it for a moment. If it has a
    /// container of somebody else, the engine refuses and the network stays; returns a message about that.
    async fn remove_network(&self, name: &str, deadline: Deadline) -> Result<Option<String>, ClusterError> {
        let removed = retry::try_until(deadline, retry::every(LOOK), || async {
            let Err(error) = self.clusters.engine.remove_network(name).await else { return Ok(Ok(None)) };
            let mut users = self.clusters.engine.containers(&[]).await?;
            users.retain(|c| c.networks.iter().any(|network| network == name));
            let is_strange =
                |c: &Container| c.labels.get(CLUSTER_LABEL).is_none_or(|cluster| cluster != name);
            if !users.is_empty() && users.iter().all(is_strange) {
                let users = users.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
                let users = sanitise::line(&users);
                return Ok(Ok(Some(format!(
                    "network {name} stays, because {users} uses it; once nobody needs it: docker network rm {name}"
                ))));
            }
            Ok::<_, ClusterError>(Err(error))
        });
        Ok(removed.await?.map_err(|late| late.last)?)
    }

    /// Takes the lock that allows one creation at a time in a state folder: parallel creations race for docker's
    /// network and are slower than sequential ones. The lock is handed to kind, which holds it while it runs.
    ///
    /// # Errors
    /// [`ClusterError::Late`].
    pub async fn creation_lock(
        &self,
        name: &str,
        deadline: Deadline,
        detail: &mut impl FnMut(&str),
    ) -> Result<File, ClusterError> {
        let path = self.clusters.settings.state.join("create.lock");
        locked(&path, name, deadline, || detail("waiting: another cluster is being created")).await
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.clusters.settings.cluster_dir(name)
    }

    pub fn command<'s>(&self, args: impl IntoIterator<Item = &'s str>) -> Exec {
        Exec::new(self.clusters.settings.kind.as_os_str())
            .args(args)
            // Use docker, because the nodes are controlled through docker; kind would use the first provider that it
            // finds.
            .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
            // Without this, the docker program would use the context that is current now.
            .env("DOCKER_HOST", self.clusters.engine.host())
    }
}

/// Takes a lock that one creation holds at a time. `waits` is called once if another creation holds it.
pub(crate) async fn locked(
    path: &Path,
    name: &str,
    deadline: Deadline,
    mut waits: impl FnMut(),
) -> Result<File, ClusterError> {
    let lock = File::options().create(true).truncate(false).write(true).read(true).open(path);
    let lock = lock.map_err(|e| ClusterError::file("open", path, e))?;
    let mut said = false;
    let taken = retry::try_until(deadline, retry::every(LOOK), || {
        ready(match lock.try_lock() {
            Ok(()) => Ok(Ok(())),
            Err(std::fs::TryLockError::Error(e)) => Err(ClusterError::file("lock", path, e)),
            Err(std::fs::TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut said, true) {
                    waits();
                }
                Ok(Err(()))
            }
        })
    });
    let doing = "wait for another creation before that of";
    let late = |late: Late<()>| ClusterError::Late { doing, name: name.into(), waited: late.waited };
    taken.await?.map_err(late)?;
    Ok(lock)
}

/// Returns kind's line without its bullet: ` • Preparing nodes 📦 📦 ...` becomes `Preparing nodes`.
fn step(line: &str) -> &str {
    let line = line.trim_start_matches([' ', '•', '✓', '✗']);
    let end = line.find(|c: char| !c.is_ascii()).unwrap_or(line.len());
    line[..end].trim_end_matches([' ', '.'])
}

fn output(error: &ExecError) -> String {
    match error {
        ExecError::Failed { stdout, stderr, status, .. } => {
            format!("{stdout}{stderr}\nended with {status}\n")
        }
        ExecError::Timeout { stderr, waited, .. } => {
            format!("{stderr}\nkilled after {:.1} s\n", waited.as_secs_f64())
        }
        ExecError::Start { .. } => error.to_string(),
    }
}

/// Returns every line of kind's error: what kind was doing, and the output of the command that failed (for kubeadm
/// only its error). Leaves out the Go stack below it.
fn reason(error: &ExecError) -> String {
    let text = match error {
        ExecError::Timeout { waited, stderr, .. } => {
            let last = stderr.lines().rev().map(step).find(|l| !l.is_empty()).unwrap_or("no output");
            return format!("kind did not finish within {:.1} s; last: {last}", waited.as_secs_f64());
        }
        ExecError::Failed { stderr, .. } => stderr,
        ExecError::Start { .. } => return error.to_string(),
    };
    let mut lines: Vec<&str> = kubeadm_output::said(text).skip_while(|l| !l.starts_with(ERROR)).collect();
    let Some(first) = lines.first_mut() else { return crate::exec::tail(text) };
    *first = first.strip_prefix("ERROR: failed to create cluster: ").unwrap_or(&first[ERROR.len()..]);
    let errors = kubeadm_output::errors(text);
    if let (false, Some(output)) = (errors.is_empty(), lines.iter().position(|l| l.starts_with(OUTPUT))) {
        // kubeadm reports each of its steps; the reason of the failure comes last.
        lines.truncate(output);
        lines.extend(errors);
    }
    kubeadm_output::joined(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_without_bullets_and_symbols() {
        assert_eq!(step(" • Preparing nodes 📦 📦 📦   ..."), "Preparing nodes");
        assert_eq!(step(" ✓ Starting control-plane 🕹️"), "Starting control-plane");
        assert_eq!(step("Creating cluster \"x\" ..."), "Creating cluster \"x\"");
    }

    #[tokio::test]
    async fn the_reason_is_every_line_of_the_error_without_the_stack() {
        let failed = async |stderr: &str| {
            let exec = Exec::new("sh").args(["-c", "cat >&2; exit 1"]).stdin(stderr);
            reason(&exec.run(Deadline::after(Duration::from_secs(5))).await.unwrap_err())
        };
        let kubeadm = "\
ERROR: failed to create cluster: failed to init node with kubeadm: command \"docker exec n kubeadm init\" failed with error: exit status 1
Command Output: I1124 initconfiguration.go:260] loading configuration
error: error execution phase wait-control-plane: the kubelet is not healthy
To see the stack trace of this error execute with --v=5 or higher
\tsigs.k8s.io/kind/main.go:12
";
        assert_eq!(
            failed(kubeadm).await,
            "failed to init node with kubeadm: command \"docker exec n kubeadm init\" failed with error: exit status 1 | \
             error: error execution phase wait-control-plane: the kubelet is not healthy",
        );
        let cni = "ERROR: failed to create cluster: failed to read CNI manifest: command \"cat\" failed with error: exit status 126\n";
        assert_eq!(
            failed(cni).await,
            "failed to read CNI manifest: command \"cat\" failed with error: exit status 126",
        );
        let network = "\
Creating cluster \"x\" ...
ERROR: failed to create cluster: failed to ensure docker network: command \"docker network create kind\" failed with error: exit status 1
Command Output: Error response from daemon: all predefined address pools have been fully subnetted
";
        assert_eq!(
            failed(network).await,
            "failed to ensure docker network: command \"docker network create kind\" failed with error: exit status 1 | \
             Command Output: Error response from daemon: all predefined address pools have been fully subnetted",
        );
        assert_eq!(failed("odd\n").await, "odd");
    }
}
