//! Secrets as programs, people and manifests write them, and their traces in files and reports.
use std::time::Duration;

use rstest::rstest;
use seatrial::artefact::Folder;
use seatrial::cluster::{Cluster, THREE};
use seatrial::deadline::Deadline;
use seatrial::diagnostics::{self, Scene};
use seatrial::event::{self, Change, Event, EventLog};
use seatrial::kubernetes::version::Version;
use seatrial::report::pairs::{Pair, row};
use seatrial::sanitise;
use seatrial::secret::{Secrets, hide_shapes};
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::FakeEngine;

const VALUE: &str = "s3cr3t-value9";

fn known(values: &[&str]) -> Secrets {
    let secrets = Secrets::default();
    values.iter().for_each(|value| secrets.learn(value));
    secrets
}

/// The text as a terminal shows it.
fn shown(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => _ = chars.find(char::is_ascii_alphabetic),
            c => plain.push(c),
        }
    }
    plain
}

// --- Escape sequences.

/// Loggers with colours (zerolog, logrus, zap) put an escape sequence between name and value. The sequence was once
/// taken for the value and removed, and the value stayed.
#[rstest]
#[case::reset_before_the_value("\u{1b}[36mpassword=\u{1b}[0ms3cr3t-value7 host=db")]
#[case::coloured_value("password=\u{1b}[31ms3cr3t-value7\u{1b}[0m")]
#[case::coloured_in_quotes("password=\u{1b}[31m\"s3cr3t-value7\"\u{1b}[0m")]
#[case::flag("mysqld --password=\u{1b}[1ms3cr3t-value7\u{1b}[0m")]
fn a_coloured_secret_goes(#[case] text: &str) {
    let hidden = Secrets::default().hide(text);
    assert!(!hidden.contains("s3cr3t-value7"), "{hidden:?}");
}

/// In an object, a remembered value is searched literally. A sequence in the middle of the value hides it from the
/// search, but not from a person who prints the file.
#[test]
fn a_secret_divided_by_an_escape_sequence_is_in_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &known(&["hunter22-secret"]));
    folder.object("pod.json", json!({"status": {"message": "denied for hunter\u{1b}[0m22-secret"}}));
    folder.close();
    let text = std::fs::read_to_string(dir.path().join("pod.json")).unwrap();
    let object: Value = serde_json::from_str(&text).unwrap();
    let message = object["status"]["message"].as_str().unwrap();
    assert!(!shown(message).contains("hunter22-secret"), "{message:?}");
}

/// The same in the log of the run.
#[test]
fn a_secret_divided_by_an_escape_sequence_is_in_no_recorded_object() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), "r").unwrap();
    log.secrets().learn("hunter22-secret");
    log.append(Event::ObjectChanged {
        change: Change::Added,
        kind: "Pod".into(),
        name: "a".into(),
        uid: "u".into(),
        object: json!({"status": {"message": "denied for hunter\u{1b}[0m22-secret"}}),
    });
    let read = event::read(&dir.path().join("events.jsonl")).unwrap();
    let Event::ObjectChanged { object, .. } = &read[0].event else { panic!("{read:?}") };
    let message = object["status"]["message"].as_str().unwrap();
    assert!(!shown(message).contains("hunter22-secret"), "{message:?}");
}

// --- Secrets that are learnt late.

/// A journal is copied before another collector learns the secret. Texts are searched again at the end, binary files
/// were not.
#[test]
fn a_secret_that_is_learnt_late_is_in_no_binary_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    folder.bytes("nodes/w/journal/system.journal", b"\0\x01denied for late-one-77-x\xff");
    folder.object("pod.json", json!({"env": [{"name": "DB_PASS", "value": "late-one-77-x"}]}));
    folder.close();
    let kept = std::fs::read(dir.path().join("nodes/w/journal/system.journal")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("late-one-77-x"));
}

/// The replacement of a short value is longer than the value. Removals at the end could make files, and the bundle,
/// larger than their limits.
#[test]
fn a_late_removal_makes_no_file_larger_than_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets::default();
    let folder = Folder::new(dir.path(), &secrets);
    folder.text("log", &"zq7x zq7x zq7x zq7x\n".repeat(100_000));
    secrets.learn("zq7x");
    folder.close();
    let size = std::fs::metadata(dir.path().join("log")).unwrap().len();
    assert!(size <= Folder::FILE_LIMIT as u64, "{size} bytes");
}

