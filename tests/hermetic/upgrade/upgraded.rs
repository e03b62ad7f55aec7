//! D5 judged from made-up runs: every claim of A, B and C on one upgraded cluster, after a whole upgrade or a stop
//! half way.

use rstest::rstest;
use seatrial::event::{Event, Record, SCHEMA, Scope};
use seatrial::judge::upgrade::facts;
use seatrial::judge::{self, Conclusion, Evidence, Finding, mysql, stateful_set, stateless};
use seatrial::report::rejudge;
use seatrial::upgrade::{Component, EtcdPolicy, State, UpgradePlan};
use serde::Serialize;
use serde_json::json;

use super::{cluster, releases, v};
use crate::lies::{FAILED, Found, Lie, OPEN, Verdict, played};
use crate::story::{Named, observed, says, value_in};

/// The errors that the made-up run can have. By default it has none.
#[derive(Clone, Copy, Default)]
struct Wrong {
    /// The upgrade was stopped after the control plane; that is no lie.
    half: bool,
    /// This claim got this verdict.
    claim: Option<(&'static str, Conclusion)>,
    /// This claim was no part of the run.
    without: Option<&'static str>,
    /// One suite ran on another cluster.
    other_cluster: bool,
    /// One suite began before the upgrade.
    other_versions: bool,
    /// One suite observed no versions.
    unseen: bool,
    /// The versions are those of a cluster that nobody upgraded.
    as_made: bool,
    /// After the stop half way, no node is outdated.
    no_skew: bool,
    /// A kubelet is ahead of the API server.
    ahead: bool,
    /// No record says that the cluster was upgraded.
    no_origin: bool,
    /// No record has the final versions of the upgrade's plan.
    no_plan: bool,
    /// etcd, CoreDNS and the scheduler do not have the plan's final versions.
    unlike: bool,
}

fn state(wrong: Wrong) -> State {
    let mut state = cluster(&["cp", "w1", "w2"]).state;
    state.kubectls.clear();
    if wrong.as_made {
        return state;
    }
    let new = v("1.35.4");
    for (component, version) in state.control_planes.get_mut("cp").unwrap() {
        *version = if *component == Component::Etcd { v("3.6.6") } else { new };
    }
    state.proxies.values_mut().for_each(|v| *v = new);
    (state.coredns, state.config) = (Some(v("1.13.1")), Some(new));
    let nodes: &[&str] = if wrong.half && !wrong.no_skew { &["cp"] } else { &["cp", "w1", "w2"] };
    for node in nodes {
        state.kubelets.insert((*node).into(), new);
    }
    if wrong.ahead {
        state.kubelets.insert("w2".into(), v("1.36.3"));
    }
    if wrong.unlike {
        let plane = state.control_planes.get_mut("cp").unwrap();
        plane.insert(Component::Etcd, v("3.6.5"));
        plane.remove(&Component::KubeScheduler);
        state.coredns = None;
    }
    state
}

/// The versions at the plan's end, or at its stop.
fn planned(wrong: Wrong) -> State {
    state(Wrong { half: wrong.half, ..Wrong::default() })
}

struct Told(Vec<Record>);

impl Told {
    fn add(&mut self, scenario: &str, cluster: &str, event: Event) {
        let scope = Scope { scenario: Some(scenario.into()), cluster: Some(cluster.into()), namespace: None };
        let at = self.0.len() as u64;
        self.0.push(Record {
            schema: SCHEMA,
            seq: at,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: at * 1000,
            run: "r".into(),
            scope,
            event,
        });
    }

