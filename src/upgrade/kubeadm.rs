//! Runs kubeadm on a node as a systemd unit. The unit continues if the process that started it is killed, and a later
//! process finds it again.

use std::time::{Duration, Instant};

use futures::TryFutureExt as _;

use super::error::UpgradeError;
use super::{Upgrading, programs_dir};
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
use crate::exec::tail;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::kubeadm_output;
use crate::kubernetes::version::Version;
use crate::node::Node;
use crate::retry::{self, Late};
use crate::{sanitise, secret};

/// The kubeadm command to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// `kubeadm upgrade apply`, on the first control plane.
    Apply,
    /// `kubeadm upgrade node`, on every other node.
    Node,
}

/// Time between two checks of a running kubeadm.
const LOOK: Duration = Duration::from_millis(500);
/// Time for one request to a node; a node under load may take long to answer.
const ASK: Duration = Duration::from_secs(60);

/// A fingerprint of the files that kubeadm changes first on a node: its files in /etc/kubernetes (manifests,
/// certificates, kubeconfigs and their backups), and the kubelet's configuration.
const PRINT: &str = "find /etc/kubernetes /var/lib/kubelet/*.yaml /var/lib/kubelet/*.env -type f \
  -exec sha256sum {} + 2>/dev/null | sort | sha256sum";

/// Compares with the fingerprint from before kubeadm began. If kubeadm failed in its checks, nothing has changed,
/// whatever its error text is.
const UNCHANGED: &str = r#"[ "$(eval "$PRINT")" = "$(cat "$1")" ]"#;

/// Starts the unit unless it is running. Type oneshot with RemainAfterExit keeps the result until the node stops. A
/// unit that ended successfully is stopped and started again: the plan has this step only if its effect is not
/// visible.
const START: &str = r#"set -e
unit=$1 log=$2
shift 2
state=$(systemctl show --property ActiveState --value "$unit")
case $state in
  activating | reloading) exit 0 ;;
  active) systemctl stop "$unit" ;;
esac
eval "$PRINT" > "$log.before"
systemctl reset-failed "$unit" 2>/dev/null || true
touch /kind/upgrade/running
: > "$log"
exec systemd-run --quiet --no-block --unit "$unit" --service-type oneshot --remain-after-exit \
  --property "StandardOutput=append:$log" --property "StandardError=append:$log" \
  --setenv HOME=/root "$@""#;

/// Runs kubeadm of the new release until it ends; returns how long that took.
pub(super) async fn run(
    up: &Upgrading<'_>,
    node: &Node,
    job: Job,
    deadline: Deadline,
) -> Result<Duration, UpgradeError> {
    let began = Instant::now();
    let dir = programs_dir(up.to);
    let (config, log) = (format!("{dir}/upgrade.yaml"), format!("{dir}/kubeadm.log"));
    let unit = unit(up.to);
    let cgroup = up.cgroup_of(&node.name);
    // Use a separate file: the node's entrypoint renews certificates with kind's own /kind/kubeadm.conf.
    let text = configuration(up.to, up.etcd, cgroup);
    up.engine.exec_ok(&node.name, &["cp", "/dev/stdin", &config], Some(text.into_bytes()), deadline).await?;
    let program = format!("{dir}/kubeadm");
    let asked = command(up.to, up.etcd, cgroup, job, &config);
    let start = format!("PRINT='{PRINT}'\n{START}");
    let mut words = vec!["bash", "-c", &start, "start", &unit, &log, &program];
    words.extend(asked.iter().map(String::as_str));
    up.engine.exec_ok(&node.name, &words, None, deadline).await?;
    ended(up, node, &unit, &log, deadline).await?;
    up.engine.exec_ok(&node.name, &["rm", "-f", "/kind/upgrade/running"], None, deadline).await?;
    Ok(began.elapsed())
}

/// Repairs the effect of a kubeadm that was killed together with its node between two renames: copies back a static
/// pod's manifest that exists only in the newest backup folder, because without it the component is down.
const PUT_BACK: &str = r#"set -e
[ -f /kind/upgrade/running ] && [ -f /etc/kubernetes/admin.conf ] || exit 0
manifests=/etc/kubernetes/manifests
for component in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  [ ! -f "$manifests/$component.yaml" ] || continue
  backup=$(ls -1d /etc/kubernetes/tmp/kubeadm-backup-manifests-*/"$component.yaml" 2>/dev/null | sort | tail -1)
  [ -z "$backup" ] || { cp "$backup" "$manifests/$component.yaml"; echo "$component"; }
