//! The fault of a node that is cut off from the network.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::inside::{Inside, LASTS};
use super::{Checked, Fault, FaultError, Given, Target};
use crate::deadline::Deadline;
use crate::node::Node;

/// Drops every packet that leaves a node's container or arrives there, with rules of the packet filter in the node's
/// own network namespace.
///
/// The node keeps its interface, address, routes and published ports. Unplugging the node from the engine's network
/// would lose them: kind's network has no user-chosen subnet, so the same address cannot be requested again.
/// Connections stay open and silent, as behind a dead switch. Traffic within the node and commands in it continue to
/// work. The rules end with the network namespace, so a restart of the node removes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutNode {
    name: &'static str,
    ways: &'static str,
}

impl CutNode {
    /// Drops packets in both directions.
    pub const OFF: Self = Self { name: "cut", ways: "in out" };
    /// Drops arriving packets: the node's packets arrive elsewhere, the answers do not come back.
    pub const IN: Self = Self { name: "cut-in", ways: "in" };
    /// Drops leaving packets: the node receives packets of others, but others receive none of its packets.
    pub const OUT: Self = Self { name: "cut-out", ways: "out" };

    fn inside(&self) -> Inside {
        Inside { fault: self.name, script: SCRIPT, args: vec![self.ways.into()] }
    }
}

/// The chains are hooked in as the first rule: into PREROUTING for arriving packets, and into POSTROUTING for leaving
/// packets, which include the pods'. The counters of dropped packets are the proof: the script connects to the gateway
/// and to the API server until some packets were dropped.
///
/// The rules of both IP families decide whether anything is left. If a node's IPv6 filter does not answer, the IPv4
/// rules decide alone, unless the injection noted that it created rules of both families: rules that cannot be read do
/// not count as gone. The note is kept in memory (tmpfs), like the rules.
const SCRIPT: &str = r#"
set -eu
ways=$1 verb=${2##*:}
both=${SEATRIAL_NOTES:-/run}/seatrial-cut-both
families="iptables"
if [ -e "$both" ] || ip6tables -w -t mangle -S >/dev/null 2>&1; then families="iptables ip6tables"; fi
chain() { [ "$1" = in ] && echo SEATRIAL-CUT-IN || echo SEATRIAL-CUT-OUT; }
hook() { [ "$1" = in ] && echo PREROUTING || echo POSTROUTING; }
side() { [ "$1" = in ] && echo -i || echo -o; }
rules() { # prints the rules of these families; fails if one cannot be read
  local f
  for f in $families; do "$f" -w -t mangle -S || return 1; done
}
there() { case $found in *"$(chain "$1")"*) true ;; *) false ;; esac; }
dropped() { # WAY
  local sum=0 pkts rest f
  for f in $families; do
    while read -r pkts rest; do
      case $rest in *DROP*) sum=$((sum + pkts)) ;; esac
    done < <("$f" -w -t mangle -nvxL "$(chain "$1")" 2>/dev/null)
  done
  echo "$sum"
}
inject() {
  local way f uplink
  uplink=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  [ -n "$uplink" ] || { echo "it has no default route" >&2; exit 65; }
  [ "$families" = iptables ] || : > "$both"
  for way in $ways; do
    for f in $families; do
      "$f" -w -t mangle -N "$(chain "$way")"
      "$f" -w -t mangle -A "$(chain "$way")" "$(side "$way")" "$uplink" -j DROP
      "$f" -w -t mangle -I "$(hook "$way")" 1 -j "$(chain "$way")"
    done
  done
}
clear() {
  local way f
  for way in $ways; do
    for f in $families; do
      while "$f" -w -t mangle -D "$(hook "$way")" -j "$(chain "$way")" 2>/dev/null; do :; done
      "$f" -w -t mangle -F "$(chain "$way")" 2>/dev/null || true
      "$f" -w -t mangle -X "$(chain "$way")" 2>/dev/null || true
    done
  done
}
case $verb in
inject)
  inject
  gateway=$(ip -4 route show default | sed -n 's/.* via \([^ ]*\).*/\1/p' | head -n 1)
  server=$(sed -n 's#^ *server: https://\(.*\):[0-9]*$#\1#p' /etc/kubernetes/kubelet.conf 2>/dev/null | head -n 1)
  for try in $(seq 20); do
    missing=
    for way in $ways; do [ "$(dropped "$way")" -gt 0 ] || missing=$way; done
    [ -n "$missing" ] || break
    [ "$try" -lt 20 ] || { echo "no packet was dropped on the way $missing" >&2; exit 1; }
    for peer in $gateway $server; do timeout 0.5 bash -c ": >/dev/tcp/$peer/6443" 2>/dev/null || true; done
  done
  ;;
clear) clear ;;
esac
broken=false
found=$(rules)
for way in $ways; do
  ! there "$way" || broken=true
