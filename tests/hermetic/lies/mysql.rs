//! Lies about a single MySQL on a hostPath volume: part B.

use seatrial::event::Event;
use seatrial::judge::mysql::facts;
use serde_json::json;

use super::{FAILED, Lie, OPEN, lie};
use crate::mysql::sound_story;
use crate::story::Story;

/// Lets nodes list a folder that is not the volume's.
fn listed_at(s: &mut Story, of: fn(&str) -> bool) {
    s.each(|e| {
        if let Event::FilesListed { node, path, .. } = e
            && of(node)
        {
            *path = "/var/lib/mysql".into();
        }
    });
}

pub(super) static LIES: &[Lie] = &[
    lie(
        "another folder listed",
        "B3",
        sound_story::story,
        |s| listed_at(s, |_| true),
        OPEN,
        "`before` lists /var/lib/mysql on cp, not /mnt/data",
    ),
    lie(
        "another folder listed on one node",
        "B5",
        sound_story::story,
        |s| listed_at(s, |node| node == "w2"),
        OPEN,
        "`serving` lists several paths: /mnt/data, /var/lib/mysql",
    ),
    lie(
        "the intent of a fault on another node",
        "B8",
        sound_story::story,
        |s| {
            s.each(|e| {
                if let Event::FaultIntended { node, .. } = e {
                    *node = "w2".into();
                }
            });
        },
        OPEN,
        "the intent of fault f1 was not recorded",
    ),
    lie(
        "another Deployment deleted",
        "B11",
        sound_story::story,
        |s| {
            s.each(|e| {
                if let Event::ObjectChanged { kind, object, .. } = e
                    && kind == "Deployment"
                {
                    object["metadata"]["name"] = json!("web");
                }
            });
        },
        OPEN,
        "the end of the Deployment was not recorded",
    ),
    lie(
        "a look at rows that runs backwards",
        "B12",
        sound_story::story,
        |s| {
            s.each(|e| {
                if let Event::RowsSampled { writers, .. } = e {
                    writers[0].low = writers[0].high + 1;
                }
            });
        },
        FAILED,
        "rows of ledger from 13 to 12",
    ),
    lie(
        "other volume",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::CLAIM, "/spec/volumeName", json!("another")),
        FAILED,
        "volume of mysql-pv-claim is another",
    ),
    lie(
        "pending",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::CLAIM, "/status/phase", json!("Pending")),
        FAILED,
        "phase of mysql-pv-claim is Pending",
    ),
    lie(
        "other claim",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME, "/spec/claimRef/uid", json!("x")),
        FAILED,
        "claim's UID",
    ),
    lie(
        "deleted",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME, "/spec/persistentVolumeReclaimPolicy", json!("Delete")),
        FAILED,
        "reclaim policy",
    ),
    lie(
        "affinity",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME, "/spec/nodeAffinity", json!({"required": {}})),
        FAILED,
        "has a node affinity",
    ),
    lie(
        "unprotected",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME, "/metadata/finalizers", json!([])),
        FAILED,
        "lacks finalizer kubernetes.io/pv-protection",
    ),
    lie(
        "by hand",
        "B1",
        sound_story::story,
        |s| s.bend_at(&facts::CLAIM, "/metadata/annotations", json!({})),
        FAILED,
        "bind-completed of mysql-pv-claim is absent",
    ),
    lie(
        "rolling",
        "B2",
        sound_story::story,
        |s| s.bend_at(&facts::DEPLOYMENT, "/spec/strategy/type", json!("RollingUpdate")),
        FAILED,
        "strategy of mysql is RollingUpdate",
    ),
    lie(
        "other path",
        "B2",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_POD, "/spec/containers/0/volumeMounts/0/mountPath", json!("/data")),
        FAILED,
        "is mounted at /data",
    ),
    lie(
        "empty dir",
        "B2",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_POD, "/spec/volumes", json!([])),
        FAILED,
        "volume of mysql-1",
    ),
    lie(
        "elsewhere",
        "B3",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_POD, "/spec/nodeName", json!("w2")),
        FAILED,
        "/mnt/data on w2 lacks auto.cnf ibdata1 mysql/",
    ),
    lie(
        "wrong server",
        "B4",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_SERVER, "/uuid", json!("uuid-x")),
        FAILED,
        "the server says uuid-x",
    ),
    lie(
        "wrong host",
        "B4",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_SERVER, "/pod", json!("my-laptop")),
        FAILED,
        "the server's host name is my-laptop",
    ),
    lie(
        "wrong pod",
        "B4",
        sound_story::story,
        |s| s.bend_at(&facts::FIRST_SERVER, "/pod_uid", json!("uid-x")),
        FAILED,
        "the connection led to pod UID uid-x",
    ),
    lie(
        "moved",
        "B6",
        sound_story::story,
        |s| s.bend_at(&facts::SECOND_POD, "/spec/nodeName", json!("w2")),
        FAILED,
        "mysql-2 runs on w2",
    ),
    lie(
        "same pod",
        "B6",
        sound_story::story,
        |s| s.bend_at(&facts::SECOND_POD, "/metadata/name", json!("mysql-1")),
        FAILED,
        "pod mysql-1 before, mysql-1 after",
    ),
    lie(
        "new server",
        "B6",
        sound_story::story,
        |s| s.bend_at(&facts::SECOND_SERVER, "/uuid", json!("uuid-x")),
        FAILED,
        "server uuid-a before, uuid-x after",
    ),
    lie(
        "same template",
        "B7",
        sound_story::story,
        |s| s.bend_at(&facts::THIRD_POD, "/metadata/labels/pod-template-hash", json!("h1")),
        FAILED,
        "the template changed",
    ),
    lie(
        "early",
        "B7",
        sound_story::story,
        |s| {
            s.bend_at(
                &facts::THIRD_POD,
                "/status/containerStatuses/0/state/running/startedAt",
                json!("2026-01-01T00:00:01Z"),
            )
        },
        FAILED,
        "the new one started at 2026-01-01T00:00:01Z",
    ),
    lie(
        "not recreate",
        "B7",
        sound_story::story,
        |s| s.bend_at(&facts::DEPLOYMENT_CHANGED, "/spec/strategy/type", json!("RollingUpdate")),
        FAILED,
        "strategy of mysql",
    ),
    lie(
        "same node",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::REPLACEMENT_POD, "/spec/nodeName", json!("w1")),
        FAILED,
        "the replacement runs on w1, w1 is down",
    ),
    lie(
        "late",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::OUTAGE_BUDGET, "/unknown", json!(5.0)),
        FAILED,
        "node Unknown took 15.0 s of 5.0 s",
    ),
    lie(
        "late eviction",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::OUTAGE_BUDGET, "/deletion", json!(18.0)),
        FAILED,
        "old pod Terminating took 20.0 s of 18.0 s",
    ),
    lie(
        "late ready",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::OUTAGE_BUDGET, "/ready", json!(21.0)),
        FAILED,
        "replacement ready took 22.0 s of 21.0 s",
    ),
    lie(
        "not terminating",
        "B8",
        sound_story::story,
        |s| s.bend_at(&facts::OLD_POD, "/metadata/deletionTimestamp", json!(null)),
        FAILED,
        "is Terminating just before",
    ),
    lie(
        "has it",
        "B9",
        sound_story::story,
        |s| s.bend_at(&facts::DATABASES, "", json!(["mysql", "qa"])),
        FAILED,
        "server uuid-b has database qa",
    ),
    lie(
        "same uuid",
        "B9",
        sound_story::story,
        |s| s.bend_at(&facts::REPLACEMENT_SERVER, "/uuid", json!("uuid-a")),
        FAILED,
        "server uuid-a before, uuid-a now",
    ),
    lie(
        "back elsewhere",
        "B10",
        sound_story::story,
        |s| s.bend_at(&facts::RETURNED_POD, "/spec/nodeName", json!("w2")),
        FAILED,
        "is back on w2",
    ),
    lie(
        "late return",
        "B10",
        sound_story::story,
        |s| s.bend_at(&facts::RETURN_BUDGET, "", json!(1.0)),
        FAILED,
        "w1 ready again took 2.0 s of 1.0 s",
    ),
    lie(
        "other data",
        "B10",
        sound_story::story,
        |s| s.bend_at(&facts::RETURNED_SERVER, "/uuid", json!("uuid-b")),
        FAILED,
        "server uuid-a before, uuid-b again",
    ),
    lie(
        "pending claim",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::CLAIM_KEPT, "/status/phase", json!("Lost")),
        FAILED,
        "phase without the Deployment of mysql-pv-claim is Lost",
    ),
    lie(
        "new claim",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::CLAIM_KEPT, "/metadata/uid", json!("x")),
        FAILED,
        "has UID pvc-uid before, x without the Deployment",
    ),
    lie(
        "new volume",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME_RELEASED, "/metadata/uid", json!("x")),
        FAILED,
        "has UID pv-uid before, x without its claim",
    ),
    lie(
        "still bound",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME_RELEASED, "/status/phase", json!("Bound")),
        FAILED,
        "phase without its claim of mysql-pv-volume-x1 is Bound",
    ),
    lie(
        "available",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::VOLUME_RELEASED, "/status/phase", json!("Available")),
        FAILED,
        "is Available, not Released",
    ),
    lie(
        "other files",
        "B11",
        sound_story::story,
        |s| s.bend_at(&facts::LAST_SERVER, "/uuid", json!("uuid-x")),
        FAILED,
        "the server says uuid-x",
    ),
    lie(
        "any node",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::PINNED_VOLUME, "/spec/nodeAffinity", json!(null)),
        FAILED,
        "is for w1 alone: no node affinity",
    ),
    lie(
        "two nodes",
        "B12",
        sound_story::story,
        |s| {
            s.bend_at(
                &facts::PINNED_VOLUME,
                "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values",
                json!(["w1", "w2"]),
            )
        },
        FAILED,
        "is for w1 alone",
    ),
    lie(
        "placed",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::POD_PENDING, "/status/phase", json!("Running")),
        FAILED,
        "phase of mysql-7 is Running, not Pending",
    ),
    lie(
        "other reason",
        "B12",
        sound_story::story,
        |s| {
            s.bend_at(
                &facts::POD_PENDING,
                "/status/conditions/0/message",
                json!("0/3 nodes are available: 3 Insufficient memory"),
            )
        },
        FAILED,
        "condition PodScheduled of mysql-7 is False, Unschedulable: 0/3 nodes are available: 3 Insufficient memory",
    ),
    lie(
        "another pod",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::PINNED_POD_RETURNED, "/metadata/uid", json!("pod-uid-9")),
        FAILED,
        "pod mysql-7 serves, mysql-7 was pending",
    ),
    lie(
        "elsewhere",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::PINNED_POD_RETURNED, "/spec/nodeName", json!("w2")),
        FAILED,
        "pod mysql-7 runs on w2",
    ),
    lie(
        "other data",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::PINNED_SERVER_RETURNED, "/uuid", json!("uuid-b")),
        FAILED,
        "server uuid-a before, uuid-b again",
    ),
    lie(
        "late",
        "B12",
        sound_story::story,
        |s| s.bend_at(&facts::PINNED_BUDGET, "/ready", json!(1.0)),
        FAILED,
        "FailedScheduling took 20.0 s of 1.0 s",
    ),
];
