//! B11, B12, and the ledger's own verdicts, falsified in more than a single fact.

use seatrial::event::{Change, Event, Outcome, Record, Server};
use seatrial::judge::Conclusion;
use seatrial::judge::mysql::facts;
use serde_json::json;

use super::sound_story;
use crate::passing_histories::{self, fact};
use crate::story::{Story, row};
use crate::upgrade::comes_out;

fn fails(story: &Story, id: &str, said: &str) {
    let finding = story.judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Failed, "{:#?}", finding.details());
    assert!(finding.evidence().contains(said), "{}", finding.evidence());
}

/// Inserts the records of `say` right after the last matching record.
fn after(story: &mut Story, is: impl Fn(&Event) -> bool, say: impl FnOnce(&mut Story)) {
    let at = story.records.iter().rposition(|r| is(&r.event)).expect("it is told");
    let rest = story.records.split_off(at + 1);
    story.seconds = story.records[at].mono_us as f64 / 1e6;
    say(story);
    story.records.extend(rest);
}

fn marked(name: &'static str) -> impl Fn(&Event) -> bool {
    move |e| matches!(e, Event::Marked { mark } if mark == name)
}

#[test]
fn a_volume_that_was_lost_for_a_moment_breaks_b11() {
    let mut story = sound_story::story();
    after(&mut story, marked("deployment-deletion"), |s| {
        let mut volume = sound_story::volume();
        volume["status"]["phase"] = json!("Released");
        s.changed(Change::Modified, &volume);
    });
    fails(&story, "B11", "mysql-pv-volume-x1 was Bound meanwhile, Released");
}

#[test]
fn files_that_went_with_the_claim_break_b11() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == "claim-gone"
        {
            entries.retain(|e| !e.path.starts_with("qa"));
        }
    });
    fails(&story, "B11", "gone: qa/ qa/ledger.ibd");
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && matches!(listing.as_str(), "deployment-gone" | "claim-gone")
        {
            for entry in entries.iter_mut().filter(|e| e.path == "ibdata1") {
                entry.sha256 = Some(listing.clone());
                entry.uid = if listing == "claim-gone" { 0 } else { 999 };
            }
        }
    });
    fails(&story, "B11", "owners on w1 changed: ibdata1 of 999 is now of 0");
    fails(&story, "B11", "checksums of 1 small files on w1: changed: ibdata1");
}

#[test]
fn an_incomplete_listing_decides_nothing() {
    for (id, listing) in [("B3", "before"), ("B9", "before-fault"), ("B12", "pinned-stopped")] {
        let mut story = sound_story::story();
        story.each(|e| {
            if let Event::FilesListed { listing: name, incomplete, .. } = e
                && name == listing
            {
                *incomplete = Some("more than 50000 entries".into());
            }
        });
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id}: {:#?}", finding.details());
        assert!(finding.evidence().contains("more than 50000 entries"), "{}", finding.evidence());
    }
}

#[test]
fn a_node_that_vanished_leaves_its_claims_open() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::FilesListed { listing, node, power, entries, exists, incomplete, server_uuid, .. } = e
            && listing == "pinned-stopped"
            && node == "w1"
        {
            (*power, *exists, *server_uuid) = ("unknown".into(), false, None);
            entries.clear();
            *incomplete = Some("no container is called w1".into());
        }
    });
    assert_eq!(story.judge("B12").conclusion(), Conclusion::Inconclusive);
}

#[test]
fn a_replacement_that_was_placed_breaks_b12() {
    let mut story = sound_story::story();
    after(
        &mut story,
        |e| matches!(e, Event::FilesListed { listing, .. } if listing == "pinned-stopped"),
        |s| {
            s.changed(Change::Modified, &sound_story::pod(7, "w2", "h1", "Pending"));
        },
    );
    fails(&story, "B12", "pod mysql-7 was given w2 while w1 was down");
}

#[test]
fn an_empty_database_elsewhere_breaks_b12() {
    let mut story = sound_story::story();
    after(
        &mut story,
        |e| matches!(e, Event::FilesListed { listing, .. } if listing == "pinned-stopped"),
        |s| {
            s.listed("pinned-stopped", "w2", "running", &["auto.cnf", "mysql/"], Some("uuid-c"));
            s.wrote(99, Outcome::Refused, &sound_story::server("c", 7, "w2"), "Unknown database 'qa'");
        },
    );
    fails(&story, "B12", "/mnt/data on w2 (running) holds auto.cnf mysql/");
    fails(&story, "B12", "server uuid-c in mysql-7 on w2 answered while the node was down");
}

#[test]
fn a_node_that_kept_running_leaves_only_b12_inconclusive() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::FilesListed { listing, node, power, .. } = e
            && listing == "pinned-stopped"
            && node == "w1"
        {
            *power = "running".into();
        }
    });
    let finding = story.judge("B12");
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{:#?}", finding.details());
    assert!(finding.evidence().contains("never took hold: container running"), "{}", finding.evidence());
    assert_eq!(story.judge("B10").conclusion(), Conclusion::Passed);
}

#[test]
fn a_replacement_that_was_pending_only_briefly_does_not_prove_b12() {
    let mut story = sound_story::story();
    let back = story.records.iter().position(|r| marked("pinned-return")(&r.event)).unwrap();
    let early = story.records[back].mono_us - 7_000_000;
    story.records[back].mono_us = early;
    fails(&story, "B12", "was Pending for 3.0 s, of 5.0 s");
}

#[test]
fn a_dropped_table_is_one_finding() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::RowsRead { reading, exists, rows, .. } = e
            && reading == "pinned-returned"
        {
            *exists = false;
            rows.clear();
        }
    });
    fails(
        &story,
        "B12",
        "pinned-returned: the ledger's table is gone from the server that acknowledged 9 rows",
    );
    let failed = story.judge("B12").details().into_iter().filter(|d| d.starts_with("failed")).count();
    assert_eq!(failed, 1, "{:#?}", story.judge("B12").details());
}

