//! Output without secrets in any form, without text that a reader executes, and without loss of evidence.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use rustix::time::{ClockId, clock_gettime};
use seatrial::artefact::Folder;
use seatrial::cluster::{Cluster, THREE};
use seatrial::deadline::Deadline;
use seatrial::diagnostics::{self, Scene};
use seatrial::event::{self, Change, Event, EventLog, Outcome, Record, Row, Server};
use seatrial::judge::Conclusion;
use seatrial::report::{Format as _, Look, RunReport, Terminal};
use seatrial::sanitise;
use seatrial::secret::{Secrets, hide_shapes};
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::FakeEngine;
use crate::story::observed;

fn known(values: &[&str]) -> Secrets {
    let secrets = Secrets::default();
    values.iter().for_each(|value| secrets.learn(value));
    secrets
}

// --- Secrets that were learnt from a manifest.

/// The author of a Secret chooses its keys: `key`, `host` and `type` are no names of objects there.
#[rstest]
fn a_secret_whose_key_has_the_name_of_a_field_is_remembered(
    #[values("key", "type", "status", "reason", "image", "name", "component", "manager")] key: &str,
) {
    let secrets = Secrets::default();
    secrets.learn_from(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {key: "s3cr3t-value-77"}}));
    assert_eq!(secrets.hide("denied for s3cr3t-value-77"), "denied for (left out)");
}

#[test]
fn a_copy_in_a_config_map_does_not_make_a_secret_public() {
    let secrets = Secrets::default();
    secrets.learn_from(&json!({"kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"password": "s3cr3t-value-77"}}));
    secrets.learn_from(&json!({"kind": "ConfigMap", "metadata": {"name": "app"},
        "data": {"key": "s3cr3t-value-77"}}));
    assert_eq!(secrets.hide("denied for s3cr3t-value-77"), "denied for (left out)");
}

// --- Forms.

#[rstest]
#[case::go_json("p&ss<w0rd>-77", r#"{"msg":"denied p\u0026ss\u003cw0rd\u003e-77"}"#, "ss\\u003cw0rd")]
#[case::percent_in_lower_case("Pa/Ss+W0rd-77", "GET /?x=Pa%2fSs%2bW0rd-77", "W0rd-77")]
#[case::json_in_json("pa\"ss-w0rd-77", r#"{"m":"{\"p\":\"pa\\\"ss-w0rd-77\"}"}"#, "ss-w0rd-77")]
#[case::shell_word("it's-w0rd-77", r"echo 'it'\''s-w0rd-77'", "s-w0rd-77")]
#[case::html("p&ss<w0rd-77", "<b>p&amp;ss&lt;w0rd-77</b>", "w0rd-77")]
#[case::upper("s3cr3t-value-77", "denied for S3CR3T-VALUE-77", "S3CR3T-VALUE-77")]
fn a_form_of_a_value_goes(#[case] value: &str, #[case] text: &str, #[case] part: &str) {
    let hidden = known(&[value]).hide(text);
    assert!(!hidden.contains(part), "{hidden}");
}

/// Escape sequences are removed after the search for secrets. A secret that a sequence had divided is then whole.
#[test]
fn a_secret_divided_by_an_escape_sequence_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &known(&["hunter22-secret"]));
    folder.text("log", "denied for hunter\u{1b}[0m22-secret\n");
    folder.missing("pod", "denied for hunter\u{1b}[0m22-secret");
    let bundle = folder.close();
    let kept = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(
        !kept.contains("hunter22-secret") && !bundle.missing[0].contains("hunter22"),
        "{kept} {:?}",
        bundle.missing
    );
}

#[test]
fn a_secret_divided_by_an_escape_sequence_is_in_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    log.secrets().learn("hunter22-secret");
    log.append(Event::Noted { text: "denied for hunter\u{1b}[0m22-secret".into() });
    let report = RunReport::of(&event::read(&dir.path().join("events.jsonl")).unwrap());
    assert!(!report.notes[0].text.contains("hunter22-secret"), "{}", report.notes[0].text);
}

