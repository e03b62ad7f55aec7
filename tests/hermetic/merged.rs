//! One report over several runs: shards of a CI job, on machines that know nothing of each other.

use std::path::PathBuf;

use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion;
use seatrial::report::{FORMATS, Junit, Merged, RunReport, merge};

use crate::cli::{Home, fixture};
use crate::report::{gone_wrong, recorded, render, report};

/// A report with this id, of these records.
fn of(id: &str, mut records: Vec<Record>) -> RunReport {
    records.iter_mut().for_each(|record| record.run = id.into());
    report(&records)
}

fn started_later(mut records: Vec<Record>, seconds: i64) -> Vec<Record> {
    records.iter_mut().for_each(|r| r.at += jiff::SignedDuration::from_secs(seconds));
    records
}

fn on_version(mut records: Vec<Record>, version: &str) -> Vec<Record> {
    for record in &mut records {
        if let Event::ClusterReady { kubernetes, .. } = &mut record.event {
            *kubernetes = version.into();
        }
    }
    records
}

#[test]
fn no_verdict_changes_and_the_worst_one_counts() {
    let runs = [of("a", recorded()), of("b", gone_wrong())];
    let Merged { report, statements } = merge(runs.to_vec(), None, &[]);
    assert_eq!((report.verdict, report.run.as_str()), (Conclusion::Failed, "a+b"));
    let verdicts = |report: &RunReport| -> Vec<(String, Conclusion)> {
        report.claims.iter().map(|claim| (claim.id.clone(), claim.verdict)).collect()
    };
    assert_eq!(verdicts(&report), [verdicts(&runs[0]), verdicts(&runs[1])].concat());
    assert_eq!(report.counts.failed, runs[1].counts.failed);
    assert_eq!(report.counts.passed, runs[0].counts.passed + runs[1].counts.passed);
    assert!(
        statements.contains(&"A7 of stateless is passed in a, failed in b: the worst counts".into()),
        "{statements:#?}"
    );
    assert!(!statements.iter().any(|text| text.starts_with("A1 ")), "they agree on it: {statements:#?}");
    // The unfinished run says so under its own id.
    assert!(report.defects.iter().all(|defect| defect.starts_with("run b: ")), "{:#?}", report.defects);
    assert!(report.defects.iter().any(|d| d.starts_with("run b: the end of the run is not recorded")));
    let green = merge(vec![runs[0].clone()], None, &[]).report;
    assert_eq!((green.verdict, green.counts), (Conclusion::Passed, runs[0].counts));
}

#[test]
fn an_unfinished_or_missing_run_is_never_green() {
    let green = || of("a", recorded());
    let cut = of("b", recorded()[..40].to_vec());
    assert_eq!(merge(vec![green(), cut], None, &[]).report.verdict, Conclusion::Inconclusive);
    let lost =
        merge(vec![green()], None, &["shard-2 could not be merged: it has no events.jsonl".into()]).report;
    assert_eq!((lost.verdict, lost.defects.len()), (Conclusion::Inconclusive, 1));
    // A run that is given twice does not stand in for a missing one.
    let Merged { report: twice, statements } = merge(vec![green(), green()], Some(2), &[]);
    assert_eq!(twice.verdict, Conclusion::Inconclusive);
    assert_eq!(twice.defects, ["2 different runs were expected, 1 were given"]);
    assert_eq!(statements, ["run a was given twice and counts once"]);
    assert_eq!(twice.claims.len(), green().claims.len());
    assert_eq!(merge(Vec::new(), None, &[]).report.verdict, Conclusion::Inconclusive);
    let clash = merge(vec![green(), of("a", on_version(recorded(), "v1.35.0"))], None, &[]).report;
    assert_eq!(clash.verdict, Conclusion::Inconclusive);
    assert!(
        clash.defects.contains(&"2 runs with different records are called a".into()),
        "{:#?}",
        clash.defects
    );
}