#[test]
fn what_a_reader_saw_breaks_b12() {
    for ((low, high, count), said) in [
        ((1, 12, 8), "1 of 3 looks saw less than had been acknowledged before (stale reads): reader at"),
        ((1, 14, 8), "8 of ledger from 1 to 14, 9 were acknowledged"),
        ((1, 14, 12), "12 of ledger from 1 to 14, at most 11 were written"),
    ] {
        let mut story = sound_story::story();
        after(
            &mut story,
            |e| matches!(e, Event::RowsRead { reading, .. } if reading == "pinned-returned"),
            |s| {
                s.seconds += 1.0;
                s.looked(&sound_story::server("a", 7, "w1"), (low, high, count));
            },
        );
        fails(&story, "B12", said);
    }
}

#[test]
fn a_stale_reading_is_told_from_a_loss() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::RowsRead { reading, rows, .. } = e
            && reading == "pinned"
        {
            rows.retain(|r| r.number != 3);
        }
    });
    fails(
        &story,
        "B12",
        "pinned: a stale read: 1 acknowledged rows are missing that a later reading of the same",
    );
    assert!(!story.judge("B12").evidence().contains("lost"), "{}", story.judge("B12").evidence());
}

#[test]
fn rows_in_a_wrong_order_and_half_a_transaction_break_b12() {
    let mut story = sound_story::story();
    story.each(|e| {
        if let Event::RowsRead { reading, rows, .. } = e
            && reading == "pinned-returned"
        {
            rows.swap(0, 1);
        }
    });
    fails(&story, "B12", "1 rows are there before rows that were acknowledged earlier: 2 without 1");
    let mut story = sound_story::story();
    let (transaction, server) = ([row(20), row(21)], sound_story::server("a", 7, "w1"));
    after(
        &mut story,
        |e| matches!(e, Event::RowWritten { row, .. } if row.number == 14),
        |s| {
            let (rows, outcome, reason) = (transaction.to_vec(), Outcome::Indeterminate, "no answer".into());
            s.say(Event::TransactionWritten { rows, outcome, server, reason });
        },
    );
    assert_eq!(story.judge("B12").conclusion(), Conclusion::Passed, "{:#?}", story.judge("B12").details());
    story.each(|e| {
        if let Event::RowsRead { reading, rows, .. } = e
            && reading == "pinned-returned"
        {
            rows.push(transaction[1].clone());
        }
    });
    fails(&story, "B12", "1 rows are there without the rest of their transactions: 21 without 20");
}

#[test]
fn an_acknowledgement_that_no_pod_gave_breaks_b12() {
    for wrong in [
        Server { pod_uid: String::new(), node: String::new(), ..sound_story::server("a", 7, "w1") },
        Server { pod_uid: "pod-uid-5".into(), ..sound_story::server("a", 7, "w1") },
        Server { node: "w2".into(), ..sound_story::server("a", 7, "w1") },
    ] {
        let mut story = sound_story::story();
        story.each(|e| {
            if let Event::RowWritten { row, server, .. } = e
                && row.number == 14
            {
                *server = wrong.clone();
            }
        });
        fails(&story, "B12", "acknowledgements from no pod that was there");
    }
}

#[test]
fn two_servers_at_once_break_b10_and_b12() {
    let mut story = sound_story::story();
    after(
        &mut story,
        |e| matches!(e, Event::RowWritten { row, .. } if row.number == 6),
        |s| {
            s.looked(&sound_story::server("b", 4, "w2"), (1, 1, 0));
            s.looked(&sound_story::server("a", 2, "w1"), (1, 6, 5));
        },
    );
    for id in ["B10", "B12"] {
        fails(&story, id, "3 pairs of servers ran at the same time: server uuid-a in pod mysql-2");
    }
}

/// The tables of the database are emptied when the Deployment is deleted. Both listings of B11 show them empty. Only
/// the earlier listing `returned` shows their size while the server ran.
#[test]
fn b11_knows_how_large_the_files_were_while_the_server_ran() {
    let mut records = passing_histories::history("B11");
    let mut emptied = 0;
    for record in &mut records {
        if let Event::FilesListed { listing, entries, .. } = &mut record.event
            && ["deployment-gone", "claim-gone"].contains(&listing.as_str())
        {
            for entry in entries.iter_mut().filter(|e| e.path == "qa/ledger.ibd") {
                (entry.size, emptied) = (0, emptied + 1);
            }
        }
    }
    assert_eq!(emptied, 2);
    comes_out(&records, "B11", Conclusion::Failed);
}

/// A gap in a watch leaves the checks that read changes inconclusive. Observed facts, here a volume that is not the
/// earlier one, are no changes (`Claim::watches`). A gap in the watch of Deployments says nothing about them.
#[test]
fn a_gap_in_a_watch_does_not_open_what_b11_observed() {
    let mut records = passing_histories::history("B11");
    for of in [&facts::VOLUME_KEPT, &facts::VOLUME_RELEASED] {
        fact(&mut records, of).1["metadata"]["uid"] = json!("another");
    }
    comes_out(&records, "B11", Conclusion::Failed);
    let is = |r: &Record| matches!(&r.event, Event::Marked { mark } if mark == "deployment-deletion");
    let at = records.iter().position(is).unwrap();
    let (kind, reason) = ("Deployment".to_owned(), "410 Gone".to_owned());
    let event = Event::WatchRestarted { kind, reason, since_us: None };
    records.insert(at + 1, Record { event, ..records[at].clone() });
    comes_out(&records, "B11", Conclusion::Failed);
}
