//! A table of upgrades with a row for each pair of neighbouring versions: the seconds of each step, the longest outage
//! of each probe, and the verdict. Each row is made from the records of one run.

use std::collections::BTreeMap;

use crate::event::Record;
use crate::judge::upgrade::costs;
use crate::kubernetes::version::Version;
use crate::sanitise;

/// The steps in their order, as columns. Times of a step on several nodes are added up.
const STEPS: [&str; 7] = ["preload", "apply", "configure", "drain", "kubelet", "uncordon", "settle"];
/// The table's header.
const HEAD: &str = "| upgrade | verdict | all | preload | apply | configure | drain | kubelet | uncordon | settle | longest without an answer | run |";
const RULE: &str = "|---|---|---|---|---|---|---|---|---|---|---|---|";

/// Two releases; the second is of the next minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The version before the upgrade.
    pub from: Version,
    /// The version after the upgrade.
    pub to: Version,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

/// Returns a pair for each release that can be upgraded to the next minor version, the oldest first. The second version
/// is the newest release of that minor version.
pub fn pairs(releases: &[Version]) -> Vec<Pair> {
    let mut sorted = releases.to_vec();
    sorted.sort();
    let next = |from: Version| {
        let line = Version::new(from.major, from.minor + 1, 0).line();
        sorted.iter().copied().filter(|v| v.line() == line).max()
    };
    sorted.iter().filter_map(|from| next(*from).map(|to| Pair { from: *from, to })).collect()
}

/// Returns the row of one run, from its records and the verdict on the suite.
pub fn row(pair: Pair, verdict: &str, run: &str, records: &[Record]) -> String {
    let costs = costs(records);
    let (mut took, mut all): (BTreeMap<&str, f64>, f64) = (BTreeMap::new(), 0.0);
    // By probe: its longest outage, and the step in which that began.
    let mut away: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for cost in &costs {
        let seconds = cost.ended.as_ref().map_or(0.0, |e| e.took);
        *took.entry(cost.step.step.as_str()).or_default() += seconds;
        all += seconds;
        for (probe, tally) in &cost.probes {
            let longest = away.entry(probe).or_default();
            if tally.outage > longest.0 {
                *longest = (tally.outage, &cost.step.step);
            }
        }
    }
    let mut cells = vec![pair.to_string(), verdict.to_owned(), format!("{all:.1}")];
    cells.extend(STEPS.map(|step| took.get(step).map_or("none".into(), |s| format!("{s:.1}"))));
    let outages = away.iter().map(|(probe, (seconds, step))| match *seconds {
        0.0 => format!("{probe} none"),
        seconds => format!("{probe} {seconds:.1} ({step})"),
    });
    cells.push(outages.collect::<Vec<_>>().join(", "));
    cells.push(run.to_owned());
    // A bar would end the cell, and a backslash would escape the next character.
    let cell = |text: &String| sanitise::line(text).replace('\\', r"\\").replace('|', r"\|");
    let cells: Vec<String> = cells.iter().map(cell).collect();
    format!("| {} |", cells.join(" | "))
}

/// Whether the table has a row of the pair with the verdict passed.
pub fn finished(table: &str, pair: Pair) -> bool {
    table.lines().any(|line| key(line) == Some(pair.to_string()) && line.contains("| passed |"))
}

/// Returns the table with this row. The row replaces an older one of the same pair, or follows those of older versions.
/// The text around the table stays; a text without a table gets one at its end.
pub fn with_row(table: &str, row: &str) -> String {
    let mut lines: Vec<&str> = table.lines().collect();
    let first = match lines.iter().position(|line| *line == HEAD) {
        Some(head) => head + 2,
        None => {
            lines.extend(["", HEAD, RULE]);
            lines.len()
        }
    };
    let first = first.min(lines.len());
    let count = lines[first..].iter().take_while(|l| l.starts_with('|')).count();
    let mut rows: Vec<&str> = lines.splice(first..first + count, []).filter(|l| key(l) != key(row)).collect();
    rows.push(row);
    rows.sort_by_key(|row| from(row));
    lines.splice(first..first, rows);
    lines.join("\n") + "\n"
}

