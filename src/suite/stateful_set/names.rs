//! Asks inside pods for the addresses of other pods' names.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::judge::stateful_set::facts::{self, Answer, GaveUp};
use crate::scenario::{Failure, Scenario};
use crate::workload::exec;

/// Time after which a new address must be returned: kubeadm's CoreDNS caches answers for 30 s, and its own view of the
/// pods may be a moment old.
pub(super) const BUDGET: Duration = Duration::from_secs(60);
/// Time for asking: a late answer shows how late it was.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two questions: DNS answers cannot be watched.
const AGAIN: Duration = Duration::from_millis(500);
/// kubeadm's default domain of a cluster (`networking.dnsDomain`); kind does not change it.
const DOMAIN: &str = "cluster.local";
/// Exit code of `getent` for an unknown name (getent(1)).
const UNKNOWN: i32 = 2;

/// For each pod's name, asks in the next pod of the list until the answer is the pod's address or the time is up.
/// Records each answer that differs from the previous one.
pub(super) async fn ask_all(
    s: &Scenario,
    service: &str,
    when: &str,
    pods: &[DynamicObject],
) -> Result<(), Failure> {
    let next = |n: usize| &pods[(n + 1) % pods.len()];
    let all = pods.iter().enumerate().map(|(n, pod)| ask(s, service, when, pod, next(n)));
    try_join_all(all).await.map(drop)
}

async fn ask(
    s: &Scenario,
    service: &str,
    when: &str,
    pod: &DynamicObject,
    asker: &DynamicObject,
) -> Result<(), Failure> {
    let address = pod.data["status"]["podIP"].as_str().unwrap_or_default();
    let name = format!("{}.{service}.{}.svc", pod.name_any(), s.namespace);
    let (began, deadline) = (Instant::now(), s.deadline().at_most(PATIENCE));
    let mut last = None;
    let asked = question(&name);
    loop {
        let command = ["getent", database(address), &asked];
        let output =
            exec(&s.client, &s.namespace, &asker.name_any(), &command, s.deadline().at_most(BUDGET)).await?;
        if output.code != 0 && output.code != UNKNOWN {
            let why = output.stderr.trim().to_owned();
            return Err(
                format!("getent in pod {} exited with {}: {why}", asker.name_any(), output.code).into()
            );
        }
        let addresses = addresses(&output.stdout);
        if last.as_ref() != Some(&addresses) {
            let (asker, asker_uid) = (asker.name_any(), asker.uid().unwrap_or_default());
            let (when, name, waited) = (when.to_owned(), name.clone(), began.elapsed().as_secs_f64());
            let (asked, addresses) = (Some(asked.clone()), addresses.clone());
            let answer = Answer { when, name, asked, asker, asker_uid, addresses, waited };
            s.observe(&facts::ANSWER, &answer);
        }
        // The judge decides about wrong answers.
        if addresses == [address] {
            return Ok(());
        }
        if deadline.is_over() {
            let waited = began.elapsed().as_secs_f64();
            s.observe(&facts::GAVE_UP, &GaveUp { when: when.to_owned(), name, waited });
            return Ok(());
        }
        last = Some(addresses);
        deadline.pause(AGAIN).await;
    }
}

/// Returns the complete name with the final dot. Without the dot the client tries its search domains, and a wildcard in
/// one of them would answer in place of the cluster.
fn question(name: &str) -> String {
    format!("{name}.{DOMAIN}.")
}

/// Returns the database of `getent` for the address family of the pods. A query for both families would also return
/// what a wildcard answers for the other family.
fn database(address: &str) -> &'static str {
    if address.contains(':') { "ahostsv6" } else { "ahostsv4" }
}

/// Parses lines such as `10.244.1.7   STREAM web-0.web.ns.svc.cluster.local.`, one for each address and kind of socket.
fn addresses(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in text.lines().filter_map(|line| line.split_whitespace().next()) {
        if !found.iter().any(|known| known == address) {
            found.push(address.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{addresses, database, question};

    #[test]
    fn addresses_stand_first_on_their_lines() {
        let text = "10.244.1.7      STREAM web-0.web.ns.svc.cluster.local.\n10.244.1.7      DGRAM  \n\
                    10.244.1.7      RAW    \n10.244.1.8      STREAM \n";
        assert_eq!(addresses(text), ["10.244.1.7", "10.244.1.8"]);
        assert!(addresses("").is_empty());
    }

    #[test]
    fn the_whole_name_is_asked_for_in_the_family_of_the_pod() {
        assert_eq!(question("web-0.web.ns.svc"), "web-0.web.ns.svc.cluster.local.");
        assert_eq!((database("10.244.1.7"), database("fd00:10:244::7")), ("ahostsv4", "ahostsv6"));
    }
}
