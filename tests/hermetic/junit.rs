//! `junit.xml` as CI systems read it.

use std::collections::BTreeSet;

use seatrial::report::Junit;

use crate::report::{gone_wrong, render, report};

/// The strictest readers: Jenkins' xUnit plugin (`junit-10.xsd`) knows these attributes only. GitLab and CircleCI
/// show the text of a failure and not its message, and distinguish tests by class name and name.
#[test]
fn junit_is_what_jenkins_gitlab_and_circleci_read() {
    const ALLOWED: [(&str, &str); 9] = [
        ("testsuites", "name time tests failures errors"),
        (
            "testsuite",
            "name tests failures errors group time skipped timestamp hostname id package file log url",
        ),
        ("testcase", "name time classname group"),
        ("failure", "type message"),
        ("error", "type message"),
        ("properties", ""),
        ("property", "name value"),
        ("system-out", ""),
        ("system-err", ""),
    ];
    let broken = |run: &str| {
        let mut records = gone_wrong();
        records.iter_mut().for_each(|r| r.run = run.into());
        let mut report = report(&records);
        report.defects = vec![format!("a record of {run} is missing"), "another <defect>".into()];
        report
    };
    let xml = render(&Junit, &broken("r1"));
    for tag in xml.split('<').skip(1).filter(|t| !t.starts_with(['/', '?'])) {
        let tag = tag.split('>').next().unwrap().trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let allowed =
            ALLOWED.iter().find(|(element, _)| *element == name).unwrap_or_else(|| panic!("{name}")).1;
        let names = attributes.split('"').step_by(2).filter_map(|a| a.trim().strip_suffix('='));
        names.for_each(|a| assert!(allowed.split(' ').any(|known| known == a), "{a} of {name}"));
    }
    let parsed = quick_junit::Report::deserialize_from_str(&xml).expect("the report is JUnit");
    let cases = |report: &quick_junit::Report| {
        let cases = report.test_suites.iter().flat_map(|s| s.test_cases.clone());
        cases
            .map(|c| (c.classname.map(|n| n.as_str().to_owned()), c.name.as_str().to_owned()))
            .collect::<Vec<_>>()
    };
    let names = cases(&parsed);
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "no two cases of one name");
    let later = quick_junit::Report::deserialize_from_str(&render(&Junit, &broken("r2"))).unwrap();
    assert_eq!(cases(&later), names, "the names of two runs are the same");
    let mut wrong = 0;
    for case in parsed.test_suites.iter().flat_map(|s| &s.test_cases) {
        if let quick_junit::TestCaseStatus::NonSuccess { message, description, .. } = &case.status {
            let (message, text) =
                (message.as_ref().unwrap().as_str(), description.as_ref().unwrap().as_str());
            assert!(!message.is_empty() && text.starts_with(message), "{}: {text}", case.name.as_str());
            wrong += 1;
        }
    }
    assert!(wrong >= 7 && xml.contains("another &lt;defect&gt;"));
}
