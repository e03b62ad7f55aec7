//! Falsehoods about names, claims and data: C2, C3, C4, C7.

use rstest::rstest;
use seatrial::event::{Change, Event, FileEntry};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive};
use serde_json::{Value, json};

use super::bends::{ending, is_added, is_gone, told};
use super::{Bend, Story, must_turn, uid_of};

#[rstest]
#[case::old_address(|s: &mut Story| { let old = address(s, "pods_before"); answer(s)["addresses"] = json!([old]); }, Failed, "which has 10.")]
#[case::both_addresses(|s: &mut Story| { let old = address(s, "pods_before"); answer(s)["addresses"].as_array_mut().unwrap().push(json!(old)); }, Failed, "after: web-2 was told")]
#[case::unknown(|s: &mut Story| answer(s)["addresses"] = json!([]), Failed, "was told none")]
#[case::too_late(|s: &mut Story| answer(s)["waited"] = json!(61.5), Failed, "took 61.5 s of 60.0 s")]
#[case::asked_itself(asked_itself, Inconclusive, "no other pod of the set asked for web-1.web.ns.svc after")]
#[case::asked_a_pod_that_is_gone(|s: &mut Story| answer(s)["asker_uid"] = json!("gone"), Inconclusive, "no other pod of the set asked for web-1.web.ns.svc after")]
#[case::same_address(|s: &mut Story| { let old = address(s, "pods_before"); s.fact("C2", "pods_after")[1]["status"]["podIP"] = json!(old); answer(s)["addresses"] = json!([old]); }, Inconclusive, "got its old address")]
#[case::nothing_replaced(|s: &mut Story| { let old = s.fact("C2", "pods_before").clone(); *s.fact("C2", "pods_after") = old; }, Failed, "after: ")]
#[case::not_headless(|s: &mut Story| s.fact("C2", "service")["spec"]["clusterIP"] = json!("10.96.0.9"), Failed, "cluster IP 10.96.0.9")]
#[case::another_domain(|s: &mut Story| s.fact("C2", "pods_after")[0]["spec"]["subdomain"] = json!("other"), Failed, "subdomain Some(\"other\")")]
#[case::no_address(|s: &mut Story| s.fact("C2", "pods_after")[2]["status"]["podIP"] = Value::Null, Inconclusive, "without an address")]
fn a_falsehood_about_names_is_found(#[case] bend: Bend, #[case] expected: Conclusion, #[case] named: &str) {
    must_turn("C2", bend, expected, named);
}

#[rstest]
#[case::of_another_name(|s: &mut Story| s.fact("C3", "claims")[1]["metadata"]["name"] = json!("data-web-9"), Failed, "there is no claim data-web-1")]
#[case::mounts_another(|s: &mut Story| s.fact("C3", "pods")[1]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("data-web-0"), Failed, "pod web-1 mounts claim data-web-0")]
#[case::one_volume_for_two(|s: &mut Story| { let one = s.fact("C3", "claims")[0]["spec"]["volumeName"].clone(); s.fact("C3", "claims")[1]["spec"]["volumeName"] = one; }, Failed, "is nobody else's: false")]
#[case::volume_of_somebody_else(|s: &mut Story| for v in s.fact("C3", "volumes").as_array_mut().unwrap() { v["spec"]["claimRef"]["uid"] = json!("other"); }, Failed, "(UID other)")]
#[case::not_bound(|s: &mut Story| s.fact("C3", "claims")[2]["status"]["phase"] = json!("Pending"), Failed, "claim data-web-2 is Pending")]
#[case::bound_too_late(|s: &mut Story| bound(s, "999999999"), Failed, "claim bound at version 999999999")]
#[case::never_seen_bound(|s: &mut Story| s.drop_between(("apply", "applied"), |e| matches!(e, Event::ObjectChanged { name, object, .. } if name == "data-web-0" && object["status"]["phase"] == "Bound")), Inconclusive, "data-web-0 was not seen to be bound")]
#[case::made_after_the_pod(|s: &mut Story| { let at = s.change("apply", "data-web-1", is_added); s.object(at)["metadata"]["resourceVersion"] = json!("999999999"); }, Failed, "web-1: claim made at version 999999999")]
#[case::made_after_it_ran(|s: &mut Story| s.fact("C3", "claims")[0]["metadata"]["creationTimestamp"] = json!("2026-11-24T23:00:00Z"), Failed, "data-web-0 made at 2026-11-24T23:00:00Z")]
#[case::seeded_before(seeded, Failed, "holds 0/")]
#[case::node_not_listed(|s: &mut Story| s.0.retain(|r| !matches!(&r.event, Event::FilesListed { node, .. } if node == "w2")), Inconclusive, "`before` was not listed on w2")]
fn a_falsehood_about_new_claims_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C3", bend, expected, named);
}

