//! `junit.xml`: the run for CI systems that show test results.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ClaimReport, Format, Look, ReportError, RunReport, SuiteReport};
use crate::judge::Conclusion;

/// A test case for each claim, a test suite for each suite. An inconclusive claim is a failure of type `inconclusive`,
/// because a CI job must not turn green on it. A story that broke, and records with a defect, are errors in cases of
/// their own.
///
/// The file keeps to the strictest reader, Jenkins' xUnit plugin (`junit-10.xsd`): `testsuites` has neither `timestamp`
/// nor `skipped`. GitLab and CircleCI show only the text of a failure, which therefore begins with the message. Readers
/// compare tests of two runs by class name and name, so a case's name contains nothing that is specific to one run.
#[derive(Debug)]
pub struct Junit;

impl Format for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn about(&self) -> &'static str {
        "XML that CI systems read: a test case for each claim"
    }

    fn file(&self) -> Option<&'static str> {
        Some("junit.xml")
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        let mut junit = Report::new("seatrial");
        junit.time = Some(seconds(report.took));
        for suite in &report.suites {
            junit.add_test_suite(test_suite(report, suite));
        }
        if !report.defects.is_empty() {
            let mut records = TestSuite::new("records");
            records.add_test_case(broken("the records are whole", "records", "defect", &report.defects));
            junit.add_test_suite(records);
        }
        let xml = junit.to_string().map_err(|e| ReportError::Render { format: "junit", source: e.into() })?;
        // The library removes control characters but not these two, which XML 1.0 does not allow either.
        let xml = xml.replace(['\u{fffe}', '\u{ffff}'], " ");
        // The first `skipped` is that of `testsuites`.
        Ok(xml.replacen(" skipped=\"0\"", "", 1))
    }
}

fn test_suite(report: &RunReport, suite: &SuiteReport) -> TestSuite {
    let mut tests = TestSuite::new(suite.name.as_str());
    tests.time = Some(seconds(suite.took));
    let began = report.started.and_then(|at| at.checked_add(seconds(suite.began)).ok());
    tests.add_property(("run", report.run_of(&suite.name)));
    tests.timestamp = began.and_then(|at| at.to_string().parse().ok());
    if let Some(cluster) = report.clusters.iter().find(|c| Some(&c.name) == suite.cluster.as_ref()) {
        tests.add_property(("cluster", cluster.name.as_str()));
        tests.add_property(("kubernetes", cluster.kubernetes.as_str()));
        tests.add_property(("node-image", cluster.image.as_str()));
    }
    for swap in &report.substitutions {
        tests.add_property(("substitution", format!("{} -> {}", swap.from, swap.to).as_str()));
    }
    for claim in report.claims_of(&suite.name) {
        tests.add_test_case(test_case(claim));
    }
    for left in &suite.left {
        tests.add_property(("left-behind", left.as_str()));
    }
    if let Some(error) = &suite.error {
        let error = std::slice::from_ref(error);
        tests.add_test_case(broken("the story", &suite.name, "broken", error));
    }
    tests
}

fn test_case(claim: &ClaimReport) -> TestCase {
    let mut status = match claim.verdict {
        Conclusion::Passed => TestCaseStatus::success(),
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let whole = format!("{}\n{}", claim.evidence, claim.details.join("\n"));
    status.set_type(claim.verdict.to_string()).set_message(claim.evidence.as_str());
    status.set_description(whole.trim());
    let mut case = TestCase::new(format!("{} {}", claim.id, claim.title).trim_end(), status);
    case.set_classname(claim.suite.as_str());
    case.time = Some(seconds(claim.took.unwrap_or_default()));
    if claim.verdict == Conclusion::Passed {
        case.set_system_out(whole.trim());
    }
    case
}

/// Returns a case that is in error for these reasons; the first is its message.
fn broken(name: &str, class: &str, kind: &str, reasons: &[String]) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let message = reasons.first().map(String::as_str).unwrap_or_default();
    status.set_type(kind).set_message(message).set_description(reasons.join("\n"));
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