// --- Shapes.

/// Settings as programs print them, and as people type them.
#[rstest]
#[case::go_struct("config: {User:root Password:s3cr3t-value7 Addr:db}")]
#[case::go_header(r#"{"X-Api-Key":["s3cr3t-value7"]}"#)]
#[case::python("{'host': 'db', 'password': 's3cr3t-value7'}")]
#[case::ruby(r#"{:host=>"db", :password=>"s3cr3t-value7"}"#)]
#[case::rust(r#"Config { host: "db", password: "s3cr3t-value7" }"#)]
#[case::after_words("2026-11-30 10:00:00 INFO  generated admin password: s3cr3t-value7")]
#[case::klog("I1130 10:00:00.000000       1 main.go:12] token: s3cr3t-value7")]
#[case::yaml_block("password: |\n    s3cr3t-value7\n")]
#[case::postgres("ALTER USER app WITH PASSWORD 's3cr3t-value7'")]
#[case::netrc("machine db login app password s3cr3t-value7")]
#[case::user_info_alone("git clone https://s3cr3t-value7@git.example.org/x")]
#[case::one_dash("java -jar app.jar -password s3cr3t-value7")]
#[case::sshpass("sshpass -p s3cr3t-value7 ssh db")]
#[case::mongosh("mongosh -u root -p s3cr3t-value7")]
#[case::etcdctl("etcdctl --user root:s3cr3t-value7 get /")]
#[case::openssl("openssl enc -pass pass:s3cr3t-value7")]
#[case::set_cookie("Set-Cookie: sid=s3cr3t-value7; Path=/; HttpOnly")]
#[case::signature("GET https://x.blob.core.windows.net/c?sv=2020-02-10&sig=s3cr3t-value7")]
#[case::certificate_key("kubeadm join --certificate-key s3cr3t-value7")]
#[case::pgp("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\ns3cr3t-value7\n-----END PGP PRIVATE KEY BLOCK-----")]
#[case::openai("key sk-proj-s3cr3t-value7-AbCdEfGhIjKlMnOpQrStUvWx")]
#[case::slack_hook("POST https://hooks.slack.com/services/T00000000/B00000000/s3cr3t-value7AbCdEfGh")]
fn the_shape_of_a_secret_goes(#[case] text: &str) {
    let hidden = hide_shapes(text);
    assert!(!hidden.contains("s3cr3t-value7"), "{hidden}");
}

/// A pair whose value is a pair again. The outer pair was taken, its name is not secret, and its content was not
/// searched.
#[rstest]
#[case::literal("kubectl create secret generic db --from-literal=password=s3cr3t-value9")]
#[case::helm("helm install db --set=auth.rootPassword=s3cr3t-value9")]
#[case::env("docker run --env=MYSQL_ROOT_PASSWORD=s3cr3t-value9 mysql")]
#[case::java("JAVA_TOOL_OPTIONS=-Dspring.datasource.password=s3cr3t-value9")]
#[case::extra("mysqld: EXTRA_ARGS=--password=s3cr3t-value9")]
#[case::logfmt(r#"time=10:00 level=error msg="connect failed: user=app password=s3cr3t-value9""#)]
#[case::dsn(r#"connecting dsn="host=db user=app password=s3cr3t-value9 dbname=x""#)]
#[case::url("level=info url=https://api.example.com/v1?access_token=s3cr3t-value9")]
#[case::word("ERROR config: password: s3cr3t-value9")]
fn a_secret_in_the_value_of_another_pair_goes(#[case] text: &str) {
    let hidden = hide_shapes(text);
    assert!(!hidden.contains(VALUE), "{hidden}");
}

/// The same in a bundle: the log of a pod, in the format of programs in Go.
#[test]
fn a_secret_in_a_quoted_message_of_a_log_is_in_no_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path(), &Secrets::default());
    let line = r#"2026-11-30T10:00:00Z level=error msg="connect failed: user=app password=s3cr3t-value9""#;
    folder.text("logs/web-0/web.log", line);
    folder.close();
    let kept = std::fs::read_to_string(dir.path().join("logs/web-0/web.log")).unwrap();
    assert!(!kept.contains(VALUE), "{kept}");
}

