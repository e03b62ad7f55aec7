//! A cluster's own kubeconfig: derived from the control plane's kubeconfig, and compared with it before each use.

use std::net::SocketAddr;

use kube::config::{Cluster, Kubeconfig};

/// Path of the administrator's kubeconfig that kubeadm writes on a control plane.
pub(crate) const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

/// Returns why a kubeconfig does not belong to the cluster whose control plane has this `admin_conf` and is published
/// at `server`; `None` if it belongs. The kubeconfig of another cluster must never be used, because later operations
/// delete objects.
pub(crate) fn mismatch(text: &str, server: SocketAddr, admin_conf: &str) -> Option<String> {
    let (Some(ours), Some(theirs)) = (cluster(text), cluster(admin_conf)) else {
        return Some("it contains no cluster".into());
    };
    let wanted = format!("https://{server}");
    let found = ours.server.unwrap_or_default();
    if found.trim_end_matches('/') != wanted {
        return Some(format!("its server is {found}, the cluster's is {wanted}"));
    }
    if ours.certificate_authority_data.is_none()
        || ours.certificate_authority_data != theirs.certificate_authority_data
    {
        return Some("its certificate authority is not the cluster's".into());
    }
    None
}

/// Returns the control plane's kubeconfig with the server address that the host can reach.
pub(crate) fn for_host(admin_conf: &str, server: SocketAddr) -> String {
    let line = |line: &str| match line.split_once("server:") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}server: https://{server}\n"),
        _ => format!("{line}\n"),
    };
    admin_conf.lines().map(line).collect()
}

/// Returns the cluster of the current context.
fn cluster(text: &str) -> Option<Cluster> {
    let config = Kubeconfig::from_yaml(text).ok()?;
    let current = config.current_context?;
    let context = config.contexts.into_iter().find(|c| c.name == current)?.context?;
    config.clusters.into_iter().find(|c| c.name == context.cluster)?.cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://c-control-plane:6443
  name: c
contexts:
- context:
    cluster: c
    user: admin
  name: admin@c
current-context: admin@c
users:
- name: admin
  user: {}
";

    fn server() -> SocketAddr {
        "127.0.0.1:40123".parse().unwrap()
    }

    #[test]
    fn the_kubeconfig_for_the_host_matches() {
        let ours = for_host(ADMIN, server());
        assert!(ours.contains("    server: https://127.0.0.1:40123\n"), "{ours}");
        assert_eq!(mismatch(&ours, server(), ADMIN), None);
    }

    #[test]
    fn another_server_or_another_authority_is_refused() {
        let reason = mismatch(ADMIN, server(), ADMIN).unwrap();
        assert!(reason.contains("c-control-plane:6443"), "{reason}");
        let other = for_host(ADMIN, server()).replace("QUJD", "REVG");
        assert!(mismatch(&other, server(), ADMIN).unwrap().contains("authority"));
        let without =
            for_host(ADMIN, server()).replace("certificate-authority-data: QUJD", "tls-server-name: c");
        assert!(mismatch(&without, server(), ADMIN).is_some());
        assert!(mismatch("", server(), ADMIN).is_some());
    }
}