/// Recovery codes, or a file of users: each line is a secret that a log may print alone.
#[rstest]
#[case::codes("k7Q9-x2Lm-41\np4Wz-8RtY-77\n", "k7Q9-x2Lm-41")]
#[case::htpasswd("alice:Tr0ub4dor9x\nbob:c0rrect9yz\n", "Tr0ub4dor9x")]
#[case::pair("admin:Tr0ub4dor9x", "Tr0ub4dor9x")]
fn a_part_of_a_secrets_value_goes_wherever_it_stands(#[case] value: &str, #[case] part: &str) {
    let secrets = Secrets::default();
    let encoded = STANDARD.encode(value);
    secrets.learn_from(&json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"file": encoded}}));
    let hidden = secrets.hide(&format!("2026-11-30T10:00:00Z refused: {part} was tried"));
    assert!(!hidden.contains(part), "{hidden}");
}

// --- Shapes.

#[rstest]
#[case::toml(r#"password = "s3cr3t-value""#)]
#[case::my_cnf("[client]\npassword = s3cr3t-value")]
#[case::yaml_in_quotes(r#"password: "s3cr3t-value""#)]
#[case::yaml_with_single_quotes("  db_password: 's3cr3t-value'")]
#[case::yaml_after_the_time_of_a_pod_log("2026-11-30T10:00:00.000000000Z password: s3cr3t-value")]
#[case::header_of_curl("2026-11-30T10:00:00Z > X-Api-Key: s3cr3t-value7")]
#[case::escaped_first(r#"{"password":"\u0026s3cr3t-value"}"#)]
#[case::escaped_middle(r#"{"password":"ab\"s3cr3t-value"}"#)]
#[case::number_of_json(r#"{"password": 8273645091, "x": "s3cr3t-nothing"}"#)]
#[case::wget("wget --header 'Authorization: s3cr3t-value7' http://x")]
#[case::mysql_env("MYSQL_PWD = s3cr3t-value")]
fn the_shape_of_a_secret_goes(#[case] text: &str) {
    let hidden = hide_shapes(text);
    assert!(!hidden.contains("s3cr3t-value") && !hidden.contains("8273645091"), "{hidden}");
}

#[test]
fn an_error_that_speaks_of_a_key_hides_nothing_after_it() {
    let text = "no \"-----BEGIN RSA PRIVATE KEY-----\" in /etc/tls/key\nserving without TLS\npanic: index out of range\n";
    assert!(hide_shapes(text).contains("panic: index out of range"), "{}", hide_shapes(text));
}

/// The text is cut before secrets are recognised.
#[test]
fn the_rest_of_a_private_key_whose_first_line_was_cut_off_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    let body: String = (0..60_000)
        .map(|n| format!("MIIEpAIBAAKCAQEA{n:06}c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee\n"))
        .collect();
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\n");
    let before = "a line of the log\n".repeat(80_000);
    folder.text("log", &format!("{before}{key}last\n"));
    folder.close();
    let kept = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!kept.contains("MIIEpAIBAAKCAQEA"), "{}", kept.matches("MIIEpAIBAAKCAQEA").count());
}

// --- Objects.

#[rstest]
#[case::number(json!({"kind": "ConfigMap", "data": {"c.yaml": "db:\n  password: 8273645091\n  host: db\n"}}))]
#[case::split_user(json!({"args": ["curl", "-u", "app:8273645091x", "http://db"]}))]
#[case::split_redis(json!({"command": ["redis-cli", "-a", "8273645091x", "ping"]}))]
#[case::two_words(json!({"env": [{"name": "DB_PW", "value": "8273645091x"}]}))]
#[case::fernet(json!({"env": [{"name": "AIRFLOW__CORE__FERNET_KEY", "value": "8273645091x"}]}))]
fn a_secret_in_an_object_goes(#[case] mut object: Value) {
    let secrets = Secrets::default();
    secrets.clean(&mut object);
    assert!(!object.to_string().contains("8273645091"), "{object}");
}

