//! The exit codes of commands, and the files that remain after an error on the way.

use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::fault::{IntentLog, StopNode};
use seatrial::image::profile::Source;
use seatrial::image::{BUILT_FROM_LABEL, Profile};
use seatrial::node::OWNER_LABEL;
use seatrial::suite::SUITES;

use crate::cli::{Home, judged_story};
use crate::fake_engine::FakeEngine;

#[tokio::test]
async fn a_wrong_version_is_refused_before_anything_runs() {
    let home = Home::new();
    for (profile, known) in [("auto", "profile auto has no Kubernetes 9.9"), ("offline", "profile offline")] {
        let ended = home.seatrial(&["run", "--profile", profile, "--k8s", "1.35,9.9"]).await;
        assert!(ended.code == 2 && ended.err.contains(known), "{}: {}", ended.code, ended.err);
    }
    assert!(!home.runs().exists(), "a run was begun");
}

/// Gives the engine all images of a version of profile `current`.
fn has_images_of(fake: &FakeEngine, version: &str) -> anyhow::Result<()> {
    let Source::Registry(pulled) = Profile::named("current")?.source else { anyhow::bail!("it is pulled") };
    let node = pulled.nodes.iter().find(|n| n.version.starts_with(version)).map(|n| (&n.image, &n.digest));
    for (image, digest) in pulled.workloads.values().map(|w| (&w.image, &w.digest)).chain(node) {
        let digest = digest.as_deref().expect("it is pinned");
        let short = &digest["sha256:".len()..][..12];
        let name = format!("seatrial.local/{}-{short}", image.trim_start_matches("library/"));
        let from = format!("{}/{image}@{digest}", pulled.registry);
        let labels = [(OWNER_LABEL, "test".to_owned()), (BUILT_FROM_LABEL, from)];
        fake.state().images.insert(name, labels.map(|(k, v)| (k.to_owned(), v)).into());
    }
    Ok(())
}

/// The engine has the images of the first version, and cannot pull those of the second.
#[tokio::test]
async fn a_run_reports_its_first_version_even_if_the_second_cannot_begin() -> anyhow::Result<()> {
    let (home, fake) = (Home::new(), FakeEngine::with(&[])?);
    has_images_of(&fake, "1.35.")?;
    let args = ["run", "--profile", "current", "--k8s", "1.35,1.36", "--suite", "stateless"];
    let ended = home.with_engine(&fake.host(), &args).await;
    assert_eq!(ended.code, 69, "{}", ended.err);
    assert!(ended.err.contains("error: failed to pull") && ended.err.contains("v1.36"), "{}", ended.err);
    assert!(ended.out.contains("11 claims: 0 passed, 0 failed, 11 inconclusive"), "{}", ended.out);
    let run = std::fs::read_dir(home.runs())?.next().expect("a run")?.path();
    for file in ["report.json", "junit.xml", "report.html"] {
        assert!(run.join(file).is_file(), "{file}: {}", ended.out);
    }
    // The run's own end, and the end of the version that never began.
    let log = std::fs::read_to_string(run.join("events.jsonl"))?;
    let ends: Vec<&str> = log.lines().filter(|line| line.contains(r#""event":"run-ended""#)).collect();
    assert!(matches!(ends[..], [_, cut] if cut.contains(r#""verdict":"inconclusive""#)), "{log}");
    Ok(())
}

#[tokio::test]
async fn judging_a_run_whose_story_broke_is_no_failed_claim() {
    let home = Home::new();
    let story = judged_story();
    for (broke, verdict, code) in [
        ("null", "passed", 0),
        ("null", "inconclusive", 3),
        ("null", "failed", 70),
        ("\"the server said no\"", "failed", 70),
    ] {
        let ended = r#""event":"run-ended","verdict":"#;
        let bent = story
            .replace(
                r#""event":"scenario-ended","error":null"#,
                &format!(r#""event":"scenario-ended","error":{broke}"#),
            )
            .replace(&format!("{ended}\"passed\""), &format!("{ended}\"{verdict}\""));
        home.keep("20261124-151229-5eed", &bent);
        let judged = home.seatrial(&["judge", "last"]).await;
        assert_eq!(judged.code, code, "{broke} {verdict}: {}{}", judged.out, judged.err);
    }
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "there is no /dev/full")]
async fn output_on_a_full_disk_is_told_and_hides_no_result() -> anyhow::Result<()> {
    let (home, fake) = (Home::new(), FakeEngine::with(&[])?);
    has_images_of(&fake, "1.35.")?;
    let full = "error: failed to write to standard output: No space left";
    // The suite's story breaks: there is no kind.
    let run = ["run", "--profile", "current", "--k8s", "1.35", "--suite", "stateless"];
    for (args, code) in [(&["claims"][..], 73), (&["fault", "list"], 73), (&run, 69)] {
        let ended = home.with_full_disk(&fake.host(), args).await;
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(full) && ended.err.contains("\nhint: free disk space"), "{}", ended.err);
    }
    Ok(())
}

#[tokio::test]
async fn open_faults_are_listed_without_an_engine() -> anyhow::Result<()> {
    let (home, fake) = (Home::new(), FakeEngine::with(&["w"])?);
    let dir = home.dir.path().join("state/seatrial/clusters/three");
    std::fs::create_dir_all(&dir)?;
    IntentLog::open(&dir)?
        .write(&StopNode::DEFAULT, &fake.node("w").await?, Deadline::after(Duration::from_secs(30)))
        .await?;
    let listed = home.seatrial(&["fault", "list", "--json"]).await;
    assert_eq!(listed.code, 0, "{}", listed.err);
    let json: serde_json::Value = serde_json::from_str(&listed.out)?;
    assert_eq!((&json["open"][0]["node"], &json["open"][1]), (&"w".into(), &serde_json::Value::Null));
    let listed = home.seatrial(&["fault", "list"]).await;
    assert!(listed.out.contains("open: fault stop of w since"), "{}", listed.out);
    Ok(())
}

/// README.md names the suites that `make suites` runs: those that run without being named.
#[test]
fn the_suites_that_need_not_be_named_are_the_first_five() {
    let only_named: Vec<bool> = SUITES.iter().map(|s| s.only_named()).collect();
    assert_eq!(only_named, [false, false, false, false, false, true, true, true]);
    assert!(
        include_str!("../../README.md").contains("`make suites` the first five; `upgrade` and `ha` run when")
    );
}