#[rstest]
#[case::claim_made_anew(|s: &mut Story| s.fact("C4", "claim_after")["metadata"]["uid"] = json!("other"), Failed, "(UID other)")]
#[case::another_volume(|s: &mut Story| s.fact("C4", "claim_after")["spec"]["volumeName"] = json!("data-9"), Failed, "data-9 after")]
#[case::claim_on_its_way_out(|s: &mut Story| { let claim = s.fact("C4", "claim_after"); *claim = ending(claim.clone()); }, Failed, "claim data-web-1 is Bound")]
#[case::claim_went_and_came(|s: &mut Story| { let claim = s.fact("C4", "claim_before").clone(); let mut claim = claim; claim["kind"] = json!("PersistentVolumeClaim"); s.insert_after("delete-pod", told(Change::Deleted, claim)); }, Failed, "was deleted 1 time(s)")]
#[case::empty_volume(|s: &mut Story| s.fact("C4", "found")["text"] = Value::Null, Failed, "holds no file")]
#[case::another_file(|s: &mut Story| s.fact("C4", "found")["text"] = json!("0000"), Failed, "holds 0000")]
#[case::nothing_was_written(|s: &mut Story| { s.fact("C4", "found")["text"] = Value::Null; s.fact("C4", "written")["text"] = Value::Null; }, Failed, "written was no file")]
#[case::read_by_the_old_pod(|s: &mut Story| { let uid = uid_of(s.fact("C4", "pod_before")); s.fact("C4", "found")["uid"] = json!(uid); }, Failed, "read by UID")]
#[case::never_replaced(|s: &mut Story| { let uid = uid_of(s.fact("C4", "pod_before")); s.fact("C4", "pod_after")["metadata"]["uid"] = json!(uid); }, Failed, "before, ")]
#[case::another_name(|s: &mut Story| s.fact("C4", "pod_after")["metadata"]["name"] = json!("web-7"), Failed, "web-7 after")]
#[case::two_at_a_time(|s: &mut Story| { let (gone, new) = (s.change("delete-pod", "web-1", is_gone), s.change("delete-pod", "web-1", is_added)); s.carry(new, gone); }, Failed, "was still there when")]
#[case::containers_overlap(overlap, Failed, "the next started at 2026-11-24T01:00:00Z")]
#[case::another_pod_went_too(|s: &mut Story| { let at = s.change("apply", "web-2", |c, _| c == Change::Modified); let pod = ending(s.object(at).clone()); s.insert_after("delete-pod", told(Change::Modified, pod)); }, Failed, "other pods that went meanwhile: 1")]
#[case::old_end_not_recorded(|s: &mut Story| s.drop_between(("delete-pod", "pod-replaced"), |e| matches!(e, Event::ObjectChanged { change: Change::Deleted, .. })), Failed, "the old pod gone was never seen")]
fn a_falsehood_about_the_replacement_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C4", bend, expected, named);
}