/// The registry's password is only in `auth`. A program that fails to pull prints the password.
#[test]
fn the_password_in_a_registrys_auth_is_known() {
    let auth = STANDARD.encode("robot:Zq77-vXw-Ku71");
    let file = STANDARD.encode(json!({"auths": {"r.example": {"auth": auth}}}).to_string());
    let secrets = Secrets::default();
    secrets.learn_from(&json!({"kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "r"}, "data": {".dockerconfigjson": file}}));
    assert_eq!(secrets.hide("401 for robot with Zq77-vXw-Ku71"), "401 for robot with (left out)");
}

// --- The rest must stay readable.

#[test]
fn a_number_that_is_a_secret_leaves_json_readable() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = known(&["86400000"]);
    let folder = Folder::new(dir.path(), &secrets);
    folder.object("pod.json", json!({"spec": {"timeout": 86_400_000, "args": ["86400000"]}}));
    folder.close();
    let text = std::fs::read_to_string(dir.path().join("pod.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
}

/// `clean` guarantees that labels stay. The text of the same object is searched once more.
#[test]
fn labels_stay_in_the_objects_of_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &known(&["frontend-blue"]));
    folder.object("pod.json", json!({"metadata": {"name": "a", "labels": {"app": "frontend-blue"}}}));
    folder.close();
    let text = std::fs::read_to_string(dir.path().join("pod.json")).unwrap();
    assert!(text.contains("frontend-blue"), "{text}");
}

#[test]
fn a_log_can_be_read_after_a_number_was_left_out_late() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    for n in 0..3_u64 {
        let value = json!({"lastScheduled": 20_261_130 + n, "why": "x"});
        log.append(observed("w", value));
    }
    log.secrets().learn("20261131");
    log.leave_out_late();
    let read = event::read(&dir.path().join("events.jsonl")).unwrap();
    assert_eq!(read.iter().map(|r| r.seq).collect::<Vec<_>>(), [0, 1, 2], "a record is lost");
}

/// A secret word that is also the name of a field. The field follows a text here.
#[rstest]
fn a_log_can_be_read_after_a_word_was_left_out_late(
    #[values("outcome", "detail", "reason", "node", "server", "object", "change", "kind")] word: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    log.append(Event::Sampled {
        probe: "http".into(),
        outcome: Outcome::Refused,
        took_ms: 1.0,
        detail: "x".into(),
    });
    log.append(Event::FaultIntended { id: "a".into(), fault: "stop".into(), node: "w1".into() });
    let row = Row { writer: "w".into(), number: 1, checksum: "c".into() };
    log.append(Event::RowWritten {
        row,
        outcome: Outcome::Refused,
        server: Server::default(),
        reason: "x".into(),
    });
    log.append(Event::ObjectChanged {
        change: Change::Added,
        kind: "Pod".into(),
        name: "a".into(),
        uid: "u".into(),
        object: json!({}),
    });
    log.append(Event::Noted { text: "last".into() });
    log.secrets().learn(word);
    log.leave_out_late();
    let read = event::read(&dir.path().join("events.jsonl"));
    let read = read.unwrap_or_else(|e| panic!("{word}: {e}"));
    assert_eq!(read.iter().map(|r| r.seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{word}");
}

/// Names in lists: writers, nodes, suites, claims.
#[test]
fn names_in_lists_stay_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    let (server, writers) = (Server::default(), Some(vec!["ledger-a".into(), "ledger-b".into()]));
    log.append(Event::RowsRead {
        reading: "end".into(),
        server,
        exists: true,
        rows: vec![],
        began_us: None,
        writers,
    });
    let path = dir.path().join("events.jsonl");
    let before = event::read(&path).unwrap();
    ["ledger-a", "ledger-b"].iter().for_each(|word| log.secrets().learn(word));
    log.leave_out_late();
    assert_eq!(event::read(&path).unwrap(), before);
}

#[test]
fn a_late_secret_with_hashes_is_left_out_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    log.append(Event::Noted { text: "denied for Zq##vX-77-wKu".into() });
    log.secrets().learn("Zq##vX-77-wKu");
    log.leave_out_late();
    let read = event::read(&dir.path().join("events.jsonl")).unwrap();
    assert!(!format!("{:?}", read[0].event).contains("vX-77-wKu"), "{:?}", read[0].event);
}

#[test]
fn a_removed_secret_is_not_removed_again() {
    let secrets = known(&["left", "hunter22"]);
    let once = secrets.hide("denied for hunter22");
    assert_eq!(secrets.hide(&once), once);
}

// --- Texts that a CI system would execute.

