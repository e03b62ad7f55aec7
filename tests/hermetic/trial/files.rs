//! What is wrong in a trial file is named with its line.

use std::path::Path;

use seatrial::fault::Faults;
use seatrial::trial::file::read;

use crate::cli::Home;

#[track_caller]
fn refused(cases: &[(&str, u64, &str)]) {
    for (rest, line, words) in cases {
        let text = format!("trial: shop\nmanifests: [a.yaml]\n{rest}");
        let error = read(Path::new("t.yaml"), &text, &Faults::built_in()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("t.yaml:{line}: ")), "{rest}: {error}");
        assert!(error.contains(words), "{rest}: {error}");
    }
}

#[test]
fn a_wrong_step_with_parameters() {
    refused(&[
        (
            "steps:\n- rollout: {workload: deployment/a}\n- drain\n- rollout: {workload: deployment/a}\n",
            6,
            "twice",
        ),
        ("steps:\n- rollout: {}\n", 4, "`rollout` needs `workload`, `image` or both"),
        ("steps:\n- rollout: {image: \"=a\"}\n", 4, "=a is neither TO nor FROM=TO"),
        ("steps:\n- drain\n- rollout:\n    workload: shop\n", 6, "shop is neither KIND/NAME"),
        ("steps:\n- rollout: {wokload: a}\n", 4, "wokload"),
        ("steps:\n- drain: {all: true}\n", 4, "drain"),
        (
            "steps:\n- fault: {unplug: {of: deployment/db}}\n",
            4,
            "no fault is called \"unplug\"; known faults: stop, ",
        ),
        ("steps:\n- drain\n- fault:\n    stop: {}\n", 6, "`stop` needs `of`"),
        ("steps:\n- fault: {stop: {of: deployment/a, node: worker}}\n", 4, "and not both"),
        ("steps:\n- fault: {kill-container: {node: worker}}\n", 4, "acts on a pod"),
        ("steps:\n- fault: {kill-container: {of: deployment/a}, for: 3s}\n", 4, "is over at once"),
        ("steps:\n- fault: {stop: {node: worker, container: a}}\n", 4, "has no container a"),
        (
            "steps:\n- fault:\n    stop: {node: worker}\n    for: soon\n",
            6,
            "soon is not a duration such as 60s",
        ),
        ("steps:\n- fault: {stop: {node: worker, with: {grase: 1s}}}\n", 4, "`stop` cannot take grase=1s"),
        ("steps:\n- fault: {slow-cpu: {node: worker, with: {cores: few}}}\n", 4, "cores=few"),
        ("steps:\n- fault: {stop: {node: worker}, kill: {node: worker}}\n", 4, "one step has one fault"),
    ]);
}

#[test]
fn a_wrong_expectation() {
    refused(&[
        ("expect:\n- {}\n", 4, "is about `data` or about a `workload`"),
        ("expect:\n- {data: {volume: v, is: gone}}\n", 4, "gone"),
        (
            "expect:\n- {data: {volume: v, is: waits}, during: drain}\n",
            4,
            "`data` takes `volume` and `is` alone",
        ),
        ("expect:\n- {data: {volume: v, is: waits}}\n- data: {volume: v, is: lost}\n", 5, "about the same"),
        ("steps: [drain]\nexpect:\n- {data: {volume: v, is: waits}}\n", 5, "no step `node-loss`"),
        ("expect:\n- {workload: deployment/a}\n", 4, "needs `is`"),
        (
            "expect:\n- workload: deployment/a\n  is: pending\n  during: fault\n",
            6,
            "no step `fault` that takes a node away",
        ),
        (
            "expect:\n- {workload: deployment/a, is: complete, because: x, during: drain}\n",
            4,
            "has no reason",
        ),
        (
            "expect:\n- {workload: deployment/a, is: away, because: '-', during: drain}\n",
            4,
            "`because` is empty",
        ),
        ("expect:\n- {workload: a, is: away, during: drain}\n", 4, "a is neither KIND/NAME"),
        ("expect:\n- {workload: deployment/a, is: away, during: night}\n", 4, "night"),
    ]);
}

#[test]
fn a_wrong_ledger() {
    refused(&[
        ("ledgers:\n  a: {workload: db, write: x $ENTRY, read: y}\n", 4, "db is neither KIND/NAME"),
        ("ledgers:\n  a: {workload: pod/db, write: x $ENTRY}\n", 4, "read"),
        // The wrong word is also in the entry above, where it is right.
        (
            "ledgers:\n  a: {workload: pod/a, write: x $ENTRY, read: y}\n  b: {workload: pod/b, write: x, read: y}\n",
            5,
            "`write` of b",
        ),
        (
            "probes: {front: {tcp: {service: a, port: 1}}, back: {tcp: {service: b, port: 2}}}\nbudgets:\n  front: {failed: 0.5%}\n  back: {longest: 5}\n",
            6,
            "5 is not a duration",
        ),
        ("ledgers:\n  A b: {workload: pod/db, write: x $ENTRY, read: y}\n", 4, "A b: the name of a ledger"),
    ]);
    let fields = "ledgers:\n  a:\n    workload: pod/db\n";
    for (rest, line, words) in [
        ("    write: x\n    read: y\n", 6, "`write` of a has no $ENTRY"),
        ("    write: x $ENTRY\n    read: ''\n", 7, "`read` of a is empty"),
        ("    write: x $ENTRY\n    read: y\n    every: soon\n", 8, "soon is not a duration"),
        ("    write: x $ENTRY\n    read: y\n    timeout: 0s\n", 8, "0s is not a duration"),
    ] {
        refused(&[(&format!("{fields}{rest}"), line, words)]);
    }
}

/// Editors read it: a change of the file's form shows here.
#[tokio::test]
async fn the_published_schema_has_every_part() {
    let schema = Home::new().seatrial(&["schema", "trial"]).await;
    assert_eq!(schema.code, 0, "{}", schema.err);
    insta::assert_snapshot!("schema_trial", schema.out);
}