#[rstest]
#[case::claim_went_with_its_pod(|s: &mut Story| drop(s.fact("C7", "claims_down").as_array_mut().unwrap().pop()), Failed, "claim data-web-2 is not there scaled down")]
#[case::claim_made_anew(|s: &mut Story| s.fact("C7", "claims_up")[1]["metadata"]["uid"] = json!("other"), Failed, "(UID other)")]
#[case::claim_went_with_the_set(|s: &mut Story| *s.fact("C7", "claims_orphaned") = json!([]), Failed, "0 claims with the set deleted")]
#[case::another_claim_mounted(|s: &mut Story| s.fact("C7", "pods_up")[2]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("data-web-9"), Failed, "mounts data-web-9")]
#[case::data_lost(|s: &mut Story| s.fact("C7", "found")[2]["text"] = Value::Null, Failed, "holds no file")]
#[case::data_of_another(|s: &mut Story| { let other = s.fact("C7", "found")[0]["text"].clone(); s.fact("C7", "found")[1]["text"] = other; }, Failed, "web-1 holds")]
#[case::not_read(|s: &mut Story| drop(s.fact("C7", "found").as_array_mut().unwrap().pop()), Inconclusive, "no file of web-2 was written and read")]
#[case::nothing_was_scaled(|s: &mut Story| same_pods(s), Failed, "0 pods came back")]
#[case::went_by_itself(|s: &mut Story| { let claim = claim(s, "data-web-1"); s.insert_after("scaled-down", told(Change::Modified, ending(claim))); }, Failed, "deletion of data-web-1 seen before that by hand: true")]
#[case::another_went_by_hand(|s: &mut Story| { let claim = claim(s, "data-web-0"); s.insert_after("delete-claim", told(Change::Deleted, claim)); }, Failed, "data-web-0 went: true")]
#[case::does_not_go(|s: &mut Story| { let all = s.fact("C7", "claims_orphaned").clone(); *s.fact("C7", "claims_after") = all; }, Failed, "data-web-2 went: true, is there: true")]
#[case::deleted_something_else(|s: &mut Story| *s.fact("C7", "deleted") = json!("data-web-7"), Failed, "data-web-7 is one of the set's claims: false")]
fn a_falsehood_about_surviving_claims_is_found(
    #[case] bend: Bend,
    #[case] expected: Conclusion,
    #[case] named: &str,
) {
    must_turn("C7", bend, expected, named);
}

fn address(story: &mut Story, list: &str) -> String {
    story.fact("C2", list)[1]["status"]["podIP"].as_str().unwrap().to_owned()
}

/// The last answer on the pod that was replaced, after it was.
fn answer(story: &mut Story) -> &mut Value {
    let about = |a: &&mut Value| a["when"] == "after" && a["name"] == "web-1.web.ns.svc";
    story.facts("C2", "answer").into_iter().rfind(about).unwrap()
}

/// The replaced pod's name was asked for in itself, where it stands in /etc/hosts.
fn asked_itself(story: &mut Story) {
    let uid = uid_of(&story.fact("C2", "pods_after")[1].clone());
    let answer = answer(story);
    answer["asker"] = json!("web-1");
    answer["asker_uid"] = json!(uid);
}

fn bound(story: &mut Story, version: &str) {
    let at = story.change("apply", "data-web-0", |_, claim| claim["status"]["phase"] == "Bound");
    story.object(at)["metadata"]["resourceVersion"] = json!(version);
}

fn seeded(story: &mut Story) {
    for record in &mut story.0 {
        if let Event::FilesListed { entries, exists, .. } = &mut record.event {
            *exists = true;
            entries.push(FileEntry { path: "0/".into(), mode: 0o755, ..FileEntry::default() });
        }
    }
}

fn overlap(story: &mut Story) {
    let (from, to) = (story.mark("delete-pod"), story.mark("pod-replaced"));
    for record in &mut story.0[from..to] {
        if let Event::ObjectChanged { object, .. } = &mut record.event
            && let Some(state) = object.pointer_mut("/status/containerStatuses/0/state/running")
        {
            state["startedAt"] = json!("2026-11-24T01:00:00Z");
        }
    }
}

fn same_pods(story: &mut Story) {
    let (pods, texts) = (story.fact("C7", "pods_before").clone(), story.fact("C7", "written").clone());
    *story.fact("C7", "pods_up") = pods;
    *story.fact("C7", "found") = texts;
}

/// A claim as it was recorded first.
fn claim(story: &mut Story, name: &str) -> Value {
    let at = story.change("apply", name, is_added);
    story.object(at).clone()
}
