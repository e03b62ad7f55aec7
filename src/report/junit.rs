//! `junit.xml`: the run for CI systems that show tests.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ClaimReport, Format, Look, ReportError, RunReport, SuiteReport};
use crate::judge::Conclusion;

/// One test case a claim, one test suite a suite. A claim that is inconclusive is a failure of
/// type `inconclusive`: a CI job must not turn green on it. A story that broke, and records with
/// a defect, are errors of their own.
#[derive(Debug)]
pub struct Junit;

impl Format for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn about(&self) -> &'static str {
        "XML that CI systems read: a test case a claim"
    }

    fn file(&self) -> Option<&'static str> {
        Some("junit.xml")
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        let mut junit = Report::new(format!("seatrial {}", report.run));
        junit.timestamp = report.started.and_then(|at| at.to_string().parse().ok());
        junit.time = Some(seconds(report.took));
        for suite in &report.suites {
            junit.add_test_suite(test_suite(report, suite));
        }
        if !report.defects.is_empty() {
            let mut records = TestSuite::new("records");
            for defect in &report.defects {
                records.add_test_case(broken(defect, "records", "defect", defect));
            }
            junit.add_test_suite(records);
        }
        let xml = junit.to_string().map_err(|e| ReportError::Render { format: "junit", source: e.into() })?;
        // The library takes control characters away, not these: XML 1.0 has no place for them either.
        Ok(xml.replace(['\u{fffe}', '\u{ffff}'], " "))
    }
}

fn test_suite(report: &RunReport, suite: &SuiteReport) -> TestSuite {
    let mut tests = TestSuite::new(suite.name.as_str());
    tests.time = Some(seconds(suite.took));
    let began = report.started.and_then(|at| at.checked_add(seconds(suite.began)).ok());
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
        tests.add_test_case(broken("the story", &suite.name, "broken", error));
    }
    tests
}

fn test_case(claim: &ClaimReport) -> TestCase {
    let mut status = match claim.verdict {
        Conclusion::Passed => TestCaseStatus::success(),
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let details = claim.details.join("\n");
    status.set_type(claim.verdict.to_string()).set_message(claim.evidence.as_str());
    status.set_description(details.as_str());
    let mut case = TestCase::new(format!("{} {}", claim.id, claim.title).trim_end(), status);
    case.set_classname(claim.suite.as_str());
    case.time = Some(seconds(claim.took.unwrap_or_default()));
    if claim.verdict == Conclusion::Passed {
        case.set_system_out(format!("{}\n{details}", claim.evidence));
    }
    case
}

fn broken(name: &str, class: &str, kind: &str, message: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind).set_message(message);
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