done
rm -f /kind/upgrade/running"#;

/// Waits until a kubeadm of an interrupted upgrade has ended, with any result, then puts back manifests that a killed
/// kubeadm moved away. Returns the components that were missing.
pub(super) async fn mend(
    engine: &Engine,
    node: &Node,
    to: Version,
    deadline: Deadline,
) -> Result<Vec<String>, UpgradeError> {
    let unit = unit(to);
    let ask = ["systemctl", "show", "--property", "ActiveState", "--value", &unit];
    let ended = retry::try_until(deadline, retry::every(LOOK), || async {
        match engine.exec_ok(&node.name, &ask, None, deadline.at_most(ASK)).await {
            Ok(state) if !matches!(state.trim(), "activating" | "reloading") => Ok(Ok(())),
            Ok(state) => Ok(Err(state)),
            // On a node that was just started, systemd does not answer yet.
            Err(error @ (EngineError::Command { .. } | EngineError::Timeout { .. })) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error),
        }
    });
    ended.await?.map_err(|late| UpgradeError::late(format!("kubeadm on {} ends", node.name), late))?;
    let back = engine.exec_ok(&node.name, &["bash", "-c", PUT_BACK], None, deadline.at_most(ASK)).await?;
    Ok(back.lines().map(str::to_owned).collect())
}

fn unit(to: Version) -> String {
    format!("seatrial-kubeadm-{to}.service")
}

async fn ended(
    up: &Upgrading<'_>,
    node: &Node,
    unit: &str,
    log: &str,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let look = [
        "bash",
        "-c",
        r#"systemctl show --property ActiveState --value "$1"; tail -n 200 "$2""#,
        "look",
        unit,
        log,
    ];
    let ended = retry::try_until(deadline, retry::every(LOOK), || async {
        let said = match up.engine.exec_ok(&node.name, &look, None, deadline.at_most(ASK)).await {
            Ok(said) => said,
            Err(error @ EngineError::Timeout { .. }) => return Ok(Err(Err(error))),
            Err(error) => return Err(error.into()),
        };
        let (state, lines) = said.split_once('\n').unwrap_or((&said, ""));
        up.detail(lines.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default().trim());
        match state.trim() {
            "active" => Ok(Ok(())),
            "activating" | "reloading" => Ok(Err(Ok(tail(lines)))),
            _ => Err(failed(up, node, log, lines, deadline).await),
        }
    });
    let Err(Late { last, waited }) = ended.await? else { return Ok(()) };
    let what = format!("kubeadm on {} ends", node.name);
    Err(UpgradeError::Late { what, waited, last: last? })
}

/// Creates the error for a failed kubeadm: it depends on whether kubeadm had changed anything on its node.
async fn failed(up: &Upgrading<'_>, node: &Node, log: &str, lines: &str, deadline: Deadline) -> UpgradeError {
    let (before, script) = (format!("{log}.before"), format!("PRINT='{PRINT}'\n{UNCHANGED}"));
    let ask = ["bash", "-c", &script, "unchanged", &before];
    let same = up.engine.exec(&node.name, &ask, None, deadline.at_most(ASK)).await;
    let (node, said, log) = (node.name.clone(), reason(lines), log.to_owned());
    match same {
        Ok(same) if same.code == 0 => UpgradeError::NotBegun { node, said, log },
        _ => UpgradeError::Kubeadm { node, said, log },
    }
}

/// Returns every line of kubeadm's own error, or the last lines of its output if it printed no error.
fn reason(lines: &str) -> String {
    match kubeadm_output::errors(lines) {
        errors if errors.is_empty() => tail(lines),
        errors => sanitise::line(&secret::hide_shapes(&kubeadm_output::joined(&errors))),
    }
}

/// Waits until the node's kubelet is allowed to read what `kubeadm upgrade node` reads with its credentials: right
/// after a restart, the API server does not have all its RBAC rules.
pub(super) async fn may_read(
    up: &Upgrading<'_>,
    node: &Node,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let kubectl = format!("{}/kubectl", programs_dir(up.to));
    let ask = [
        kubectl.as_str(),
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--namespace=kube-system",
        "--request-timeout=5s",
        "get",
        "configmap",
        "kubelet-config",
        "--output=name",
    ];
    let asked = retry::until(deadline, retry::every(LOOK), || {
        let asked = up.engine.exec_ok(&node.name, &ask, None, deadline.at_most(Duration::from_secs(30)));
        asked.map_err(|error| tail(&error.to_string()))
    });
    let what = || format!("the kubelet of {} is allowed to read its configuration", node.name);
    asked.await.map(drop).map_err(|late| UpgradeError::late(what(), late))
}

