//! Lies about rows: lost, added, from somebody else.

use seatrial::event::{Event, Outcome, Record, Row, Server};

use super::{FAILED, Lie, OPEN, lie};
use crate::mysql::sound_story;
use crate::story::{Story, row};

pub(super) static LIES: &[Lie] = &[
    lie(
        "a row dropped",
        "B6",
        sound_story::story,
        |s| rows(s, "replaced", |r| r.retain(|r| r.number != 3)),
        FAILED,
        "a stale read: 1 acknowledged rows are missing that a later reading of the same server has: 3",
    ),
    lie("a row dropped for good", "B6", sound_story::story, lost_for_good, FAILED, "lost 3"),
    lie(
        "a row dropped on the way back",
        "B10",
        sound_story::story,
        |s| rows(s, "returned", |r| r.retain(|r| r.number != 3)),
        FAILED,
        "lost 3",
    ),
    lie(
        "a row dropped at once",
        "B5",
        sound_story::story,
        |s| rows(s, "database", |r| r.retain(|r| r.number != 2)),
        FAILED,
        "a stale read: 1 acknowledged rows are missing that a later reading of the same server has: 2",
    ),
    lie(
        "a row duplicated",
        "B6",
        sound_story::story,
        |s| rows(s, "replaced", |r| r.push(row(6))),
        FAILED,
        "1 rows are there twice: 6",
    ),
    lie(
        "a row resurrected",
        "B6",
        sound_story::story,
        |s| rows(s, "replaced", |r| r.push(row(5))),
        FAILED,
        "though they were refused: 5",
    ),
    lie(
        "a row that nobody wrote",
        "B10",
        sound_story::story,
        |s| rows(s, "returned", |r| r.push(row(99))),
        FAILED,
        "that nobody wrote: 99",
    ),
    lie(
        "a row altered",
        "B6",
        sound_story::story,
        |s| rows(s, "replaced", |r| r[0].checksum = "x".into()),
        FAILED,
        "with another checksum: 1",
    ),
    lie(
        "a row acknowledged by the wrong server",
        "B6",
        sound_story::story,
        |s| acknowledged_by(s, 3, &sound_story::server("x", 1, "w1")),
        FAILED,
        "1 rows are there that another server acknowledged, uuid-x",
    ),
    lie(
        "a row that the replacement acknowledged",
        "B9",
        sound_story::story,
        |s| wrote_before(s, "elsewhere"),
        FAILED,
        "acknowledged rows are on w1's disk",
    ),
    lie(
        "the stopped node was back when the rows were looked for",
        "B9",
        sound_story::story,
        |s| healed_before(s, "elsewhere"),
        FAILED,
        "0 of 6 acknowledged rows are on w1's disk",
    ),
    lie(
        "rows that the replacement kept to itself",
        "B10",
        sound_story::story,
        |s| wrote_before(s, "elsewhere"),
        FAILED,
        "1 acknowledged rows are misplaced, not on the server that was read, and no fault took w2 down",
    ),
    lie(
        "a row without an answer and without a reason",
        "B6",
        sound_story::story,
        no_reason,
        FAILED,
        "without a reason 4",
    ),
    lie(
        "the table is there after all",
        "B9",
        sound_story::story,
        |s| exists(s, "elsewhere"),
        FAILED,
        "the ledger's table is not there",
    ),
    lie(
        "the table is gone",
        "B6",
        sound_story::story,
        |s| gone(s, "replaced"),
        FAILED,
        "the ledger's table is gone from the server",
    ),
    lie(
        "a forward to the dead pod",
        "B6",
        sound_story::story,
        |s| read_from(s, "replaced", &sound_story::server("a", 1, "w1")),
        FAILED,
        "the rows were read from pod mysql-1",
    ),
    lie(
        "a forward to another pod",
        "B10",
        sound_story::story,
        |s| read_from(s, "returned", &sound_story::server("a", 3, "w1")),
        FAILED,
        "the rows were read from pod mysql-3",
    ),
    lie(
        "read from the old server, not from the new one",
        "B9",
        sound_story::story,
        |s| read_from(s, "elsewhere", &sound_story::server("a", 3, "w1")),
        FAILED,
        "the ledger was read from server uuid-a",
    ),
    lie(
        "nothing was ever acknowledged",
        "B6",
        sound_story::story,
        |s| s.forget(|e| matches!(e, Event::RowWritten { outcome: Outcome::Acknowledged, .. })),
        OPEN,
        "no row was acknowledged",
    ),
    lie(
        "nothing was written",
        "B9",
        sound_story::story,
        |s| s.forget(|e| matches!(e, Event::RowWritten { .. })),
        OPEN,
        "no row was acknowledged",
    ),
];

fn rows(story: &mut Story, wanted: &str, bend: impl Fn(&mut Vec<Row>)) {
    story.each(|e| {
        if let Event::RowsRead { reading, rows, .. } = e
            && reading == wanted
        {
            bend(rows);
        }
    });
}

/// No later reading has the row.
fn lost_for_good(story: &mut Story) {
    story.each(|e| {
        if let Event::RowsRead { rows, .. } = e {
            rows.retain(|r| r.number != 3);
        }
    });
}

fn acknowledged_by(story: &mut Story, number: u64, by: &Server) {
    story.each(|e| {
        if let Event::RowWritten { row, server, .. } = e
            && row.number == number
        {
            *server = by.clone();
        }
    });
}

/// The replacement acknowledged a row before this reading.
fn wrote_before(story: &mut Story, wanted: &str) {
    let reads = |r: &Record| matches!(&r.event, Event::RowsRead { reading, .. } if reading == wanted);
    let at = story.records.iter().position(reads).expect("the reading");
    let (row, server, reason) = (row(50), sound_story::server("b", 4, "w2"), String::new());
    let event = Event::RowWritten { row, outcome: Outcome::Acknowledged, server, reason };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
}

/// The fault on the node is healed before this reading.
fn healed_before(story: &mut Story, wanted: &str) {
    let reads = |r: &Record| matches!(&r.event, Event::RowsRead { reading, .. } if reading == wanted);
    let at = story.records.iter().position(reads).expect("the reading");
    let healed = |r: &Record| matches!(&r.event, Event::FaultHealed { .. });
    let event = story.records[at..].iter().find(|r| healed(r)).expect("the heal").event.clone();
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
}

fn no_reason(story: &mut Story) {
    story.each(|e| {
        if let Event::RowWritten { outcome: Outcome::Indeterminate, reason, .. } = e {
            reason.clear();
        }
    });
}

fn exists(story: &mut Story, wanted: &str) {
    story.each(|e| {
        if let Event::RowsRead { reading, exists, .. } = e
            && reading == wanted
        {
            *exists = true;
        }
    });
}

fn gone(story: &mut Story, wanted: &str) {
    story.each(|e| {
        if let Event::RowsRead { reading, exists, .. } = e
            && reading == wanted
        {
            *exists = false;
        }
    });
}

fn read_from(story: &mut Story, wanted: &str, from: &Server) {
    story.each(|e| {
        if let Event::RowsRead { reading, server, .. } = e
            && reading == wanted
        {
            *server = from.clone();
        }
    });
}