    fn observe(&mut self, scenario: &str, cluster: &str, fact: impl Named, value: impl Serialize) {
        self.add(scenario, cluster, observed(fact, value));
    }
}

fn run(wrong: Wrong) -> Vec<Record> {
    let mut told = Told(Vec::new());
    let parts: [(&str, Vec<&str>); 3] = [
        ("stateless", stateless::CLAIMS.iter().map(|c| c.id).collect()),
        ("mysql", mysql::CLAIMS.iter().map(|c| c.id).collect()),
        ("stateful-set", stateful_set::CLAIMS.iter().map(|c| c.id).collect()),
    ];
    for (scenario, claims) in parts {
        let on = if wrong.other_cluster && scenario == "mysql" { "c2" } else { "c" };
        let mut seen = state(wrong);
        if wrong.other_versions && scenario == "mysql" {
            seen = state(Wrong { as_made: true, ..wrong });
        }
        if !(wrong.unseen && scenario == "mysql") {
            told.observe(scenario, on, &facts::VERSIONS, &seen);
        }
        for id in claims.into_iter().filter(|id| Some(*id) != wrong.without) {
            let verdict = wrong.claim.filter(|(claim, _)| *claim == id).map_or(Conclusion::Passed, |c| c.1);
            let judged = Event::ClaimJudged {
                claim: id.into(),
                verdict,
                evidence: "said so".into(),
                details: Vec::new(),
                took: None,
                budget: None,
                title: None,
                reached: None,
                seen: None,
            };
            told.add(scenario, on, judged);
        }
    }
    let step = wrong.half.then_some("uncordon cp");
    if !wrong.no_origin {
        told.observe(
            "upgraded",
            "c",
            &facts::ORIGIN,
            json!({
                "made_as": "1.34.4", "to": "1.35.4", "stopped_after": step,
                "planned": (!wrong.no_plan).then(|| planned(wrong)),
            }),
        );
    }
    // A story of another program on that cluster, with a fact that has this one's name of schema 1.
    told.observe("own", "c", &facts::VERSIONS, state(wrong));
    told.add("own", "c", Event::Observed { claim: None, what: "versions".into(), value: json!("1.2") });
    told.observe("upgraded", "c", &facts::VERSIONS, state(wrong));
    told.0
}

fn judged(wrong: Wrong) -> (Conclusion, String) {
    let all = run(wrong);
    let own: Vec<Record> =
        all.iter().filter(|r| r.scope.scenario.as_deref() == Some("upgraded")).cloned().collect();
    let finding = judge::claim("D5").unwrap().judge(&Evidence::new(&own, "D5").of_run(&all));
    (finding.conclusion(), finding.evidence())
}

#[test]
fn a_whole_upgrade_and_one_that_stopped_half_way_are_distinguished() {
    assert_eq!(
        judged(Wrong::default()),
        (Conclusion::Passed, "1.34.4 -> 1.35.4, whole: all 33 claims of A, B and C hold".into())
    );
    let half = Wrong { half: true, ..Wrong::default() };
    let said = "1.34.4 -> 1.35.4, stopped after `uncordon cp`: API server 1.35.4, kubelets behind: w1 (1.34.4) \
                and w2 (1.34.4): all 33 claims of A, B and C hold";
    assert_eq!(judged(half), (Conclusion::Passed, said.into()));
}

#[test]
fn without_the_other_suites_nothing_is_proved() {
    let all = run(Wrong::default());
    let own: Vec<Record> =
        all.into_iter().filter(|r| r.scope.scenario.as_deref() == Some("upgraded")).collect();
    let finding = judge::claim("D5").unwrap().judge(&Evidence::new(&own, "D5").of_run(&own));
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{}", finding.evidence());
    says(&finding, Conclusion::Inconclusive, "0 of 33 claims of A, B and C passed");
}

/// The verdict and evidence for a run after a change to its records.
fn bent(wrong: Wrong, bend: impl FnOnce(&mut Vec<Record>)) -> Finding {
    let mut all = run(wrong);
    bend(&mut all);
    let own: Vec<Record> =
        all.iter().filter(|r| r.scope.scenario.as_deref() == Some("upgraded")).cloned().collect();
    judge::claim("D5").unwrap().judge(&Evidence::new(&own, "D5").of_run(&all))
}

#[test]
fn the_version_that_kubeadm_recorded_is_compared_if_the_plan_has_it() {
    let without = |what: &'static str, pointer: &str| {
        bent(Wrong::default(), |all| {
            for record in all {
                if let Some(value) = value_in(&mut record.event, what) {
                    let state = value.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
                    assert!(state.remove("config").is_some());
                }
            }
        })
    };
    // Plans of earlier versions do not have it.
    let old = without(facts::ORIGIN.name(), "/planned");
    assert_eq!(old.conclusion(), Conclusion::Passed, "{}", old.evidence());
    let gone = without(facts::VERSIONS.name(), "");
    assert_eq!(gone.conclusion(), Conclusion::Failed, "{}", gone.evidence());
    assert!(
        gone.details().iter().any(|d| d.contains("kubeadm-config is gone, planned 1.35.4")),
        "{:?}",
        gone.details()
    );
}

