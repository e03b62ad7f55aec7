//! kind passes the proxies of its environment to the nodes, and a cluster keeps the proxies that it was created with.

use std::sync::{Arc, Mutex};

use seatrial::cluster::{Access, ClusterError, Clusters, THREE};
use seatrial::config::Proxies;
use seatrial::progress::{Progress, Update};

use crate::state_folder::{Ground, NAME, soon, spec};

/// A proxy that only this machine reaches.
fn loopback() -> Proxies {
    Proxies { http: None, https: Some("http://127.0.0.1:9".into()) }
}

#[tokio::test]
async fn doctor_names_a_proxy_on_the_loopback_and_no_password() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let said =
        ground.said_with(&[("https_proxy", "http://jane:s3cr3t-value@localhost:9")], &["doctor"]).await;
    let line = "missing  proxy for nodes: HTTPS_PROXY is http://localhost:9: ";
    assert!(said.contains(line) && !said.contains("s3cr3t-value"), "{said}");
    let said = ground.said_with(&[("HTTP_PROXY", "http://10.0.0.1:3128")], &["doctor"]).await;
    assert!(
        said.contains("ok       proxy for nodes: HTTP_PROXY http://10.0.0.1:3128, no HTTPS_PROXY"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn no_cluster_is_created_with_a_loopback_proxy() -> anyhow::Result<()> {
    let mut ground = Ground::new()?;
    ground.fake.state().containers.clear();
    ground.settings.proxies = loopback();
    let made = ground.clusters().await.acquire(&spec(&THREE), Access::Shared, soon()).await;
    assert!(matches!(&made, Err(ClusterError::Proxy(_))), "{made:?}");
    let left = std::fs::read_dir(ground.settings.state.join("clusters"));
    assert_eq!(left.map_or(0, Iterator::count), 0);
    Ok(())
}

#[tokio::test]
async fn a_cluster_with_other_proxies_is_used_with_a_notice() -> anyhow::Result<()> {
    for (given, said) in [(None, false), (Some(Proxies::default()), true), (Some(loopback()), false)] {
        let mut ground = Ground::new()?;
        ground.settings.proxies = loopback();
        ground.recorded(NAME, |record| record.proxies = given.clone())?;
        let (lines, engine) = (Arc::new(Mutex::new(Vec::new())), ground.fake.client().await?);
        let kept = lines.clone();
        let progress = Progress::new(move |update| {
            if let Update::Said(text) = update {
                kept.lock().unwrap().push(text.to_owned());
            }
        });
        let clusters = Clusters::new(ground.settings.clone(), engine, progress, "test");
        // The fake publishes no API server. The lease fails after it has compared the proxies.
        let failed = clusters.existing(NAME, Access::Shared, soon()).await;
        assert!(matches!(failed, Err(ClusterError::WrongKubeconfig { .. })), "{failed:?}");
        let line = "its nodes were created with no HTTP_PROXY, no HTTPS_PROXY; the current setting is no HTTP_PROXY, \
HTTPS_PROXY http://127.0.0.1:9: ";
        assert_eq!(lines.lock().unwrap().iter().any(|text| text.contains(line)), said, "{given:?} {lines:?}");
    }
    Ok(())
}
