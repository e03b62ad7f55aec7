//! Texts from a cluster, harmless in every output: each report format, and what the command line prints.

use seatrial::event::{self, Record};
use seatrial::report::{FORMATS, Look, RunReport};
use serde_json::Value;

use crate::cli::Home;

/// The run id of the fixture.
const RUN: &str = "20261124-091500-3f7a";
/// A text that a termination message can contain.
const POISON: &str = " x\r\n::error file=a::boom ##[group]g ##vso[task.complete result=Failed]y ##teamcity[buildStop id='1'] \
    section_start:1:a\r\u{1b}[0K\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}2J \u{202e}turned\u{2066} \u{200b}\u{e0041} \u{0}\u{8} \
    ::set-output name=x::y #\u{1b}[1m#vso[x] :\u{1b}[1m:add-mask::z |";

/// Fields that are not texts from a cluster: with other values the log would be invalid.
const FORM: [&str; 12] = [
    "event", "at", "verdict", "outcome", "change", "kind", "power", "run", "from", "to", "versions", "before",
];

/// Returns the fixtures' records with the dangerous text in each of their texts.
fn poisoned(with: &str) -> (String, Vec<Record>) {
    fn all(value: &mut Value, with: &str) {
        match value {
            Value::String(text) => text.push_str(with),
            Value::Array(items) => items.iter_mut().for_each(|item| all(item, with)),
            Value::Object(fields) => {
                fields.iter_mut().filter(|f| !FORM.contains(&f.0.as_str())).for_each(|f| all(f.1, with));
            }
            _ => {}
        }
    }
    let log = include_str!("recordings/schema-1/short-run.jsonl");
    let mut lines = Vec::new();
    for line in log.lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        all(&mut value, with);
        // These two kinds of records contain texts in every run: a note, and why a story broke.
        lines.push(value.to_string());
    }
    for extra in [
        r#"{"event":"noted","text":"noted"}"#,
        r#"{"event":"step-ended","step":"s","took":1.0,"budget":null,"error":"why"}"#,
        r#"{"event":"scenario-ended","error":"broke"}"#,
    ] {
        let mut value: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        let mut event: Value = serde_json::from_str(extra).unwrap();
        all(&mut event, with);
        value["seq"] = (value["seq"].as_u64().unwrap() + 1).into();
        value["scenario"] = format!("broken{with}").into();
        let keep = ["schema", "seq", "writer", "at", "mono_us", "run", "scenario"];
        let mut kept: serde_json::Map<String, Value> =
            keep.iter().map(|k| ((*k).to_owned(), value[*k].clone())).collect();
        kept.extend(event.as_object().unwrap().clone());
        lines.push(Value::Object(kept).to_string());
    }
    let text = lines.join("\n") + "\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, &text).unwrap();
    (text, event::read(&path).unwrap())
}

/// Returns what would mislead a terminal, a CI system or a reader.
fn hazards(text: &str, colours: bool) -> Vec<String> {
    let mut found = Vec::new();
    let text = if colours { plain(text) } else { text.to_owned() };
    for line in text.lines() {
        let mut say = |what: &str| {
            found.push(format!("{what}: {}", line.chars().take(200).collect::<String>().escape_debug()))
        };
        if line.chars().any(|c| c.is_control() && c != '\t') {
            say("a control character");
        }
        if line.chars().any(|c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}')) {
            say("an invisible character");
        }
        if ["##[", "##vso[", "##teamcity["].iter().any(|command| line.contains(command)) {
            say("a command");
        }
        if line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::")) {
            say("a command at the start");
        }
        if line.contains("\u{1b}[0K") || line.trim_start().starts_with("section_start:") {
            say("a section");
        }
    }
    found
}

/// Removes the commands that the format for GitHub consists of, which leaves their messages.
fn without_annotations(text: String, format: &str) -> String {
    if format != "github" {
        return text;
    }
    let message = |line: &str| {
        let command = ["::error title=", "::warning title="].iter().find_map(|c| line.strip_prefix(c));
        let (title, message) = command.and_then(|rest| rest.split_once("::")).expect("an annotation");
        assert!(!title.contains([':', ',']), "{title}");
        format!("{message}\n")
    };
    text.lines().map(message).collect()
}

/// Removes our own colours.
fn plain(text: &str) -> String {
    ["0", "1", "32", "33", "1;31"]
        .iter()
        .fold(text.to_owned(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""))
}

#[test]
fn no_format_passes_on_a_texts_effect() {
    let (_, records) = poisoned(POISON);
    let report = RunReport::of(&records);
    assert!(
        report.claims.len() > 3
            && !report.notes.is_empty()
            && report.suites.iter().any(|s| s.error.is_some())
    );
    for format in FORMATS {
        for look in [
            Look { colour: true, width: 80 },
            Look { colour: false, width: 97 },
            Look { colour: false, width: 120 },
        ] {
            let text = without_annotations(format.render(&report, look).unwrap(), format.name());
            let found = hazards(&text, look.colour);
            assert!(found.is_empty(), "{}:\n{}", format.name(), found.join("\n"));
            assert!(text.contains("boom"), "{}: the text itself is gone", format.name());
        }
    }
}

#[test]
fn a_text_without_end_is_cut_in_every_format() {
    let (_, records) = poisoned(&"L".repeat(6_000));
    let report = RunReport::of(&records);
    for format in FORMATS {
        let text = format.render(&report, Look::default()).unwrap();
        assert!(!text.contains(&"L".repeat(5000)), "{}", format.name());
        assert!(text.contains("characters left out"), "{}", format.name());
    }
}

#[tokio::test]
async fn the_command_line_prints_nothing_that_a_ci_system_obeys() {
    let home = Home::new();
    let (text, _) = poisoned(POISON);
    let dir = home.keep(RUN, &text);
    for format in FORMATS {
        for command in ["report", "judge"] {
            let mut ended = home.seatrial(&[command, "last", "--format", format.name()]).await;
            ended.out = without_annotations(ended.out, format.name());
            let found = [hazards(&ended.out, false), hazards(&ended.err, false)].concat();
            assert!(found.is_empty(), "{command} --format {}:\n{}", format.name(), found.join("\n"));
            assert!(ended.out.contains("boom"), "{}", ended.err);
        }
    }
    // An error repeats its argument.
    for args in [
        ["report", &format!("no{POISON}").replace('\0', "")],
        ["kubeconfig", &format!("no{POISON}").replace('\0', "")],
    ] {
        let ended = home.seatrial(&args).await;
        assert_eq!(hazards(&ended.err, false), Vec::<String>::new(), "{}", ended.err);
    }
    // The log of a run is JSON: it keeps the values, and contains no command.
    let log = event::EventLog::open(&dir, RUN).unwrap();
    log.append(event::Event::Noted { text: POISON.into() });
    let written = std::fs::read_to_string(dir.join("events.jsonl")).unwrap();
    assert_eq!(hazards(written.lines().last().unwrap(), false), Vec::<String>::new());
    let last = event::read(&dir.join("events.jsonl")).unwrap().pop().unwrap();
    assert_eq!(last.event, event::Event::Noted { text: POISON.into() });
}