#[test]
fn the_upgraded_version_must_be_newer_than_the_created_one() {
    let origin = |wrong: Wrong, made_as: &str, to: &str| {
        bent(wrong, |all| {
            for record in all {
                if let Some(value) = value_in(&mut record.event, &facts::ORIGIN) {
                    (value["made_as"], value["to"]) = (json!(made_as), json!(to));
                }
            }
        })
    };
    let same = origin(Wrong::default(), "1.35.4", "1.35.4");
    says(&same, Conclusion::Failed, "made as 1.35.4, upgraded to 1.35.4");
    let half = origin(Wrong { half: true, ..Wrong::default() }, "1.35.4", "1.36.3");
    let said = "older than what it was made as, 1.35.4: kubelet of w1 1.34.4 and kubelet of w2 1.34.4";
    says(&half, Conclusion::Failed, said);
}

/// At every step that a plan calls safe, the claims may be proved: the running versions are those of the plan at that
/// moment.
#[rstest]
#[case::one_plane(&["cp", "w1", "w2"])]
#[case::several_planes(&["cp", "cp2", "cp3", "w1", "w2"])]
fn a_cluster_may_be_looked_at_after_each_safe_step(#[case] nodes: &[&str]) {
    let facts = cluster(nodes);
    let plan = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    let steps = || plan.hops.iter().flat_map(|hop| &hop.steps);
    let safe: Vec<_> = steps().filter(|s| s.step.is_safe()).collect();
    let titles: Vec<String> = safe.iter().map(|s| s.title()).collect();
    for stop in ["preload", "apply cp", "uncordon w2"] {
        assert!(titles.iter().any(|t| t == stop), "{stop}: {titles:?}");
    }
    for stop in &safe {
        let at = |state: &State| {
            bent(Wrong::default(), |all| {
                for record in all.iter_mut() {
                    if let Some(value) = value_in(&mut record.event, &facts::ORIGIN) {
                        (value["stopped_after"], value["planned"]) = (json!(stop.title()), json!(stop.after));
                    } else if let Some(value) = value_in(&mut record.event, &facts::VERSIONS) {
                        *value = json!(state);
                    }
                }
            })
        };
        // The API does not show kubectl's version.
        let mut seen = stop.after.clone();
        seen.kubectls.clear();
        let finding = at(&seen);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}: {}", stop.title(), finding.evidence());
        seen.kubelets.remove("w1");
        says(&at(&seen), Conclusion::Failed, "kubelet of w1 is gone");
    }
}

/// A claim that was judged twice has the worse verdict.
#[test]
fn the_worst_judgement_of_a_claim_counts() {
    use Conclusion::{Failed, Passed};
    for verdicts in [[Passed, Failed], [Failed, Passed], [Failed, Failed]] {
        let finding = bent(Wrong::default(), |all| {
            let is = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == "A1");
            let at = all.iter().position(is).unwrap();
            all.insert(at + 1, all[at].clone());
            for (i, result) in verdicts.into_iter().enumerate() {
                if let Event::ClaimJudged { verdict, evidence, .. } = &mut all[at + i].event {
                    (*verdict, *evidence) = (result, format!("judgement {i}"));
                }
            }
        });
        let first = if verdicts[0] == Failed { 0 } else { 1 };
        says(&finding, Failed, &format!("A1 failed: judgement {first}"));
    }
}