done
# One note covers both directions: remove it with the last rule.
case $found in *SEATRIAL-CUT-*) ;; *) [ "$verb" != clear ] || rm -f "$both" ;; esac
echo "broken=$broken"
for way in $ways; do
  there "$way" && echo "dropped_$way=$(dropped "$way")" || echo "rules_$way=0"
done
"#;

impl Fault for CutNode {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match self.ways {
            "in" => "drops every packet that arrives at the node: what it sends arrives, answers do not",
            "out" => "drops every packet that leaves the node: it hears the others, they do not hear it",
            _ => "cuts the node off the network, both ways: connections stay open and silent",
        }
    }

    fn proof(&self) -> &'static str {
        "packets were dropped on each way that is cut; its address"
    }

    fn cleared(&self) -> &'static str {
        "the rules are removed, the address was kept all along; a restart of the node does the same"
    }

    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(*self))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(async move { self.inside().check(target, deadline).await })
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { Ok(self.inside().inject(checked, deadline).await?.into()) })
    }

    fn lasts(&self) -> Duration {
        LASTS
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { self.inside().clear(node, deadline).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Exec, ExecError};
    use std::path::Path;

    /// A fake packet filter that stores its chains as files, in one folder for each IP family. A file `silent` in a
    /// family's folder makes its program fail.
    const FILTER: &str = r#"#!/bin/bash
dir=$FILTER/${0##*/}
mkdir -p "$dir"
[ ! -e "$dir/silent" ] || { echo "can't initialize" >&2; exit 3; }
shift 3
case $1 in
-S) cd "$dir"; for c in *; do [ -e "$c" ] || continue; echo "-N $c"; cat "$c"; done ;;
-N) [ ! -e "$dir/$2" ] || exit 1; : > "$dir/$2" ;;
-A) echo "-A $2 ${*:3}" >> "$dir/$2" ;;
-I) echo "-A $2 -j $5" >> "$dir/hooks" ;;
-D) grep -qs -e "-A $2 -j $4" "$dir/hooks" || exit 1; sed -i "/-A $2 -j $4/d" "$dir/hooks" ;;
-F) [ -e "$dir/$2" ] || exit 1; : > "$dir/$2" ;;
-X) [ -e "$dir/$2" ] || exit 1; rm "$dir/$2" ;;
-nvxL) echo "  9  540 DROP  all" ;;
-nL) [ -e "$dir/$2" ] || exit 1 ;;
esac
"#;

    fn programs(dir: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let route = "#!/bin/bash\necho 'default via 10.0.0.1 dev eth0'\n";
        for (name, text) in [("iptables", FILTER), ("ip6tables", FILTER), ("ip", route)] {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    async fn run(dir: &Path, verb: &str) -> Result<String, ExecError> {
        let script = format!("PATH=$FAKES:$PATH\n{SCRIPT}");
        let script = Exec::new("bash").args(["-c", &script, "seatrial", "in out", &format!("cut:{verb}")]);
        let script = script.env("FAKES", dir).env("FILTER", dir.join("rules")).env("SEATRIAL_NOTES", dir);
        script.run(Deadline::after(Duration::from_secs(60))).await.map(|out| out.stdout)
    }

    #[tokio::test]
    async fn rules_of_either_ip_family_count_as_broken() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        programs(dir);
        let six = dir.join("rules/ip6tables");
        assert!(run(dir, "look").await.unwrap().starts_with("broken=false"));
        assert!(run(dir, "inject").await.unwrap().starts_with("broken=true"));
        assert!(six.join("SEATRIAL-CUT-IN").exists());
        // Only IPv6 rules are left: those of IPv4 are gone, as after a killed clear.
        std::fs::remove_dir_all(dir.join("rules/iptables")).unwrap();
        assert!(run(dir, "look").await.unwrap().starts_with("broken=true"));
        // Rules that cannot be read do not count as gone.
        std::fs::write(six.join("silent"), "").unwrap();
        let error = run(dir, "clear").await.unwrap_err().to_string();
        assert!(error.contains("can't initialize"), "{error}");
        std::fs::remove_file(six.join("silent")).unwrap();
        assert!(run(dir, "clear").await.unwrap().starts_with("broken=false"));
        assert!(!six.join("SEATRIAL-CUT-IN").exists() && !six.join("SEATRIAL-CUT-OUT").exists());
        // A repeated clear, and a node without IPv6.
        std::fs::write(six.join("silent"), "").unwrap();
        assert!(run(dir, "clear").await.unwrap().starts_with("broken=false"));
        std::fs::write(dir.join("rules/iptables/silent"), "").unwrap();
        assert!(run(dir, "clear").await.is_err(), "IPv4's cannot be read");
        std::fs::remove_file(six.join("silent")).unwrap();
        assert!(run(dir, "clear").await.is_err(), "IPv4's cannot be read, IPv6's can");
    }
}
