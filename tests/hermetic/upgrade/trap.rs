//! D4: lies about the data that was left behind, and about the pod in which it was read.

use seatrial::event::Event;
use seatrial::judge::upgrade::facts;
use serde_json::json;

use super::story::{self, Wrong};
use crate::lies::{FAILED, Found, Lie, OPEN, Verdict, played};
use crate::story::{Named, value_in};

pub static LIES: &[Lie] = &[
    played(
        "the trap's rows read in another pod",
        "D4",
        |lies| {
            bent(lies, |event| {
                if let Event::RowsRead { reading, server, .. } = event
                    && reading == "trap-before-upgrade"
                {
                    server.pod = "mysql-1".into();
                }
            })
        },
        FAILED,
        "trap: the rows were read in pod mysql-1, MySQL's is trap-1",
    ),
    played(
        "MySQL before the upgrade asked in another pod",
        "D4",
        |lies| fact(lies, &facts::SERVER_BEFORE, |value| value["pod"] = json!("trap-1")),
        FAILED,
        "server s1 before was asked in pod trap-1",
    ),
    played(
        "fewer rows looked for on the disk than stayed there",
        "D4",
        |lies| fact(lies, &facts::TRAP_ON_DISK, |value| value["rows"] = json!(2)),
        OPEN,
        "trap: rows 1-3 were read from qa/ledger.ibd of w2",
    ),
    played(
        "rows read from no file",
        "D4",
        |lies| fact(lies, &facts::TRAP_ON_DISK, |value| value["files"] = json!([])),
        OPEN,
        "trap: rows 1-3 were read from  of w2",
    ),
    played(
        "another folder listed after the upgrade",
        "D4",
        |lies| {
            bent(lies, |event| {
                if let Event::FilesListed { listing, path, .. } = event
                    && listing == "trap-after-upgrade"
                {
                    *path = "/var/lib/mysql".into();
                }
            })
        },
        FAILED,
        "/var/lib/mysql after",
    ),
];

fn bent(lies: bool, mut bend: impl FnMut(&mut Event)) -> Found {
    let mut story = story::told(Wrong::default());
    if lies {
        story.records.iter_mut().for_each(|record| bend(&mut record.event));
    }
    let (conclusion, evidence) = story.judge("D4");
    (Verdict::Judged(conclusion), evidence)
}

fn fact(lies: bool, fact: impl Named, bend: impl Fn(&mut serde_json::Value)) -> Found {
    bent(lies, |event| {
        if let Some(value) = value_in(event, fact) {
            bend(value);
        }
    })
}