/// Shapes without a common rule: the statement of MySQL 5.6, a settings file in XML, the second cookie of a request.
#[rstest]
#[case::mysql("SET PASSWORD FOR 'root'@'%' = PASSWORD('s3cr3t-value9')")]
#[case::set("SET PASSWORD FOR root@localhost = 's3cr3t-value9'")]
#[case::xml("<server><id>db</id><password>s3cr3t-value9</password></server>")]
#[case::go("EnvVar{Name:DB_PASS,Value:s3cr3t-value9,ValueFrom:nil,}")]
#[case::order(r#"{"value":"s3cr3t-value9","name":"DB_PASS"}"#)]
#[case::blank("password : s3cr3t-value9")]
#[case::brackets("Password: [s3cr3t-value9]")]
#[case::cookie("> Cookie: theme=dark; session=s3cr3t-value9")]
#[case::block("  privateToken: |\n    AbCd9-first1\n    s3cr3t-value9\n  next: x")]
fn a_secret_of_a_shape_of_its_own_goes(#[case] text: &str) {
    let hidden = hide_shapes(text);
    assert!(!hidden.contains(VALUE), "{hidden}");
}

/// An error that quotes the request, like those of the API server and kubectl: a Secret whose keys do not look
/// secret.
#[rstest]
#[case::data(r#"E1130 sync.go:12] failed to apply {"apiVersion":"v1","kind":"Secret","data":{"config":"czNjcjN0LXZhbHVlOQ=="}}"#)]
#[case::string_data(
    r#"level=error msg="rejected" object={"kind":"Secret","stringData":{"config":"s3cr3t-value9"}}"#
)]
fn a_secret_object_in_a_line_of_a_log_goes(#[case] text: &str) {
    let hidden = Secrets::default().hide(text);
    assert!(!hidden.contains(VALUE) && !hidden.contains("czNjcjN0"), "{hidden}");
}

/// Values that follow a flag without a blank, or in shell quotes within shell quotes; lists of words; headers;
/// settings as Go and Rust print them.
#[rstest]
#[case::mysql_in_quotes("mysql -u root -p\"s3cr3t-value9\" -e 'select 1'")]
#[case::mysql_in_quotes_of_a_shell(r#"sh -c "mysql -uroot -p\"s3cr3t-value9\" -e 'select 1'""#)]
#[case::mysql_in_single_quotes("mysqldump -uroot -p's3cr3t-value9' shop")]
#[case::redis_in_quotes_of_a_shell(r#"sh -c "redis-cli -a \"s3cr3t-value9\" ping""#)]
#[case::mongo_in_quotes_of_a_shell(r#"sh -c "mongosh -p \"s3cr3t-value9\" shop""#)]
#[case::user_in_quotes_of_a_shell(r#"sh -c "etcdctl --user \"root:s3cr3t-value9\" get /""#)]
#[case::flag_in_quotes_of_a_shell(r#"sh -c "app --password \"s3cr3t-value9\" -v""#)]
#[case::flag_in_compact_json(r#"{"args":["--password","s3cr3t-value9"]}"#)]
#[case::flag_in_json_in_a_string(r#"msg="ran [\"--password\",\"s3cr3t-value9\"]""#)]
#[case::flag_in_json_of_several_lines("[\n  \"--password\",\n  \"s3cr3t-value9\"\n]")]
#[case::header_of_another_scheme("Authorization: ApiKey s3cr3t-value9")]
#[case::header_in_a_command("curl -H \"Proxy-Authorization: SSWS s3cr3t-value9\" http://x")]
#[case::map_of_go("connect with map[password:s3cr3t-value9 user:jane]")]
#[case::option_of_rust("Config { user: \"jane\", password: Some(\"s3cr3t-value9\") }")]
#[case::option_of_scala("Config(jane) password -> x, password: Some(s3cr3t-value9)")]
#[case::type_of_python("Config(user='jane', password=SecretStr('s3cr3t-value9'))")]
#[case::variable_in_json_with_capitals("{\n  \"Name\": \"DB_PASS\",\n  \"Value\": \"s3cr3t-value9\"\n}")]
#[case::value_before_its_name(
    "{\n  \"Value\": \"s3cr3t-value9\",\n  \"Secret\": false,\n  \"Name\": \"DB_PASS\"\n}"
)]
#[case::variable_in_json_that_is_cut(r#"{"Key":"DB_PASS","Value":"s3cr3t-value9"#)]
#[case::flags_of_curl_together("curl -sSu app:s3cr3t-value9 http://x")]
#[case::flags_of_curl_in_a_list(r#"["curl","-sSu","app:s3cr3t-value9"]"#)]
#[case::key_with_a_number("{\"ssh-2.key\": \"s3cr3t-value9\"}")]
#[case::brackets_that_are_no_json(
    "values: { {\n\"kind\": \"Secret\",\n\"stringData\": {\n\"a\": \"s3cr3t-value9\"\n}}}"
)]
fn a_secret_as_shells_and_programs_write_it_goes(#[case] text: &str) {
    let hidden = Secrets::default().hide(text);
    assert!(!hidden.contains("s3cr3t"), "{hidden}");
    assert_eq!(hide_shapes(&hidden), hidden, "what was left out is left out again");
}

