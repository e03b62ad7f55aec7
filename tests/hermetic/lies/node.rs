//! Lies about a node that goes down and comes back, and about the files on its disk.

use seatrial::event::{Change, Event, Record};
use seatrial::judge::mysql::facts;
use serde_json::json;

use super::{FAILED, Lie, OPEN, lie};
use crate::mysql::sound_story;
use crate::story::{Story, is_of};

pub(super) static LIES: &[Lie] = &[
    lie(
        "the wrong node stopped",
        "B8",
        sound_story::story,
        |s| stopped(s, "w2"),
        OPEN,
        "no fault on w1 was proved",
    ),
    lie(
        "the wrong node stopped, and rows that stayed",
        "B9",
        sound_story::story,
        |s| stopped(s, "w2"),
        OPEN,
        "no fault on w1 was proved",
    ),
    lie(
        "a node that never really stopped",
        "B8",
        sound_story::story,
        |s| power(s, "running"),
        OPEN,
        "stop on w1 never took hold: container running",
    ),
    lie(
        "files of a node that never really stopped",
        "B9",
        sound_story::story,
        |s| power(s, "running"),
        OPEN,
        "stop on w1 never took hold",
    ),
    lie(
        "the return of a node that never went",
        "B10",
        sound_story::story,
        |s| power(s, "running"),
        OPEN,
        "stop on w1 never took hold",
    ),
    lie(
        "a fault that proves the contrary",
        "B8",
        sound_story::story,
        |s| proof(s, "running"),
        OPEN,
        "stop on w1 never took hold",
    ),
    lie(
        "a fault without a proof",
        "B10",
        sound_story::story,
        |s| proof(s, ""),
        OPEN,
        "stop on w1 never took hold",
    ),
    lie(
        "nobody meant to stop it",
        "B8",
        sound_story::story,
        |s| s.forget(|e| matches!(e, Event::FaultIntended { .. })),
        OPEN,
        "the intent of fault f1 was not recorded",
    ),
    lie(
        "another node was healed",
        "B10",
        sound_story::story,
        healed_elsewhere,
        OPEN,
        "the fault on w1 was not healed",
    ),
    lie(
        "a node that somebody else had started",
        "B10",
        sound_story::story,
        started,
        OPEN,
        "w1 ran before it was brought back: somebody else started it",
    ),
    lie(
        "a node that somebody else had started",
        "B12",
        sound_story::story,
        started,
        OPEN,
        "w1 ran before it was brought back: somebody else started it",
    ),
    lie(
        "the API never noticed",
        "B8",
        sound_story::story,
        |s| s.forget(|e| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node")),
        OPEN,
        "w1 was not seen Unknown",
    ),
    lie("no NoExecute taint", "B8", sound_story::story, no_taint, OPEN, "w1 was not seen tainted"),
    lie(
        "a Terminating pod that vanished",
        "B8",
        sound_story::story,
        vanished,
        FAILED,
        "pod mysql-3 went before the node's return",
    ),
    lie(
        "another pod shown as the one that stays",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::OLD_POD, "/metadata/uid", json!("another")),
        FAILED,
        "is Terminating just before",
    ),
    lie(
        "a wall clock that jumps while the node is down",
        "B8",
        sound_story::story,
        |s| jump(s, "replacement-answers"),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie(
        "a wall clock that jumps while the node returns",
        "B10",
        sound_story::story,
        jump_at_return,
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie(
        "a wall clock that jumps before the scheduler says why",
        "B12",
        sound_story::story,
        jump_at_fault,
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie(
        "a wall clock that jumps while the replacement waits",
        "B12",
        sound_story::story,
        |s| jump(s, "pinned-return"),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie(
        "a wall clock that jumps while the template changes",
        "B7",
        sound_story::story,
        |s| jump(s, "template-changed"),
        OPEN,
        "the clocks disagree on how long it took",
    ),
    lie(
        "a watch that loses events (410)",
        "B8",
        sound_story::story,
        |s| broke(s, |e| matches!(e, Event::FaultInjected { .. }), "Pod"),
        OPEN,
        "the watch of Pod broke off",
    ),
    lie(
        "a watch of nodes that loses events (410)",
        "B8",
        sound_story::story,
        |s| broke(s, |e| matches!(e, Event::FaultInjected { .. }), "Node"),
        OPEN,
        "the watch of Node broke off",
    ),
    lie(
        "a watch that loses events (410)",
        "B7",
        sound_story::story,
        |s| broke(s, |e| matches!(e, Event::Marked { mark } if mark == "template-change"), "Pod"),
        OPEN,
        "the watch of Pod broke off",
    ),
    lie(
        "a watch of events that loses why the replacement waits (410)",
        "B12",
        sound_story::story,
        |s| {
            let said = |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Event");
            let at = position(s, said);
            let (kind, reason) = ("Event".into(), "410 Gone".into());
            s.records[at].event = Event::WatchRestarted { kind, reason, since_us: None };
        },
        OPEN,
        "the watch of Event broke off",
    ),
    lie(
        "two servers at once",
        "B7",
        sound_story::story,
        two_at_once,
        FAILED,
        "at most 2 MySQL containers ran at the same time: mysql-2, mysql-3",
    ),
    lie(
        "a hostPath that was seeded beforehand",
        "B3",
        sound_story::story,
        |s| s.listed("before", "w1", "running", &["auto.cnf"], Some("uuid-z")),
        FAILED,
        "/mnt/data on w1 (running) holds auto.cnf",
    ),
    lie(
        "a hostPath that was seeded for the replacement",
        "B9",
        sound_story::story,
        |s| add(s, "before-fault", "w2", "auto.cnf"),
        FAILED,
        "/mnt/data on w2 (running) holds auto.cnf",
    ),
    lie(
        "the files are on a second node, too",
        "B3",
        sound_story::story,
        |s| s.listed("serving", "w2", "running", &["ibdata1"], None),
        FAILED,
        "/mnt/data on w2 (running) has ibdata1 too",
    ),
    lie(
        "files of another server",
        "B4",
        sound_story::story,
        |s| uuid(s, "serving", "w1", Some("uuid-z")),
        FAILED,
        "auto.cnf on w1 (running) names server uuid-z",
    ),
    lie(
        "files of no server",
        "B4",
        sound_story::story,
        |s| uuid(s, "serving", "w1", None),
        OPEN,
        "no auto.cnf was read on w1",
    ),
    lie(
        "the database was there before",
        "B5",
        sound_story::story,
        |s| add(s, "serving", "w1", "qa/"),
        FAILED,
        "/mnt/data/qa/ on w1 was there before",
    ),
    lie(
        "a database on a second node",
        "B5",
        sound_story::story,
        |s| add(s, "database", "w2", "qa/"),
        FAILED,
        "/mnt/data on w2 (running) has qa/ too",
    ),
    lie(
        "no table in the database",
        "B5",
        sound_story::story,
        |s| lose(s, "database", "qa/ledger.ibd"),
        FAILED,
        "the ledger's table on w1 is absent",
    ),
    lie(
        "a node that was not listed whole before the database was made",
        "B5",
        sound_story::story,
        |s| partly(s, "serving", "ibdata1"),
        OPEN,
        "/mnt/data/qa/ on w1 was not there before the database was made, as far as it was listed",
    ),
    lie(
        "a database that was not listed whole",
        "B5",
        sound_story::story,
        |s| partly(s, "database", "qa/ledger.ibd"),
        OPEN,
        "the ledger's table on w1 is absent, as far as it was listed",
    ),
    lie(
        "a file that is gone after the return",
        "B10",
        sound_story::story,
        |s| lose(s, "returned", "qa/ledger.ibd"),
        FAILED,
        "gone: qa/ledger.ibd",
    ),
    lie(
        "the files of another server are back",
        "B10",
        sound_story::story,
        |s| uuid(s, "returned", "w1", Some("uuid-z")),
        FAILED,
        "auto.cnf on w1 (running) names server uuid-z",
    ),
    lie(
        "the database is on the replacement's node",
        "B9",
        sound_story::story,
        |s| add(s, "while-stopped", "w2", "qa/"),
        FAILED,
        "/mnt/data on w2 (running) has qa/ too",
    ),
    lie(
        "rows that were not read from the stopped disk",
        "B9",
        sound_story::story,
        |s| s.bend(&facts::ROWS_ON_DISK, |v| v["found"] = json!([1, 2])),
        OPEN,
        "2 of 6 acknowledged rows were read",
    ),
    lie(
        "other rows than the acknowledged ones read from the stopped disk",
        "B9",
        sound_story::story,
        |s| s.bend(&facts::ROWS_ON_DISK, |v| v["found"] = json!([1, 2, 3, 6, 7, 99])),
        OPEN,
        "5 of 6 acknowledged rows were read from qa/ledger.ibd of w1 (exited), and 1 that nobody acknowledged",
    ),
    lie(
        "every file but auto.cnf emptied when the claim went",
        "B11",
        sound_story::story,
        |s| emptied(s, "claim-gone"),
        FAILED,
        "files of 0 bytes on w1: ibdata1",
    ),
    lie(
        "files that came back empty",
        "B10",
        sound_story::story,
        |s| emptied(s, "returned"),
        FAILED,
        "files of 0 bytes on w1: ibdata1",
    ),
    lie(
        "a table that was cut when the claim went",
        "B11",
        sound_story::story,
        cut,
        FAILED,
        "sizes of files on w1: changed: qa/ledger.ibd (3 bytes, now 1)",
    ),
    lie(
        "a return that nothing proves",
        "B10",
        sound_story::story,
        |s| {
            s.each(|e| {
                if let Event::FaultHealed { proof, .. } = e {
                    proof["power"] = json!("exited")
                }
            })
        },
        OPEN,
        "nothing proves that w1 runs again",
    ),
    lie(
        "a fault whose proof names no state of a container",
        "B8",
        sound_story::story,
        |s| proof(s, "fine"),
        OPEN,
        "stop on w1 never took hold",
    ),
    lie(
        "rows read from another node's disk",
        "B9",
        sound_story::story,
        |s| s.bend_at(&facts::ROWS_ON_DISK, "/node", json!("w2")),
        OPEN,
        "rows were read from qa/ledger.ibd of w2",
    ),
    lie(
        "rows read while the server still ran",
        "B9",
        sound_story::story,
        |s| s.bend_at(&facts::ROWS_ON_DISK, "/power", json!("running")),
        OPEN,
        "of w1 (running)",
    ),
    lie(
        "the old pod is back",
        "B6",
        sound_story::story,
        |s| s.bend_at(&facts::SECOND_POD, "/metadata/uid", json!("pod-uid-1")),
        FAILED,
        "pod mysql-1 before, mysql-2 after",
    ),
    lie(
        "the old pod was never seen to go",
        "B6",
        sound_story::story,
        |s| s.forget(|e| matches!(e, Event::ObjectChanged { change: Change::Deleted, .. })),
        OPEN,
        "the end of pod mysql-1 was not recorded",
    ),
    lie(
        "the old pod went before the return",
        "B10",
        sound_story::story,
        vanished,
        FAILED,
        "after the return",
    ),
];

/// Every record of the fault names the wrong node.
fn stopped(story: &mut Story, other: &str) {
    story.each(|e| {
        if let Event::FaultIntended { node, .. } | Event::FaultInjected { node, .. } = e {
            *node = other.into();
        }
    });
}

/// The container's state in the listings that were made while the node was down.
fn power(story: &mut Story, state: &str) {
    story.each(|e| {
        if let Event::FilesListed { listing, node, power, .. } = e
            && listing == "while-stopped"
            && node == "w1"
        {
            *power = state.into();
        }
    });
}

fn proof(story: &mut Story, state: &str) {
    story.each(|e| {
        if let Event::FaultInjected { proof, .. } = e {
            *proof = if state.is_empty() { json!({}) } else { json!({ "power": state }) };
        }
    });
}

fn started(story: &mut Story) {
    story.each(|e| {
        if let Event::FaultHealed { proof, .. } = e {
            proof["was"] = json!("running");
        }
    });
}

fn healed_elsewhere(story: &mut Story) {
    story.each(|e| {
        if let Event::FaultHealed { node, .. } = e {
            *node = "w2".into();
        }
    });
}

fn no_taint(story: &mut Story) {
    story.each(|e| {
        if let Event::ObjectChanged { kind, object, .. } = e
            && kind == "Node"
        {
            let taints = object["spec"]["taints"].as_array_mut().expect("taints");
            taints.retain(|t| t["effect"] != "NoExecute");
        }
    });
}

fn position(story: &Story, is: impl Fn(&Event) -> bool) -> usize {
    story.records.iter().position(|r| is(&r.event)).expect("it was recorded")
}

/// The old pod disappears while its node is still down, so nobody can look into it.
fn vanished(story: &mut Story) {
    story.forget(|e| is_of(e, &facts::OLD_POD));
    let at = position(story, |e| matches!(e, Event::Marked { mark } if mark == "replacement-answers"));
    let object = sound_story::pod(3, "w1", "h2", "Running");
    let (kind, name, uid) = ("Pod".into(), "mysql-3".into(), "pod-uid-3".into());
    let event = Event::ObjectChanged { change: Change::Deleted, kind, name, uid, object };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
}

/// The wall clock jumps by an hour just before a mark.
fn jump(story: &mut Story, mark: &str) {
    let at = story.mark(mark);
    for record in &mut story.records[at - 1..] {
        record.at += jiff::SignedDuration::from_hours(1);
    }
}

/// The wall clock jumps by an hour when the node of the pinned volume has gone down.
fn jump_at_fault(story: &mut Story) {
    let at = story.records.iter().rposition(|r| matches!(r.event, Event::FaultInjected { .. })).unwrap();
    for record in &mut story.records[at..] {
        record.at += jiff::SignedDuration::from_hours(1);
    }
}

fn jump_at_return(story: &mut Story) {
    let at = story.mark("return") + 1;
    for record in &mut story.records[at..] {
        record.at += jiff::SignedDuration::from_hours(1);
    }
}

fn broke(story: &mut Story, after: impl Fn(&Event) -> bool, kind: &str) {
    let at = position(story, after);
    let event = Event::WatchRestarted { kind: kind.into(), reason: "410 Gone".into(), since_us: None };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at + 1, record);
}

/// No record shows that the old pod ended before the new one runs.
fn two_at_once(story: &mut Story) {
    story.each(|e| {
        if let Event::ObjectChanged { change, name, object, .. } = e
            && name == "mysql-2"
            && object["status"]["phase"] == "Succeeded"
        {
            *change = Change::Modified;
            *object = sound_story::pod(2, "w1", "h1", "Running");
        }
    });
}

fn uuid(story: &mut Story, wanted: &str, on: &str, uuid: Option<&str>) {
    story.each(|e| {
        if let Event::FilesListed { listing, node, server_uuid, .. } = e
            && listing == wanted
            && node == on
        {
            *server_uuid = uuid.map(str::to_owned);
        }
    });
}

fn add(story: &mut Story, wanted: &str, on: &str, path: &str) {
    story.each(|e| {
        if let Event::FilesListed { listing, node, entries, .. } = e
            && listing == wanted
            && node == on
        {
            entries.push(crate::story::entry(path));
        }
    });
}

/// A listing that is marked as incomplete and lacks a path.
fn partly(story: &mut Story, wanted: &str, path: &str) {
    lose(story, wanted, path);
    story.each(|e| {
        if let Event::FilesListed { listing, node, incomplete, .. } = e
            && listing == wanted
            && node == "w1"
        {
            *incomplete = Some("the engine did not answer".into());
        }
    });
}

/// Every file in a listing is empty, except the server's id.
fn emptied(story: &mut Story, wanted: &str) {
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == wanted
        {
            let files = entries.iter_mut().filter(|e| !e.path.ends_with('/') && e.path != "auto.cnf");
            files.for_each(|entry| entry.size = 0);
        }
    });
}

/// The table was longer while the claim existed.
fn cut(story: &mut Story) {
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == "deployment-gone"
        {
            let tables = entries.iter_mut().filter(|e| e.path == "qa/ledger.ibd");
            tables.for_each(|entry| entry.size = 3);
        }
    });
}

fn lose(story: &mut Story, wanted: &str, path: &str) {
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == wanted
        {
            entries.retain(|entry| entry.path != path);
        }
    });
}