#[test]
fn suites_of_several_versions_keep_names_of_their_own() {
    let later = of("b", started_later(on_version(recorded(), "v1.35.0"), 100));
    let whole = merge(vec![of("a", recorded()), later, of("c", recorded())], None, &[]);
    let names: Vec<&str> = whole.report.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names[0], "stateless on v1.34.4");
    assert!(
        names.contains(&"stateless on v1.35.0") && names.contains(&"stateless on v1.34.4 (2)"),
        "{names:?}"
    );
    let differ = "the runs differ in Kubernetes: v1.34.4 in a, v1.35.0 in b, v1.34.4 in c";
    assert!(whole.statements.contains(&differ.into()), "{:#?}", whole.statements);
    // Everything of a suite follows its name, and the later run is later on the time axis.
    for name in names {
        assert!(whole.report.claims_of(name).count() > 0, "{name} has no claims");
        assert!(
            whole.report.timelines.iter().any(|timeline| timeline.suite == name),
            "{name} has no timeline"
        );
    }
    let began = |name: &str| whole.report.suites.iter().find(|s| s.name == name).map(|s| s.began).unwrap();
    let apart = began("stateless on v1.35.0") - began("stateless on v1.34.4");
    assert!((apart - 100.0).abs() < 0.01, "{apart}");
    let junit = quick_junit::Report::deserialize_from_str(&render(&Junit, &whole.report)).expect("JUnit");
    assert_eq!((junit.tests, junit.failures), (whole.report.claims.len(), 0));
    for format in FORMATS {
        render(*format, &whole.report);
    }
}

#[tokio::test]
async fn the_command_writes_one_folder_and_ends_with_the_worst_verdict() {
    let home = Home::new();
    let turned = |id: &str, verdict: &str| -> String {
        let text = fixture().replace("20261124-091500-3f7a", id);
        let passed = r#""claim":"A10","verdict":"passed""#;
        home.keep(id, &text.replace(passed, &passed.replace("passed", verdict))).display().to_string()
    };
    let shards = [
        turned("20261124-091500-000a", "passed"),
        turned("20261124-091500-000b", "inconclusive"),
        turned("20261124-091500-000c", "failed"),
    ];
    let [green, unsure, red] = shards.each_ref().map(String::as_str);
    let empty = home.dir.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let empty = empty.display().to_string();
    for (runs, code, said) in [
        (&[green][..], 0, ""),
        (&[green, "--expect", "2"], 3, ""),
        (&[green, unsure], 3, "A10 of stateless is passed in 20261124-091500-000a, inconclusive in"),
        (&[green, unsure, red], 1, "the worst counts"),
        (&[green, &empty], 65, "is not the folder of a run: it has no events.jsonl"),
        (&[red, &empty], 1, "is not the folder of a run"),
        (&[&empty, "none"], 65, "no run is called none"),
    ] {
        let output: PathBuf = home.dir.path().join("merged");
        let _ = std::fs::remove_dir_all(&output);
        let output_arg = output.display().to_string();
        let ended = home.seatrial(&[&["merge"], runs, &["--output", &output_arg]].concat()).await;
        assert!(ended.code == code && ended.err.contains(said), "{runs:?}: {} {}", ended.code, ended.err);
        let any = runs.iter().any(|run| [green, unsure, red].contains(run));
        for file in ["report.html", "junit.xml", "report.json"] {
            assert_eq!(output.join(file).is_file(), any, "{runs:?}: {file}");
        }
    }
    // Without a folder, the state folder gets one.
    let ended = home.seatrial(&["merge", green, red, "--format", "github"]).await;
    assert!(ended.out.starts_with("::error title=A10 failed (stateless on v1.34.4 (2))::"), "{}", ended.out);
    let merged = home.dir.path().join("state/seatrial/merged");
    let made = std::fs::read_dir(merged).expect("a folder").count();
    assert_eq!(made, 1);
}

/// The same run with a name of what is on trial.
fn titled(mut records: Vec<Record>, name: &str) -> Vec<Record> {
    for record in &mut records {
        if let Event::ScenarioStarted { title, .. } = &mut record.event {
            *title = Some(name.into());
        }
    }
    records
}

#[test]
fn trials_of_two_applications_are_told_apart() {
    let runs = vec![of("a", titled(recorded(), "shop")), of("b", titled(gone_wrong(), "blog"))];
    let Merged { report, statements } = merge(runs, None, &[]);
    let names: Vec<&str> = report.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("shop")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("blog")), "{names:?}");
    assert!(!statements.iter().any(|text| text.contains("the worst counts")), "{statements:?}");
}
