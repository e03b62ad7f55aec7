//! What is secret, attacked once more: each test asserts what is right.

use base64::Engine as _;
use rstest::rstest;
use seatrial::artefact::Folder;
use seatrial::secret::{Secrets, hide_shapes};
use serde_json::json;

const VALUE: &str = "s3cr3t-value9";

/// A pair of which the value is a pair again: the outer one is taken, its name is no secret's, and what stands in it
/// is not looked at.
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

/// The same in a bundle: the log of a pod, as programs in Go write it.
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

/// Shapes of their own: the statement of MySQL 5.6, a file of settings in XML, the second cookie of a request.
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

/// Names of one word that end in a number, in a covered word, or begin with capitals.
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

/// Recovery codes, a file of users: each line is a secret that a log prints alone.
#[rstest]
#[case::codes("k7Q9-x2Lm-41\np4Wz-8RtY-77\n", "k7Q9-x2Lm-41")]
#[case::htpasswd("alice:Tr0ub4dor9x\nbob:c0rrect9yz\n", "Tr0ub4dor9x")]
#[case::pair("admin:Tr0ub4dor9x", "Tr0ub4dor9x")]
fn a_part_of_a_secrets_value_goes_wherever_it_stands(#[case] value: &str, #[case] part: &str) {
    let secrets = Secrets::default();
    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
    secrets.learn_from(&json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"file": encoded}}));
    let hidden = secrets.hide(&format!("2026-11-30T10:00:00Z refused: {part} was tried"));
    assert!(!hidden.contains(part), "{hidden}");
}

/// An error that quotes what was sent, as the API server's and kubectl's do: a Secret, whose keys name no secret.
#[rstest]
#[case::data(r#"E1130 sync.go:12] failed to apply {"apiVersion":"v1","kind":"Secret","data":{"config":"czNjcjN0LXZhbHVlOQ=="}}"#)]
#[case::string_data(
    r#"level=error msg="rejected" object={"kind":"Secret","stringData":{"config":"s3cr3t-value9"}}"#
)]
fn a_secret_object_in_a_line_of_a_log_goes(#[case] text: &str) {
    let hidden = Secrets::default().hide(text);
    assert!(!hidden.contains(VALUE) && !hidden.contains("czNjcjN0"), "{hidden}");
}
