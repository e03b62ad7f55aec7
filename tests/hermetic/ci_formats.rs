//! The formats for CI systems, with texts from a hostile cluster.

use seatrial::event::Event;
use seatrial::judge::Conclusion;
use seatrial::report::{GitHub, Markdown, RunReport};

use crate::report::{gone_wrong, recorded, render, report};

const HOSTILE: &str = "<img src=x> | a | [link](https://x.test) `code` **b** @octocat me@x.test www.x.test #1 \
    ::error::x 100% a,b: c \\| <!-- --> &lt;";

/// The run that went wrong, with a hostile text in its failed claim, its suite, its story's error and its defects.
fn hostile() -> RunReport {
    let mut records = gone_wrong();
    for record in &mut records {
        record.run = format!("run {HOSTILE}");
        if let Event::ClaimJudged { claim, evidence, details, .. } = &mut record.event
            && claim == "A7"
        {
            *evidence = format!("3 of 40 {HOSTILE}");
            *details = vec![format!("failed: {HOSTILE}. hint: add a {HOSTILE}")];
        }
    }
    let mut report = report(&records);
    report.defects.push(HOSTILE.into());
    for claim in &mut report.claims {
        claim.suite = format!("{} {HOSTILE}", claim.suite);
    }
    for suite in &mut report.suites {
        suite.name = format!("{} {HOSTILE}", suite.name);
        (suite.error, suite.left) = (Some(HOSTILE.into()), vec![HOSTILE.into()]);
    }
    report
}

#[test]
fn markdown_passes_no_markup_on() {
    let page = render(&Markdown, &hostile());
    for line in page.lines() {
        // What remains without our own markup is text.
        let own = ["<code>", "</code>", "&#64;<wbr>"];
        let text = own.iter().fold(line.to_owned(), |text, tag| text.replace(tag, ""));
        for markup in ["<", ">", "`", "[", "]", "::", "://", "www.", "@", "\\", "&lt", "!"] {
            assert!(!text.contains(markup), "{markup} in {line}");
        }
        if line.starts_with("| ") {
            assert_eq!(line.matches('|').count(), 5, "{line}");
        }
    }
    assert!(page.contains("100&#37;") || page.contains("100% a,b: c"), "{page}");
}

#[test]
fn markdown_lists_each_failed_claim_with_its_hint_before_the_table() {
    let page = render(&Markdown, &report(&gone_wrong()));
    let (troubles, table) = page.split_once("| claim | suite |").expect("a table");
    assert!(troubles.starts_with("## seatrial: failed\n"), "{troubles}");
    let a7 = troubles.split("\n- ").find(|entry| entry.contains("<code>A7</code>")).expect("A7");
    assert!(a7.starts_with("**failed**") && a7.contains("3 of 40 requests were refused"), "{a7}");
    assert!(a7.contains("\n  - hint: <code>seatrial report 20261124"), "{a7}");
    assert_eq!(table.lines().filter(|l| l.starts_with("| ")).count(), 23, "{table}");
    assert!(table.contains("| failed (140 s of 130 s) |") || table.contains("2 min 20 s"), "{table}");
    let green = render(&Markdown, &report(&recorded()));
    assert!(!green.contains("Not passed") && !green.contains("hint"), "{green}");
    let hinted = render(&Markdown, &hostile());
    assert!(hinted.contains("hint: <code>add a &#60;img"), "a judge's own hint: {hinted}");
}

#[test]
fn github_gets_one_line_for_each_claim_that_did_not_pass() {
    let shown = render(&GitHub, &report(&gone_wrong()));
    let of = |level: &str| shown.lines().filter(|l| l.starts_with(&format!("::{level} title="))).count();
    assert_eq!((of("error"), of("warning")), (2, shown.lines().count() - 2), "{shown}");
    let first = shown.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("::error title=A7 failed (stateless)::3 of 40 requests were refused%0Ahint: "),
        "{first}"
    );
    assert_eq!(render(&GitHub, &report(&recorded())), "", "nothing is said about a run that passed");
    let cut = report(&recorded()[..40]);
    assert_eq!(cut.verdict, Conclusion::Inconclusive);
    assert!(render(&GitHub, &cut).contains("::warning title=records::"), "defects are not silent");
}

/// The runner splits a line at the first `::` after the command, and undoes `%0A`, `%0D` and `%25`.
#[test]
fn github_reads_a_hostile_text_as_data() {
    for line in render(&GitHub, &hostile()).lines() {
        let rest = ["::error title=", "::warning title="].iter().find_map(|head| line.strip_prefix(head));
        let (title, message) = rest.and_then(|rest| rest.split_once("::")).expect("a command");
        assert!(!title.contains([',', ':']), "{title}");
        for (at, _) in line.match_indices('%') {
            let escape = &line[at..line.len().min(at + 3)];
            assert!(["%25", "%0A", "%0D", "%3A", "%2C"].contains(&escape), "{escape} in {line}");
        }
        assert!(!message.is_empty(), "{line}");
    }
}

/// Git and cargo print such lines. The judge of a ledger has no hint of its own, and quotes what a command said.
#[test]
fn what_an_application_says_is_no_hint() {
    let mut report = report(&gone_wrong());
    let a7 = report.claims.iter_mut().find(|claim| claim.id == "A7").unwrap();
    let quoted = "the command ended with 1: hint: curl http://x.test/fix.sh, and no entry was read";
    (a7.id, a7.evidence, a7.details) =
        ("ledger/Deployment/db".into(), quoted.into(), vec![format!("failed: {quoted}")]);
    let page = render(&Markdown, &report);
    assert!(!page.contains("hint: <code>curl"), "{page}");
    assert!(page.contains("and no entry was read"), "{page}");
}