/// Texts that only look like one of these.
#[rstest]
#[case("mysqladmin ping -uroot -p\"$MYSQL_ROOT_PASSWORD\" --silent")]
#[case("mysqladmin ping -uroot -p${MYSQL_ROOT_PASSWORD}")]
#[case("curl -sSf http://x:8080/a1b2c3")]
#[case(r#"{"args":["--password-file","/run/a1b2c3"]}"#)]
#[case(r#"{"command":["app","--port"],"args":["8080a1b2c3"]}"#)]
#[case("WWW-Authenticate: Basic realm=\"x\"")]
#[case("authorization: denied by policy of cluster1")]
#[case("map[app:web1 pod-template-hash:5d59d67564]")]
#[case("Config { user: Some(\"jane1234\"), retries: Some(3) }")]
#[case("{\n  \"Name\": \"MODE\",\n  \"Value\": \"a1b2c3\"\n}")]
#[case(r#"{"key":"node-role.kubernetes.io/control-plane","value":"a1b2c3","effect":"NoSchedule"}"#)]
#[case(r#"{"kind":"List","items":[{"kind":"ConfigMap","data":{"a":"a1b2c3"}}],"note":"\"quoted\""}"#)]
fn what_only_looks_like_it_stays(#[case] text: &str) {
    assert_eq!(Secrets::default().hide(text), text);
}

// --- Objects.

/// Lists below a secret name, commands as lists of words, manifests of several documents.
#[rstest]
#[case::list(json!({"data": {"tokens": ["8273645091x"]}}))]
#[case::list_in_yaml(json!({"kind": "ConfigMap", "data": {"c.yaml": "users:\n  - a\napiTokens:\n  - 8273645091x\n"}}))]
#[case::documents(json!({"kind": "ConfigMap", "data": {"all.yaml":
    "kind: ConfigMap\ndata: {}\n---\nkind: Secret\nstringData:\n  k: swordfish8273645091x\n"}}))]
#[case::base64_in_documents(json!({"kind": "ConfigMap", "data": {"all.yaml":
    "kind: Service\n---\nkind: Secret\ndata:\n  k: ODI3MzY0NTA5MXg=\n"}}))]
#[case::curl_user(json!({"args": ["curl", "--user", "app:8273645091x", "http://db"]}))]
#[case::curl_glued(json!({"args": ["curl", "-uapp:8273645091x", "http://db"]}))]
#[case::sshpass(json!({"command": ["sshpass", "-p", "8273645091x", "ssh", "db"]}))]
#[case::mongosh(json!({"command": ["mongosh", "-u", "root", "-p", "8273645091x"]}))]
#[case::mongosh_in_a_shell(json!({"command": ["sh", "-c", "mongosh -u root -p 8273645091x"]}))]
#[case::etcdctl(json!({"command": ["etcdctl", "--user", "root:8273645091x", "get", "/"]}))]
#[case::star(json!({"env": [{"name": "DB_PASS", "value": "*8273645091"}]}))]
#[case::annotation(json!({"metadata": {"annotations": {"example.org/api-token": "8273645091x"}}}))]
#[case::reference_like(json!({"env": [{"name": "DB_PASS", "value": "${8273645091x}"}]}))]
fn a_secret_in_an_object_goes(#[case] mut object: Value) {
    Secrets::default().clean(&mut object);
    let text = object.to_string();
    assert!(!text.contains("8273645091") && !text.contains("ODI3MzY0NTA5MXg"), "{object}");
}