/// Migrates /kind/kubeadm.conf to a version that the new kubeadm reads. kind writes v1beta3 for releases before 1.36,
/// and kubeadm 1.35 is the last one that reads it. The node's entrypoint passes the file to the installed kubeadm.
pub(super) async fn migrate(up: &Upgrading<'_>, node: &Node, deadline: Deadline) -> Result<(), UpgradeError> {
    if !up.to.is_of_or_after(1, 36) || node.role != crate::node::Role::ControlPlane {
        return Ok(());
    }
    const MIGRATE: &str = r#"set -e
conf=/kind/kubeadm.conf
grep -q 'kubeadm.k8s.io/v1beta3' "$conf" || exit 0
/usr/bin/kubeadm config migrate --old-config "$conf" --new-config "$conf.new"
mv "$conf.new" "$conf""#;
    up.engine.exec_ok(&node.name, &["bash", "-c", MIGRATE], None, deadline).await?;
    Ok(())
}

/// Reports whether kubeadm of this release accepts an UpgradeConfiguration; earlier releases need flags.
fn takes_configuration(to: Version) -> bool {
    to.is_of_or_after(1, 31)
}

/// Returns the UpgradeConfiguration (kubeadm.k8s.io/v1beta4). The only check that it ignores is SystemVerification,
/// and only on hosts with cgroup v1, which that check reports as an error.
fn configuration(to: Version, etcd: EtcdPolicy, cgroup: u8) -> String {
    let etcd = etcd == EtcdPolicy::Upgrade;
    let ignored =
        ignored(cgroup).map(|check| format!("  ignorePreflightErrors: [{check}]\n")).unwrap_or_default();
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: UpgradeConfiguration\napply:\n  kubernetesVersion: v{to}\n  forceUpgrade: true\n  etcdUpgrade: {etcd}\n{ignored}node:\n  etcdUpgrade: {etcd}\n{ignored}"
    )
}

/// Returns kubeadm's arguments.
fn command(to: Version, etcd: EtcdPolicy, cgroup: u8, job: Job, config: &str) -> Vec<String> {
    let mut words: Vec<String> = vec!["upgrade".into()];
    words.push(if job == Job::Apply { "apply" } else { "node" }.into());
    if takes_configuration(to) {
        words.extend(["--config".into(), config.into()]);
        return words;
    }
    if job == Job::Apply {
        words.extend([format!("v{to}"), "--yes".into()]);
    }
    words.push(format!("--etcd-upgrade={}", etcd == EtcdPolicy::Upgrade));
    words.extend(ignored(cgroup).map(|check| format!("--ignore-preflight-errors={check}")));
    words
}

fn ignored(cgroup: u8) -> Option<&'static str> {
    (cgroup == 1).then_some("SystemVerification")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_check_is_ignored_and_only_on_cgroup_v1() {
        let to = Version::new(1, 35, 4);
        insta::assert_snapshot!(configuration(to, EtcdPolicy::Keep, 1), @"
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: UpgradeConfiguration
        apply:
          kubernetesVersion: v1.35.4
          forceUpgrade: true
          etcdUpgrade: false
          ignorePreflightErrors: [SystemVerification]
        node:
          etcdUpgrade: false
          ignorePreflightErrors: [SystemVerification]
        ");
        let text = configuration(to, EtcdPolicy::Upgrade, 2);
        assert!(!text.contains("ignore") && text.contains("etcdUpgrade: true"), "{text}");
        assert_eq!(command(to, EtcdPolicy::Keep, 1, Job::Node, "/c"), ["upgrade", "node", "--config", "/c"]);
    }

    #[test]
    fn an_old_kubeadm_gets_flags() {
        let words = command(Version::new(1, 30, 14), EtcdPolicy::Keep, 1, Job::Apply, "/c");
        let wanted = [
            "upgrade",
            "apply",
            "v1.30.14",
            "--yes",
            "--etcd-upgrade=false",
            "--ignore-preflight-errors=SystemVerification",
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn the_reason_is_kubeadms_error() {
        let said = "[upgrade] x\nerror: error execution phase control-plane: no\nTo see the stack trace\n";
        assert_eq!(reason(said), "error: error execution phase control-plane: no");
        assert_eq!(reason("one\ntwo\n\n"), "one | two");
    }
}