/// A report wraps at blanks, so each word may begin a line.
#[rstest]
fn no_word_begins_a_workflow_command_however_many_colons(#[values(2, 3, 4, 5, 6, 7, 8)] colons: usize) {
    let text = format!("x {}error file=a::boom", ":".repeat(colons));
    // Wrapped twice, as in reports.
    let tamed = sanitise::line(&sanitise::line(&text));
    let obeyed = |word: &str| word.starts_with("::") && word.len() > 2;
    assert!(!tamed.split_whitespace().any(obeyed), "{tamed}");
}

/// The table of a run in the log of a CI job.
#[test]
fn no_line_of_a_wrapped_report_is_a_workflow_command() {
    let fixture = include_str!("recordings/schema-1/short-run.jsonl");
    let lines: Vec<Record> = fixture.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for pad in 0..90 {
        let mut records = lines.clone();
        for record in &mut records {
            if let Event::ClaimJudged { verdict, details, .. } = &mut record.event {
                *verdict = Conclusion::Failed;
                *details = vec![format!("failed: {} ::::error file=a::boom", "x".repeat(pad))];
                break;
            }
        }
        let text = Terminal.render(&RunReport::of(&records), Look { colour: false, width: 80 }).unwrap();
        let obeyed = text.lines().map(str::trim_start).find(|l| l.starts_with("::") && l[2..].contains("::"));
        assert_eq!(obeyed, None, "after {pad}");
    }
}

// --- Time and memory.

/// The shortest processor time of three tries, of this thread alone. A busy machine does not lengthen it.
fn least_of_three(mut work: impl FnMut()) -> Duration {
    let spent = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("below a second"))
    };
    let time = |_| {
        let began = spent();
        work();
        spent() - began
    };
    (0..3).map(time).min().expect("there are three")
}

/// Each line of the log has its own token. The number of secrets learnt from one text is limited.
#[test]
fn a_log_of_tokens_teaches_no_more_than_enough() {
    let secrets = Secrets::default();
    let log: String = (0..20_000).map(|n| format!("token=a1b2{n:08}zz\n")).collect();
    let began = Instant::now();
    secrets.hide(&log);
    let forms: usize =
        format!("{secrets:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!(forms < 10_000, "{forms} forms after {:?}", began.elapsed());
}

#[test]
fn a_log_of_names_and_values_takes_time_by_its_length() {
    let time = |lines: usize| {
        let text = "a_token=abcdefgh\n".repeat(lines);
        least_of_three(|| drop(hide_shapes(&text)))
    };
    let (small, large) = (time(10_000), time(80_000));
    assert!(large < small * 16 + Duration::from_millis(200), "{small:?} for an eighth, {large:?} for all");
}

#[test]
fn strings_that_never_end_take_time_by_their_length() {
    let time = |count: usize| {
        let text = "\u{1b}]".repeat(count);
        least_of_three(|| drop(sanitise::file(&text)))
    };
    let (small, large) = (time(25_000), time(200_000));
    assert!(large < small * 16 + Duration::from_millis(200), "{small:?} for an eighth, {large:?} for all");
}

/// Pods with one token each: learning the next token must not cost as much as all earlier ones together.
#[test]
fn objects_with_a_secret_each_take_time_by_their_number() {
    let time = |count: usize| {
        least_of_three(|| {
            let secrets = Secrets::default();
            for n in 0..count {
                secrets.clean(&mut json!({"metadata": {"name": format!("pod-{n}")},
                    "env": [{"name": "API_TOKEN", "value": format!("Zq{n:06}vXw77Ku")}]}));
            }
        })
    };
    let (small, large) = (time(100), time(800));
    // Eight times as many pods take 8 times as long, with a logarithm, or 64 times if each costs as much as all
    // earlier ones.
    assert!(large < small * 40, "{small:?} for 100, {large:?} for 800");
}

// --- Bundles.

#[tokio::test]
async fn a_log_whose_beginning_is_left_out_is_named() -> anyhow::Result<()> {
    let (engine, api) = (FakeEngine::with(&["w1"])?, FakeApi::start().await);
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "story"},
        "spec": {"containers": [{"name": "app", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": true, "image": "",
            "imageID": "", "restartCount": 0, "state": {"running": {}}}]}}));
    let log: String = (0..12_000).map(|n| format!("2026-01-01T00:00:00.{n:09}Z line {n}\n")).collect();
    api.print("story/a/app", &log, false);
    let cluster = Cluster {
        name: "c".into(),
        topology: THREE.read().unwrap(),
        kubernetes: "1.34.4".into(),
        image: "node".into(),
        dir: engine.dir().into(),
        kubeconfig: engine.dir().join("kubeconfig"),
        nodes: Vec::new(),
        load_balancer: None,
        engine: engine.client().await?,
    };
    let (client, dir) = (api.client().await, tempfile::tempdir()?);
    let deadline = Deadline::after(Duration::from_secs(20));
    let scene =
        Scene { cluster: &cluster, client: &client, namespaces: &["story".into()], streams: None, deadline };
    let bundle = diagnostics::collect(
        diagnostics::COLLECTORS,
        &scene,
        &Secrets::default(),
        &dir.path().join("bundle"),
    )
    .await;
    let kept = std::fs::read_to_string(bundle.dir.join("logs/a/app.log"))?;
    let whole = kept.lines().count() == 12_000;
    let said = bundle.missing.iter().any(|line| line.starts_with("logs/a/app.log"));
    assert!(whole || said, "{} of 12000 lines, and: {:?}", kept.lines().count(), bundle.missing);
    Ok(())
}