#[test]
fn judging_again_uses_the_new_verdicts_of_the_other_claims() {
    let mut all = run(Wrong::default());
    let mut told = Told(std::mem::take(&mut all));
    let judged = Event::ClaimJudged {
        claim: "D5".into(),
        verdict: Conclusion::Failed,
        evidence: String::new(),
        details: vec!["failed: by a lie".into()],
        took: None,
        budget: None,
        title: None,
        reached: None,
        seen: None,
    };
    told.add("upgraded", "c", judged);
    // The other claims have no evidence here. Judged again they are inconclusive, and so is D5.
    let again = rejudge(&told.0, |_| &[]);
    let d5 = again.records.last().unwrap();
    let Event::ClaimJudged { verdict, evidence, .. } = &d5.event else { panic!("{d5:?}") };
    assert_eq!(*verdict, Conclusion::Inconclusive, "{evidence}");
    assert!(evidence.contains("A1 is open"), "{evidence}");
}

fn found(bend: impl Fn(&mut Wrong)) -> Found {
    let mut wrong = Wrong::default();
    bend(&mut wrong);
    let (conclusion, evidence) = judged(wrong);
    (Verdict::Judged(conclusion), evidence)
}

/// One lie for each field of [`Wrong`].
pub static LIES: &[Lie] = &[
    played(
        "a claim that failed on the upgraded cluster",
        "D5",
        |lies| found(|w| w.claim = lies.then_some(("B9", Conclusion::Failed))),
        FAILED,
        "B9 failed: said so",
    ),
    played(
        "a claim that is open on the upgraded cluster",
        "D5",
        |lies| found(|w| w.claim = lies.then_some(("C9", Conclusion::Inconclusive))),
        OPEN,
        "C9 is open: said so",
    ),
    played(
        "a claim that was no part of the run",
        "D5",
        |lies| found(|w| w.without = lies.then_some("A7")),
        OPEN,
        "not judged on c in this run: A7",
    ),
    played(
        "a suite that ran on another cluster",
        "D5",
        |lies| found(|w| w.other_cluster = lies),
        OPEN,
        "not judged on c in this run: B1, B2",
    ),
    played(
        "a suite that ran before the upgrade",
        "D5",
        |lies| found(|w| w.other_versions = lies),
        FAILED,
        "other versions than now in mysql",
    ),
    played(
        "a suite on versions that nobody looked at",
        "D5",
        |lies| found(|w| w.unseen = lies),
        OPEN,
        "the versions were not looked at in mysql",
    ),
    played(
        "a cluster of the old version that is called upgraded",
        "D5",
        |lies| found(|w| w.as_made = lies),
        FAILED,
        "not 1.35.4: kube-apiserver of cp 1.34.4",
    ),
    played(
        "a cluster without a past",
        "D5",
        |lies| found(|w| w.no_origin = lies),
        OPEN,
        "`origin` was not observed",
    ),
    played(
        "a half way without any skew",
        "D5",
        |lies| found(|w| (w.half, w.no_skew) = (true, lies)),
        FAILED,
        "not as the upgrade's plan says after `uncordon cp`: kubelet of w1 is 1.35.4, planned 1.34.4",
    ),
    played(
        "an etcd left behind, no CoreDNS and no scheduler",
        "D5",
        |lies| found(|w| w.unlike = lies),
        FAILED,
        "etcd of cp is 3.6.5, planned 3.6.6, kube-scheduler of cp is gone, planned 1.35.4 and CoreDNS is gone",
    ),
    played(
        "an upgrade of which nobody kept the plan",
        "D5",
        |lies| found(|w| w.no_plan = lies),
        OPEN,
        "what the plan of the upgrade says at its end was not recorded",
    ),
    played(
        "a skew that no rule allows",
        "D5",
        |lies| found(|w| w.ahead = lies),
        FAILED,
        "kubelet 1.36.3 of w2 is ahead of kube-apiserver 1.35.4",
    ),
];
