//! Upgrades the cluster in place, while the application runs.

use std::time::Duration;

use super::super::ground::{Ground, START};
use super::super::probes;
use super::drain;
use crate::chain::chain;
use crate::judge::trial::facts::{UPGRADED, Upgraded};
use crate::scenario::{Failure, Scenario};
use crate::upgrade::{self, Ending, EtcdPolicy, Refusal, UpgradeError, UpgradeEvent, UpgradeOptions};

/// Time for an upgrade of one minor version: 12 to 20 minutes were measured on two cores.
pub const BUDGET: Duration = Duration::from_secs(40 * 60);
/// Time to build or pull a release: 14 minutes were measured on two cores for a release that must be compiled.
pub const OBTAIN: Duration = Duration::from_secs(40 * 60);

/// Builds or pulls what the upgrade needs, before anything of the application runs: a compiler uses the whole machine.
/// Refuses a version that the cluster cannot be upgraded to.
pub async fn obtain(s: &Scenario, to: &str) -> Result<(), Failure> {
    Ok(Box::pin(upgrade::obtain_releases(&s.clusters, &s.cluster, &options(to, drain::BUDGET))).await?)
}

/// Upgrades the cluster, and waits until the application is complete.
pub async fn upgrade(ground: &Ground<'_>, to: &str) -> Result<(), Failure> {
    let s = ground.s;
    let options = options(to, drain::BUDGET + drain::one_after_another(ground).await?);
    let watcher = |event: UpgradeEvent<'_>| {
        s.log.append(event.event());
        None
    };
    s.mark("upgrade");
    let work = Box::pin(upgrade::upgrade(&s.clusters, &s.cluster, &options, &watcher));
    let ended = match s.deadline().at_most(BUDGET).bound(work).await {
        Ok(Ok(done)) => match done.ending {
            Ending::Complete => (None, Vec::new()),
            Ending::Stopped { after, .. } => (Some(format!("it stopped after `{after}`")), Vec::new()),
        },
        Ok(Err(UpgradeError::Refused { refusals, .. })) => refused(&refusals),
        Ok(Err(error)) => (Some(chain(&error)), Vec::new()),
        Err(late) => (Some(late.to_string()), Vec::new()),
    };
    let (error, forbidden) = ended;
    s.observe(&UPGRADED, &Upgraded { to: to.to_owned(), error, forbidden });
    ground.settle("upgrade", START).await;
    probes::answered(ground).await;
    s.mark("upgraded");
    Ok(())
}

/// Returns why an upgrade was not begun: reasons that are not the application's, and those that are.
fn refused(refusals: &[Refusal]) -> (Option<String>, Vec<String>) {
    let is_of_pods = |refusal: &&Refusal| {
        matches!(
            refusal,
            Refusal::Budget { .. }
                | Refusal::Uncounted { .. }
                | Refusal::TwoBudgets { .. }
                | Refusal::Unmanaged { .. }
        )
    };
    let (pods, others): (Vec<&Refusal>, Vec<&Refusal>) = refusals.iter().partition(is_of_pods);
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let hinted = |refusal: &Refusal| match refusal.hint() {
        Some(hint) => format!("{refusal}. hint: {hint}"),
        None => refusal.to_string(),
    };
    let error = (!others.is_empty()).then(|| format!("it was not begun: {}", others.join("; ")));
    (error, pods.into_iter().map(hinted).collect())
}

fn options(to: &str, drain: Duration) -> UpgradeOptions {
    UpgradeOptions { to: to.to_owned(), etcd: EtcdPolicy::Upgrade, stop_after: None, drain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_a_pod_is_told_from_one_for_the_cluster() {
        let pod = |name: &str| Refusal::Unmanaged { pod: format!("shop/{name}"), node: "w".into() };
        let (error, forbidden) = refused(&[pod("a")]);
        assert_eq!(error, None);
        assert_eq!(
            forbidden,
            [
                "pod shop/a on w has no controller: a drain would delete it without a replacement. hint: delete the pod, \
                 or give it a controller"
            ]
        );
        let cordoned = Refusal::Cordoned { node: "w".into() };
        let (error, forbidden) = refused(&[cordoned, pod("a"), pod("b")]);
        assert_eq!(error.as_deref(), Some("it was not begun: w was cordoned by somebody else"));
        assert_eq!(forbidden.len(), 2);
    }
}