/// One line that is longer than the limit of the search. Its beginning decides what it is.
#[test]
fn the_beginning_of_one_very_long_line_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    folder.text("log", &format!("panic: no more {}", "x".repeat(2 * Folder::FILE_LIMIT)));
    folder.close();
    let kept = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(kept.starts_with("panic: no more"), "{kept}");
}

#[test]
fn two_names_that_are_made_safe_alike_do_not_overwrite_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    folder.text("logs/a:b.log", "first");
    folder.text("logs/a b.log", "second");
    let bundle = folder.close();
    let texts: Vec<String> = bundle.files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    assert!(texts.iter().any(|t| t == "first") && texts.iter().any(|t| t == "second"), "{texts:?}");
}

/// A link that already exists in the folder, from an earlier run or from somebody else, is not followed when writing.
#[test]
fn a_link_in_the_folder_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, to) = (dir.path().join("victim"), dir.path().join("bundle"));
    std::fs::write(&victim, "theirs").unwrap();
    std::fs::create_dir(&to).unwrap();
    std::os::unix::fs::symlink(&victim, to.join("log")).unwrap();
    let folder = Folder::new(&to, &Secrets::default());
    folder.text("log", "ours");
    folder.close();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "theirs");
}

/// A file that was there keeps its mode when it is opened again.
#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), "old").unwrap();
    std::fs::set_permissions(dir.path().join("log"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    folder.text("log", "new");
    folder.close();
    let mode = std::fs::metadata(dir.path().join("log")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

/// An existing folder of the caller keeps its mode, such as `/tmp`.
#[test]
fn a_sticky_folder_that_everybody_uses_is_not_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let folder = Folder::new(&shared, &Secrets::default());
    folder.text("log", "ours");
    folder.close();
    let mode = std::fs::metadata(&shared).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o1777);
}

/// The time of an event is not the time at which the search for secrets ended.
#[test]
fn a_record_has_the_time_at_which_it_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    let (mut began, mut took) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        began.push(log.now_us());
        log.append(Event::Noted { text: "some_token=abcdefgh\n".repeat(20_000) });
        took.push(log.now_us() - began[began.len() - 1]);
    }
    let read = event::read(&dir.path().join("events.jsonl")).unwrap();
    let late = read.iter().zip(&began).map(|(record, began)| record.mono_us - began).min().unwrap();
    assert!(late * 4 < *took.iter().min().unwrap(), "{late} us late, of {took:?} us in all");
}

/// Missing evidence is always named, in a list of limited length.
#[test]
fn a_list_of_what_is_missing_stays_below_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    let why = "the server said no ".repeat(200);
    (0..10_000).for_each(|n| folder.missing(&format!("logs/pod-{n}/app.log"), &why));
    let bundle = folder.close();
    let size = std::fs::metadata(bundle.dir.join("MISSING.txt")).unwrap().len();
    assert!(size <= Folder::LIMIT, "{size} bytes");
}
