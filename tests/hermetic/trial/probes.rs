//! What judges say of the probes of a trial: their names, and those that ask from outside.

use rstest::rstest;
use seatrial::judge::Conclusion::{self, Failed, Passed};
use seatrial::judge::trial::facts;
use serde_json::{Value, json};

use super::lies::{budget, fail};
use super::story::judged;
use crate::story::Story;

/// The rollout of the DaemonSet.
const AGENT: (&str, &str) = ("rollout DaemonSet/agent", "rolled-out DaemonSet/agent");

/// There is another probe with the same samples, which differs in a field.
fn another_probe(story: &mut Story, field: &str, value: Value) {
    let all = story.fact(&facts::PROBES).as_array_mut().unwrap();
    let mut other = all[0].clone();
    other[field] = value;
    all.push(other);
}

#[rstest]
#[case::one_of_two_ports(|s: &mut Story| { fail(s, AGENT, |n| n == 3); another_probe(s, "port", json!(443)); }, Failed, "Service shop:443: 1 of ")]
#[case::from_outside(|s: &mut Story| { fail(s, AGENT, |n| n == 3); s.fact(&facts::PROBES)[0]["outside"] = json!(true); }, Passed, "shop: 1 of 9 requests failed, longest time without an answer 0.5 s; no budget judges them")]
#[case::from_outside_with_a_budget(|s: &mut Story| { fail(s, AGENT, |n| n == 3); s.fact(&facts::PROBES)[0]["outside"] = json!(true); budget(s, 0.1, 1.0); }, Failed, "shop: longest time without an answer")]
#[case::one_of_two_namespaces(|s: &mut Story| { fail(s, AGENT, |n| n == 3); another_probe(s, "namespace", json!("b")); }, Failed, "/shop: 1 of ")]
fn a_probe_has_a_name_of_its_own(
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged("rollout", how, wanted, said);
}
