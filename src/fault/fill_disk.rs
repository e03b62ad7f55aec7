//! The fault of a node whose disk is full.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::api::{Api, node_path};
use super::inside::{Facts, Inside, LASTS};
use super::{Checked, Fault, FaultError, Given, Parameter, Target};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::Node;
use crate::retry;

/// Fills a node's disk by a bounded amount, and makes the kubelet believe that the disk is full.
///
/// The nodes of a kind cluster have no disks of their own. `/var` is a volume on the host's disk, so filling the disk
/// completely would fill the host, and kind turns the kubelet's disk limits off. This fault writes a file of
/// [`bytes`](FillDisk::bytes) and gives the kubelet a limit (a soft eviction threshold) between the space that was free
/// before and the space that is free after. The kubelet then reports DiskPressure, and the scheduler keeps pods away.
/// Writers on the node do **not** get `ENOSPC`: the host's disk has room left, and must have.
///
/// A soft threshold evicts nothing until [`evict_after`](FillDisk::evict_after) has passed. After that the kubelet
/// evicts pods and deletes unused images. The images are not restored when the fault is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillDisk {
    /// Size of the file in bytes; default 1 GiB. Refused unless 5 GiB stay free on the disk.
    pub bytes: u64,
    /// How long the kubelet tolerates the pressure before it evicts pods; default 24 h.
    pub evict_after: Duration,
}

/// Bytes that must stay free on the disk that the nodes share with the host.
pub const ROOM: u64 = 5 << 30;
/// Timeout for the condition: the kubelet checks its disk every 10 s, and reports within another 10 s.
const NOTICED: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(500);
const NAME: &str = "fill-disk";

impl FillDisk {
    /// A file of 1 GiB, and no evictions.
    pub const DEFAULT: Self = Self { bytes: 1 << 30, evict_after: Duration::from_secs(24 * 3600) };

    fn inside(&self) -> Inside {
        let grace = format!("{}s", self.evict_after.as_secs().max(1));
        Inside { fault: NAME, script: SCRIPT, args: vec![self.bytes.to_string(), grace] }
    }

    async fn checked(&self, target: &Target, deadline: Deadline) -> Result<Checked, FaultError> {
        let checked = self.inside().check(target, deadline).await?;
        let free = checked.found.get("free_bytes").and_then(Value::as_u64).unwrap_or_default();
        if free < self.bytes.saturating_add(ROOM) {
            let (node, bytes) = (target.node.name.clone(), self.bytes);
            return Err(FaultError::NoRoom { node, bytes, free, room: ROOM });
        }
        Ok(checked)
    }

    /// Waits until the API shows the condition. The control plane then taints the node.
    async fn noticed(&self, target: &Target, deadline: Deadline) -> Result<Value, FaultError> {
        let api = Api::of(&target.node).await?;
        let limit = deadline.at_most(NOTICED);
        let look = || async {
            let node = api.get(&node_path(&target.node.name), limit).await;
            match node.ok().flatten().as_ref().and_then(pressure) {
                Some(condition) if condition["status"] == "True" => Ok(condition),
                last => Err(last),
            }
        };
        retry::until(limit, retry::every(LOOK), look).await.map_err(|late| {
            let found = late.last.map_or_else(|| "no DiskPressure condition".into(), |c| c.to_string());
            FaultError::Unproved { fault: NAME, node: target.node.name.clone(), what: "took no hold", found }
        })
    }
}

impl Default for FillDisk {
    fn default() -> Self {
        Self::DEFAULT
    }
}

fn pressure(node: &Value) -> Option<Value> {
    let conditions = node["status"]["conditions"].as_array()?;
    conditions.iter().find(|c| c["type"] == "DiskPressure").cloned()
}

/// The limit is mounted over the kubelet's configuration, so a restart of the node drops the limit; only the file must
/// be removed. The marker of the limit (`$over`) is removed last: a later clear that finds the marker restarts the
/// kubelet once more. A kubelet that is about to restart still answers, with the limit in its memory: only a process
/// other than the noted one (`$was`) proves that the limit is gone.
const SCRIPT: &str = r#"
set -eu
bytes=$1 grace=$2 verb=${3##*:}
dir=/var/lib/seatrial-fill conf=/var/lib/kubelet/config.yaml over=/run/seatrial-fill.yaml was=/run/seatrial-fill.pid
mounted() { grep -q " $conf " /proc/self/mountinfo; }
pid() { systemctl show --property MainPID --value kubelet; }
free() { df -B1 --output=avail /var/lib/kubelet | tail -n 1 | tr -d ' '; }
serves() { [ "$(curl -s --max-time 2 http://127.0.0.1:10248/healthz || true)" = ok ]; }
case $verb in
inject)
  ! grep -q '^evictionSoft' "$conf" || { echo "its kubelet has soft eviction thresholds already" >&2; exit 65; }
  before=$(free)
  limit=$((before - bytes / 2))
  {
    cat "$conf"
    printf '\nevictionSoft: {nodefs.available: "%s"}\nevictionSoftGracePeriod: {nodefs.available: %s}\n' "$limit" "$grace"
  } > "$over"
  mount --bind "$over" "$conf"
  systemctl restart kubelet
  mkdir -p "$dir"
  fallocate -l "$bytes" "$dir/fill" 2>/dev/null || head -c "$bytes" /dev/zero > "$dir/fill"
  for _ in $(seq 100); do ! serves || break; sleep 0.2; done
  echo "free_before_bytes=$before"
  echo "limit_bytes=$limit"
  ;;
clear)
  rm -rf "$dir"
  if [ -e "$over" ] || mounted; then
    while mounted; do umount "$conf"; done
    pid > "$was"
    systemctl restart --no-block kubelet
    rm -f "$over"
  fi
  ;;
esac
broken=false
[ ! -e "$dir" ] && [ ! -e "$over" ] && ! mounted || broken=true
if [ "$verb" = clear ]; then
  serves || broken=true
  if [ -e "$was" ] && { [ "$(pid)" = 0 ] || [ "$(pid)" = "$(cat "$was")" ]; }; then broken=true; else rm -f "$was"; fi
fi
echo "broken=$broken"
echo "free_bytes=$(free)"
echo "filled_bytes=$(stat -c %s "$dir/fill" 2>/dev/null || echo 0)"
"#;

impl Fault for FillDisk {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "fills the node's disk by a bounded amount, up to the limit that the kubelet is given: DiskPressure"
    }

    fn proof(&self) -> &'static str {
        "free bytes before, the limit, free bytes after; the node's DiskPressure condition is True"
    }

    fn effect(&self) -> Effect {
        Effect::Strained
    }

    fn cleared(&self) -> &'static str {
        "the file and the limit are removed, the kubelet is restarted and must serve"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[
            Parameter { name: "bytes", about: "size of the file that fills it", default: "1GiB" },
            Parameter {
                name: "evict-after",
                about: "how long the kubelet tolerates the full disk before it evicts pods and deletes images",
                default: "24h",
            },
        ]
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self {
            bytes: given.bytes(NAME, "bytes", self.bytes)?,
            evict_after: given.duration(NAME, "evict-after", self.evict_after)?,
        }))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(self.checked(target, deadline))
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let mut facts: Facts = self.inside().inject(checked, deadline).await?;
            let condition = self.noticed(&checked.target, deadline).await?;
            facts.insert("disk_pressure".into(), json!(condition["status"]));
            facts.insert("reason".into(), json!(condition["reason"]));
            Ok(facts.into())
        })
    }

    fn lasts(&self) -> Duration {
        LASTS
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { self.inside().clear(node, deadline).await })
    }
}