/// A list says what its items are, whatever their type is called. The rest of a command is in another field.
#[rstest]
#[case::list_of_a_type_of_its_own(json!({"kind": "SecretList", "apiVersion": "v1", "items": [
    {"metadata": {"name": "a"}, "type": "example.org/db", "data": {"conn": "czNjcjN0LXZhbHVlOQ=="}}]}))]
#[case::list_of_a_type_of_its_own_in_an_annotation(json!({"metadata": {"annotations": {"tool.example.org/applied":
    r#"{"kind":"SecretList","items":[{"metadata":{"name":"a"},"type":"example.org/db","data":{"conn":"czNjcjN0LXZhbHVlOQ=="}}]}"#}}}))]
#[case::number_that_the_api_refuses(json!({"kind": "Secret", "stringData": {"pin": 8_273_645_091_u64}}))]
#[case::flag_in_the_command_and_its_value_in_the_arguments(
    json!({"containers": [{"command": ["app", "--password"], "args": ["s3cr3t-value9"]}]})
)]
#[case::program_in_the_command_and_its_flag_in_the_arguments(
    json!({"containers": [{"args": ["-u", "app:s3cr3t-value9"], "command": ["/usr/bin/curl"]}]})
)]
#[case::flag_in_the_entry_point(json!({"Config": {"Cmd": ["s3cr3t-value9"], "Entrypoint": ["app", "--token"]}}))]
#[case::program_as_a_path(json!({"Path": "mysqld", "Args": ["-ps3cr3t-value9"]}))]
#[case::variable_with_capitals(json!({"Environment": [{"Name": "DB_PASSWORD", "Value": "s3cr3t-value9"}]}))]
#[case::flags_of_curl_together(json!({"command": ["curl", "-su", "app:s3cr3t-value9", "http://x"]}))]
#[case::flags_of_curl_glued(json!({"command": ["curl", "-sSuapp:s3cr3t-value9", "http://x"]}))]
#[case::mysql_in_quotes(json!({"command": ["sh", "-c", "mysql -uroot -p\"s3cr3t-value9\" -e 'select 1'"]}))]
fn a_secret_goes_whatever_field_says_that_it_is_one(#[case] mut object: Value) {
    Secrets::default().clean(&mut object);
    let text = object.to_string();
    let there = ["s3cr3t", "czNjcjN0", "8273645091"].iter().any(|value| text.contains(value));
    assert!(!there, "{text}");
}

/// Names of variables that well-known images read.
#[rstest]
fn a_variable_of_this_name_is_secret(
    #[values(
        "WORDPRESS_NONCE_KEY",
        "WORDPRESS_AUTH_SALT",
        "STRIPE_KEY",
        "GPG_KEY",
        "CERTIFICATE_KEY",
        "MASTERKEY",
        "ENCRYPTIONKEY",
        "DB_CREDS",
        "PASSCODE",
        "REDIS_AUTH_STRING",
        "MNEMONIC"
    )]
    name: &str,
) {
    let mut object = json!({"env": [{"name": name, "value": "Zq77-vXw-Ku71"}]});
    Secrets::default().clean(&mut object);
    assert!(!object.to_string().contains("Zq77"), "{object}");
}

/// The same in objects: a container's arguments, and the environment in an engine's `inspect`.
#[rstest]
#[case::args(json!({"spec": {"containers": [{"name": "c", "args": ["install", "--set=auth.rootPassword=s3cr3t-value9"]}]}}))]
#[case::url(json!({"args": ["--callback=https://api.example.com/v1?token=s3cr3t-value9"]}))]
#[case::literal(json!({"command": ["kubectl", "create", "--from-literal=password=s3cr3t-value9"]}))]
#[case::inspect(json!({"Config": {"Env": ["JAVA_TOOL_OPTIONS=-Dspring.datasource.password=s3cr3t-value9"]}}))]
fn a_secret_in_the_value_of_another_pair_of_an_object_goes(#[case] mut object: serde_json::Value) {
    Secrets::default().clean(&mut object);
    assert!(!object.to_string().contains(VALUE), "{object}");
}

