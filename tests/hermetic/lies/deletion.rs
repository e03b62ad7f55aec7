//! Lies about what is left after a deletion, and about its order: A10.

use seatrial::event::{Change, Event};
use seatrial::judge::stateless::facts::{self, Deletion};
use serde_json::{Value, json};

use super::{FAILED, Lie, OPEN, lie};
use crate::story::{Story, recorded};

pub(super) static LIES: &[Lie] = &[
    lie(
        "a ReplicaSet that was not removed",
        "A10",
        recorded,
        |s| left(s, &facts::BACKGROUND, "replica_sets"),
        FAILED,
        "background: ReplicaSet ",
    ),
    lie(
        "a pod that was not removed",
        "A10",
        recorded,
        |s| left(s, &facts::BACKGROUND, "pods"),
        FAILED,
        "background: Pod ",
    ),
    lie(
        "a Deployment that was not removed",
        "A10",
        recorded,
        |s| left(s, &facts::FOREGROUND, "deployments"),
        FAILED,
        "foreground: Deployment ",
    ),
    lie(
        "a pod that foreground deletion left",
        "A10",
        recorded,
        |s| left(s, &facts::FOREGROUND, "pods"),
        FAILED,
        "was not removed",
    ),
    lie("deployment first", "A10", recorded, |s| deleted_at(s, "Deployment", 1), FAILED, "before Deployment"),
    lie(
        "replica set before its pods",
        "A10",
        recorded,
        |s| deleted_at(s, "ReplicaSet", 1),
        FAILED,
        "before ReplicaSet",
    ),
    lie(
        "never seen waiting",
        "A10",
        recorded,
        no_finalizer,
        FAILED,
        "was seen waiting with its finalizer: false",
    ),
    lie(
        "deletion not recorded",
        "A10",
        recorded,
        |s| {
            s.forget(|e| matches!(e, Event::ObjectChanged { change: Change::Deleted, kind, .. } if kind == "ReplicaSet"))
        },
        OPEN,
        "the deletion of ReplicaSet",
    ),
    lie(
        "nothing there before",
        "A10",
        recorded,
        |s| s.fact(&facts::BACKGROUND.before)["pods"] = json!([]),
        FAILED,
        "0 Pod(s) before",
    ),
    lie(
        "lists incomplete",
        "A10",
        recorded,
        |s| s.fact(&facts::FOREGROUND.after)["pods"] = Value::Null,
        OPEN,
        "foreground_after.pods",
    ),
    lie(
        "watch broke",
        "A10",
        recorded,
        |s| {
            s.insert_after(
                "foreground-delete",
                Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None },
            )
        },
        OPEN,
        "watch of Pod broke off",
    ),
];

/// Everything that existed before the deletion exists after it, too.
fn left(story: &mut Story, of: &Deletion, list: &str) {
    let left = story.fact(&of.before)[list].clone();
    story.fact(&of.after)[list] = left;
}

/// The last deletion of an object of this kind has this resource version.
fn deleted_at(story: &mut Story, wanted: &str, version: u64) {
    let last = story.records.iter_mut().rev().find_map(|r| match &mut r.event {
        Event::ObjectChanged { change: Change::Deleted, kind, object, .. } if kind == wanted => Some(object),
        _ => None,
    });
    last.unwrap()["metadata"]["resourceVersion"] = json!(version.to_string());
}

fn no_finalizer(story: &mut Story) {
    for record in &mut story.records {
        if let Event::ObjectChanged { object, .. } = &mut record.event {
            object["metadata"]["finalizers"] = json!([]);
        }
    }
}
