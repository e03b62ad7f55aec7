//! A claim with a subject is about one workload.

use seatrial::event::{Event, Record, Scope};
use seatrial::judge::Conclusion::{Failed, Passed};
use seatrial::judge::trial::CLAIMS;
use seatrial::judge::trial::facts::{self, Settled, Workload};
use seatrial::judge::{self, Conclusion, Evidence};
use seatrial::report::rejudge;
use serde_json::json;

use super::story::{object, pod, told, workload, workloads};
use crate::story::{Story, changed, observed};

fn judged(story: &Story, id: &str) -> Conclusion {
    judge::claim(id).expect("a claim").judge(&Evidence::new(&story.records, id)).conclusion()
}

/// An error about one workload in a step.
fn wrong(story: &mut Story, step: &str, name: &str) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::SETTLED.name() && value["step"] == *step && value["workload"]["name"] == *name {
            value["error"] = json!("it was not complete");
        }
    });
}

#[test]
fn a_told_trial_passes_for_each_workload_alone() {
    let told = told();
    for claim in CLAIMS {
        for workload in workloads() {
            let id = format!("{}/{}", claim.id, workload.subject());
            let finding = judge::claim(&id).unwrap().judge(&Evidence::new(&told.story.records, &id));
            assert_eq!(finding.conclusion(), Passed, "{id}: {finding:#?}");
        }
    }
}

#[test]
fn another_workload_does_not_matter_to_a_claim_with_a_subject() {
    let mut story = told().story;
    wrong(&mut story, "ready", "db");
    assert_eq!(judged(&story, "ready"), Failed);
    assert_eq!(judged(&story, "ready/Deployment/db"), Failed);
    assert_eq!(judged(&story, "ready/Deployment/web"), Passed);
    assert_eq!(judged(&story, "ready/Deployment/none"), Conclusion::Inconclusive);
    assert!(judge::claim("A1/Deployment/web").is_none());
}

#[test]
fn a_claim_with_a_subject_is_judged_again_under_its_whole_id() {
    let mut story = told().story;
    wrong(&mut story, "ready", "db");
    let scope = Scope { scenario: Some("trial".into()), ..Scope::default() };
    story.say(Event::ScenarioStarted { claims: vec!["ready/Deployment/db".into()], title: None });
    let start = story.records.pop().unwrap();
    story.records.insert(0, Record { mono_us: 0, ..start });
    for id in ["ready/Deployment/db", "ready/Deployment/web"] {
        story.say(Event::ClaimJudged {
            claim: id.into(),
            title: None,
            verdict: Passed,
            evidence: String::new(),
            details: vec!["passed: x".into()],
            took: None,
            budget: None,
            reached: Some(true),
            seen: None,
        });
    }
    for (seq, record) in story.records.iter_mut().enumerate() {
        (record.seq, record.scope) = (seq as u64, scope.clone());
    }
    let again = rejudge(&story.records, |_| &[]);
    let changes: Vec<_> = again.changes.iter().map(|c| (c.claim.as_str(), c.is)).collect();
    assert_eq!(changes, [("ready/Deployment/db", Failed)]);
    let ids: Vec<&str> = again
        .records
        .iter()
        .filter_map(|r| match &r.event {
            Event::ClaimJudged { claim, .. } => Some(claim.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["ready/Deployment/db", "ready/Deployment/web"]);
}

/// A wait fails after the judge took its records, and before its verdict is written.
#[test]
fn a_claim_is_judged_again_from_the_records_that_its_judge_saw() {
    let again = |seen: Option<u64>| {
        let mut story = told().story;
        let settled = Settled {
            step: "ready".into(),
            workload: workload("Deployment", "db"),
            took: 1.0,
            budget: 60.0,
            error: Some("late".into()),
            unanswered: false,
        };
        story.say(observed(&facts::SETTLED, settled));
        story.say(Event::ClaimJudged {
            claim: "ready/Deployment/db".into(),
            title: None,
            verdict: Passed,
            evidence: String::new(),
            details: vec!["passed: x".into()],
            took: None,
            budget: None,
            reached: Some(true),
            seen,
        });
        let scope = Scope { scenario: Some("trial".into()), ..Scope::default() };
        for (seq, record) in story.records.iter_mut().enumerate() {
            (record.seq, record.scope) = (seq as u64, scope.clone());
        }
        let again = rejudge(&story.records, |_| &[]);
        again.changes.iter().map(|change| change.is).collect::<Vec<_>>()
    };
    let late = told().story.records.len() as u64;
    assert_eq!(again(Some(late)), []);
    assert_eq!(again(Some(late + 1)), [Failed]);
    assert_eq!(again(None), [Failed]);
}

/// Two namespaces have a StatefulSet of the same name.
#[test]
fn a_drain_is_stopped_by_a_pod_of_its_own_namespace_only() {
    let mut story = told().story;
    let other =
        Workload { namespace: "other".into(), in_named_namespace: true, ..workload("StatefulSet", "set") };
    let all: Vec<Workload> = workloads().into_iter().chain([other.clone()]).collect();
    *story.fact(&facts::WORKLOADS) = json!(all);
    let mut set = object("StatefulSet", "set", 2, (1, 1));
    (set["metadata"]["namespace"], set["metadata"]["uid"]) = (json!("other"), json!("u-other"));
    let mut one = pod("set-0", ("set", "StatefulSet", "set"), "u-other-0", "w3");
    one["metadata"]["namespace"] = json!("other");
    one["metadata"]["ownerReferences"][0]["uid"] = json!("u-other");
    for value in [one, set] {
        story.insert_after("ready", changed(value));
    }
    let settled = Settled {
        step: "drain".into(),
        workload: other,
        took: 1.0,
        budget: 60.0,
        error: None,
        unanswered: false,
    };
    story.insert_after("drained w3", observed(&facts::SETTLED, settled));
    story.fact(&facts::DRAINS)["error"] = json!("pod shop/set-0 was not evicted from w3 within 57 s: 429");
    assert_eq!(judged(&story, "drain/StatefulSet/set"), Failed);
    assert_eq!(judged(&story, "drain/other/StatefulSet/set"), Passed);
}