/// Names of one word that end in a number, end in a covered word, or begin with capitals.
#[rstest]
#[case("MYSQL_PASSWORD1")]
#[case("DB_PASS2")]
#[case("OLD_TOKEN1")]
#[case("dbPassword2")]
#[case("CLIENT_SECRET1")]
#[case("API_KEY2")]
#[case("ROOTPWD")]
#[case("userpwd")]
#[case("SSLPrivateKey")]
fn a_name_with_a_number_or_joined_words_is_a_secrets(#[case] name: &str) {
    let mut object = json!({"env": [{"name": name, "value": VALUE}]});
    Secrets::default().clean(&mut object);
    assert!(!object.to_string().contains(VALUE), "{object}");
}

/// Python's `json.dumps` and others write non-ASCII characters as `\u00e4`.
#[test]
fn a_value_that_is_not_ascii_goes_in_the_json_of_python() {
    let hidden = known(&["Pässw0rd-Köln-77"]).hide(r#"{"p": "P\u00e4ssw0rd-K\u00f6ln-77"}"#);
    assert!(!hidden.contains("ssw0rd-K"), "{hidden}");
}

// --- Folders and reports.

/// Variation selectors and other marks are invisible too. Text can be hidden in a text that looks empty.
#[rstest]
#[case::variation_selector('\u{fe01}')]
#[case::mongolian_selector('\u{180f}')]
fn a_character_that_takes_no_room_shows_its_number(#[case] c: char) {
    let line = sanitise::line(&format!("a{c}b"));
    assert_eq!(line, format!("a<U+{:04X}>b", u32::from(c)));
}

/// A folder of another user keeps its mode, even if the test is root and could change it. Jobs in
/// containers are root.
#[test]
fn a_folder_of_another_user_is_not_closed_by_root() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    if std::os::unix::fs::chown(&shared, Some(12345), Some(12345)).is_err() {
        return;
    }
    let folder = Folder::new(&shared, &Secrets::default());
    folder.text("log", "ours");
    folder.close();
    let mode = std::fs::metadata(&shared).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o777);
}

/// A backslash before the bar cancels the bar's escape: the cell ends, and the rest becomes further columns.
#[test]
fn a_cell_of_the_table_ends_only_at_our_bar() {
    let v = |text: &str| text.parse::<Version>().unwrap();
    let pair = Pair { from: v("1.34.4"), to: v("1.35.4") };
    let row = row(pair, r"failed \| passed", "run", &[]);
    // As cmark-gfm splits it: a backslash escapes the next character.
    let (mut bars, mut chars) = (0, row.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '|' => bars += 1,
            _ => {}
        }
    }
    assert_eq!(bars, 13, "{row}");
}

/// A container that `kubectl debug` added was once in no log of the bundle and in no line of MISSING.txt if nothing
/// was streamed.
#[tokio::test]
async fn the_log_of_an_ephemeral_container_is_kept_or_named() -> anyhow::Result<()> {
    let (engine, api) = (FakeEngine::with(&["w1"])?, FakeApi::start().await);
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "story"},
        "spec": {"containers": [{"name": "app", "image": "i"}],
            "ephemeralContainers": [{"name": "debugger", "image": "i"}]},
        "status": {"phase": "Running",
            "containerStatuses": [{"name": "app", "ready": true, "image": "", "imageID": "", "restartCount": 0,
                "state": {"running": {}}}],
            "ephemeralContainerStatuses": [{"name": "debugger", "ready": false, "image": "", "imageID": "",
                "restartCount": 0, "state": {"running": {}}}]}}));
    api.print("story/a/debugger", "2026-01-01T00:00:00.000000001Z panic: found it\n", false);
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
    let told = bundle.missing.iter().any(|line| line.contains("debugger"));
    let kept = bundle.files.iter().any(|file| file.ends_with("logs/a/debugger.log"));
    assert!(kept || told, "{:?} {:?}", bundle.files, bundle.missing);
    Ok(())
}