fn key(row: &str) -> Option<String> {
    Some(row.strip_prefix("| ")?.split(" | ").next()?.to_owned())
}

fn from(row: &str) -> Option<Version> {
    key(row)?.split(" -> ").next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EndedStep, UpgradeStep};
    use crate::event::{Event, Outcome, Scope};

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn pair() -> Pair {
        Pair { from: v("1.34.4"), to: v("1.35.4") }
    }

    fn records() -> Vec<Record> {
        let to = v("1.35.4");
        let step = |step: &str, node: Option<&str>, took: f64| {
            let (step, node) = (step.to_owned(), node.map(str::to_owned));
            let started = UpgradeStep { to, step: step.clone(), node: node.clone() };
            let ended = EndedStep { to, step, node, took, error: None, proof: "x".into(), versions: None };
            (Event::UpgradeStepStarted(started), Event::UpgradeStepEnded(ended))
        };
        let asked =
            |outcome| Event::Sampled { probe: "api".into(), outcome, took_ms: 0.0, detail: String::new() };
        let (apply, applied) = step("apply", Some("cp"), 100.0);
        let (one, one_ended) = step("drain", Some("w1"), 2.5);
        let (two, two_ended) = step("drain", Some("w2"), 4.0);
        let events = [
            (0, apply),
            (1, asked(Outcome::Acknowledged)),
            (2, asked(Outcome::Refused)),
            (80, asked(Outcome::Acknowledged)),
            (100, applied),
            (101, one),
            (103, one_ended),
            (104, two),
            (105, asked(Outcome::Acknowledged)),
            (108, two_ended),
        ];
        let record = |(second, event): (u64, Event)| Record {
            schema: 1,
            seq: 0,
            writer: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: second * 1_000_000,
            run: "r".into(),
            scope: Scope::default(),
            event,
        };
        events.into_iter().map(record).collect()
    }

    #[test]
    fn a_row_adds_up_nodes_and_names_the_step_of_an_outage() {
        assert_eq!(
            row(pair(), "passed", "today", &records()),
            "| 1.34.4 -> 1.35.4 | passed | 106.5 | none | 100.0 | none | 6.5 | none | none | none | api 79.0 (apply) | today |"
        );
    }

    #[test]
    fn pairs_are_neighbours_and_end_at_the_newest_of_the_next_minor() {
        let all = ["1.36.3", "1.34.4", "1.35.3", "1.35.4", "1.38.0"].map(v);
        let named: Vec<String> = pairs(&all).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["1.34.4 -> 1.35.4", "1.35.3 -> 1.36.3", "1.35.4 -> 1.36.3"]);
    }

    #[test]
    fn a_row_replaces_an_older_one_and_keeps_the_text_around() {
        let cell = |pair: &str, verdict: &str| format!("| {pair} | {verdict} | 1 |");
        let table = with_row("# Pairs\n\nText.\n", &cell("1.35.4 -> 1.36.3", "failed"));
        let table = with_row(&format!("{table}\nAfter.\n"), &cell("1.34.4 -> 1.35.4", "passed"));
        assert!(table.starts_with("# Pairs\n\nText.\n\n| upgrade |"), "{table}");
        assert!(table.ends_with("| 1.35.4 -> 1.36.3 | failed | 1 |\n\nAfter.\n"), "{table}");
        assert!(finished(&table, pair()));
        let next = Pair { from: v("1.35.4"), to: v("1.36.3") };
        assert!(!finished(&table, next), "what failed is run again");
        let table = with_row(&table, &cell("1.35.4 -> 1.36.3", "passed"));
        assert!(finished(&table, next) && !table.contains("failed"), "{table}");
        let rows: Vec<&str> = table.lines().filter(|l| l.contains(" -> ")).collect();
        assert!(rows.len() == 2 && rows[0].contains("1.34.4 ->"), "{table}");
    }
}
