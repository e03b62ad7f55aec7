//! Pairs of a name and a value in all forms that programs and people write: secrets are removed and remembered,
//! everything else stays, and the time grows only with the length of the text.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use seatrial::secret::{Secrets, hide_shapes};
use serde_json::json;

const VALUE: &str = "s3cr3t-value9";

fn hidden(text: &str, secrets: &Secrets) {
    let hidden = secrets.hide(text);
    assert!(!hidden.contains(VALUE) && !hidden.contains("czNjcjN0"), "{hidden}");
    assert_eq!(hide_shapes(&hidden), hidden, "what was left out is left out again");
}

#[rstest]
#[case(r#"E1130 failed to apply {"apiVersion":"v1","kind":"Secret","metadata":{"name":"x","annotations":{"a":"b"}},"data":{"config":"czNjcjN0LXZhbHVlOQ==","b":"czNjcjN0LXZhbHVlOQ=="},"type":"Opaque"}"#)]
#[case(r#"level=error msg="rejected {\"kind\":\"Secret\",\"data\":{\"config\":\"czNjcjN0LXZhbHVlOQ==\",\"z\":\"czNjcjN0LXZhbHVlOQ==\"}}" a=b"#)]
#[case(r#"level=error msg="rejected {\"kind\":\"Secret\",\"stringData\":{\"config\":\"a\\nb s3cr3t-value9\\\"s3cr3t-value9\",\"z\":\"s3cr3t-value9\"}}" a=b"#)]
#[case(r#"{"items":[{"metadata":{"name":"x"},"type":"kubernetes.io/basic-auth","data":{"config":"czNjcjN0LXZhbHVlOQ=="}}]} and"#)]
#[case(
    "2026-11-30T10:00:00Z   privateToken: |\n2026-11-30T10:00:00Z     AbCd9-first1\n2026-11-30T10:00:00Z     s3cr3t-value9\n2026-11-30T10:00:00Z   next: x"
)]
#[case("- password: |-\n    first\n\n    s3cr3t-value9\n  next: x")]
#[case("UPDATE mysql.user SET Password=PASSWORD('s3cr3t-value9') WHERE User='root'")]
#[case("set password = password(\"s3cr3t-value9\")")]
#[case("mysql -e \"SET PASSWORD FOR 'root'@'%' = PASSWORD(\\'s3cr3t-value9\\')\"")]
#[case("<property><name>db.password</name><value>s3cr3t-value9</value></property>")]
#[case("<property name=\"db.password\" value=\"s3cr3t-value9\"/>")]
#[case("<entry key=\"db.password\">s3cr3t-value9</entry>")]
#[case("<password><![CDATA[s3cr3t-value9]]></password>")]
#[case("<db password=\"s3cr3t-value9\"/>")]
#[case("{Name:DB_PASS Value:s3cr3t-value9 ValueFrom:nil}")]
#[case("[{'name': 'DB_PASS', 'value': 's3cr3t-value9'}]")]
#[case("EnvVar { name: \"DB_PASS\", value: Some(\"s3cr3t-value9\") }")]
#[case("env:\n- name: DB_PASS\n  value: s3cr3t-value9\n")]
#[case("env:\n- name: DB_PASS\n  value: \"s3cr3t-value9\"\n")]
#[case("2026-11-30T10:00:00Z - name: DB_PASS\n2026-11-30T10:00:00Z   value: s3cr3t-value9\n")]
#[case("env:\n- value: s3cr3t-value9\n  name: DB_PASS\n")]
#[case("{\"m\":\"{\\\"value\\\":\\\"s3cr3t-value9\\\",\\\"name\\\":\\\"DB_PASS\\\"}\"}")]
#[case("Password : [s3cr3t-value9]")]
#[case("password:[s3cr3t-value9]")]
#[case("a: b: c: d: password: s3cr3t-value9")]
#[case("a=b=c=d=password=s3cr3t-value9")]
#[case("msg=\"x: {\\\"password\\\": \\\"s3cr3t-value9\\\"}\"")]
#[case("msg='password=s3cr3t-value9'")]
#[case("time=10:00:00 msg=\"a\" url=\"https://x/?a=b&api_key=s3cr3t-value9&z=1\"")]
#[case("{\"msg\":\"connect failed: user=app password=s3cr3t-value9\"}")]
#[case("{\"msg\":\"connect failed: password: s3cr3t-value9\"}")]
#[case("docker run -e MYSQL_ROOT_PASSWORD=s3cr3t-value9 mysql")]
#[case("\"args\":[\"--set=auth.rootPassword=s3cr3t-value9\"]")]
#[case("Cookie: session=s3cr3t-value9")]
#[case("cookie: a=b; c=d; e=s3cr3t-value9; f=g")]
#[case("curl -H 'Cookie: theme=dark; session=s3cr3t-value9' http://x")]
#[case("--header=Cookie: a=b; session=s3cr3t-value9")]
#[case("{\"env\": [{\"name\": \"JAVA_OPTS\", \"value\": \"-Dx.password=s3cr3t-value9 -Xmx1g\"}]} x")]
fn a_value_of_a_secrets_name_goes_and_is_known(#[case] text: &str) {
    let secrets = Secrets::default();
    hidden(text, &secrets);
    assert_eq!(secrets.hide("tried s3cr3t-value9 once"), "tried (left out) once");
}

/// A truncated line, JSON in a string in a string, and a list.
#[rstest]
#[case(r#"{"m":"{\"o\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"config\\\":\\\"czNjcjN0LXZhbHVlOQ==\\\"}}\"}"}"#)]
#[case(r#"cut {"kind":"Secret","data":{"config":"czNjcjN0LXZhbHVlOQ"#)]
#[case("{\"Cookie\":[\"theme=dark; session=s3cr3t-value9\"]}")]
fn a_value_goes_that_cannot_be_told_from_what_is_around_it(#[case] text: &str) {
    hidden(text, &Secrets::default());
}

#[rstest]
#[case("level=info msg=\"compass=3 bypass=on tokenizer=bpe2\" keyboard=us105")]
#[case("<html><body><title>404 Not Found</title></body></html>")]
#[case("usage: login <user>:<password>@<host></p>")]
#[case("{\"kind\":\"ConfigMap\",\"data\":{\"config\":\"a1b2c3\"}} x")]
#[case("EnvVar{Name:MODE,Value:a1b2c3,ValueFrom:nil,}")]
#[case("note: |\n  a1b2c3d4\n  more\nx: y")]
#[case("{\"value\":\"a1b2c3\",\"name\":\"MODE\"}")]
#[case(
    "E1130 reflector.go:1] failed to list *v1.Secret: secrets is forbidden: User \"system:node:w1\" cannot list resource \"secrets\""
)]
#[case(
    "MountVolume.SetUp failed for volume \"kube-api-access-x1y2z\" : object \"default\"/\"kube-root-ca.crt\" not registered"
)]
#[case(
    "Error: container has runAsNonRoot and image will run as root (pod: \"web-0_default(1a2b3c4d)\", container: web)"
)]
#[case("Name: mysql-0, Value: none")]
#[case("password : incorrect")]
#[case("set password for root@localhost = password")]
#[case("the cookie: it is gone")]
#[case("reason: FailedCreate: pods \"a1\" is forbidden: error looking up service account")]
#[case("failed to pull image \"registry/mysql:5.6\": unexpected status from HEAD request: 401 Unauthorized")]
fn what_is_no_secret_stays(#[case] text: &str) {
    assert_eq!(hide_shapes(text), text);
}

/// Fields of a line and lines of a list: their words and numbers occur in every log.
#[test]
fn random_parts_of_a_secrets_value_are_removed_and_its_words_stay() {
    let secrets = Secrets::default();
    let value = |text: &str| STANDARD.encode(text);
    secrets.clean(&mut json!({"kind": "Secret", "data": {"pgpass": value("db:5432:orders:app:pg9-Tr0ub4\n"),
        "users": value("alice:Tr0ub4dor9x\nbob:c0rrect9yz\n"), "words": value("abc\nmysql\nroot:password\nurl:8080\n")}}));
    assert_eq!(secrets.hide("pg9-Tr0ub4 c0rrect9yz"), "(left out) (left out)");
    let text = "db 5432 orders app mysql password root url 8080 alice abc";
    assert_eq!(secrets.hide(text), text);
}

/// Output of `kubectl get secret -o json` in the log of a Job: the keys do not look secret. The object next to it is
/// no Secret.
#[rstest]
#[case::one("")]
#[case::with_times("2026-11-30T10:00:00.123456789Z ")]
#[case::with_streams("2026-11-30T10:00:00.123456789+01:00 stdout F ")]
#[case::of_a_service("Nov 30 10:00:00 w1 backup[77]: ")]
fn a_secret_as_json_of_several_lines_goes_and_is_known(#[case] before: &str) {
    let list = json!({"apiVersion": "v1", "items": [
        {"apiVersion": "v1", "data": {"conn": "czNjcjN0LXZhbHVlOQ=="}, "kind": "Secret", "metadata": {"name": "db"}},
        {"apiVersion": "v1", "data": {"conn": "c3RheXM3Nzc="}, "kind": "ConfigMap", "metadata": {"name": "db"}}],
        "kind": "List"});
    let text = format!(
        "+ kubectl get secret,configmap db -o json\n{}\n",
        serde_json::to_string_pretty(&list).unwrap()
    );
    let lines: String = text.lines().map(|line| format!("{before}{line}\n")).collect();
    let secrets = Secrets::default();
    hidden(&lines, &secrets);
    assert_eq!(secrets.hide(&lines), lines.replace("czNjcjN0LXZhbHVlOQ==", "(left out)"));
    assert_eq!(secrets.hide("tried s3cr3t-value9 once"), "tried (left out) once");
}

/// Settings that a program prints, in a file of a node: the value occurs in no other text.
#[rstest]
#[case::one("")]
#[case::with_times("2026-11-30T10:00:00.123456789Z ")]
#[case::with_streams("2026-11-30T10:00:00.123456789Z stdout F ")]
#[case::with_an_offset("2026-11-30T10:00:00.123456789+01:00 stderr F ")]
fn yaml_in_a_log_keeps_its_secrets_behind_what_the_log_puts_before_its_lines(#[case] before: &str) {
    for text in [
        "password: |\n  correct-horse\n  battery\nport: 1\n",
        "password: \"correct-horse\"\nport: 1\n",
        "- name: DB_PASS\n  value: correct-horse\nport: 1\n",
        "DB_PASS=correct-horse\nport: 1\n",
    ] {
        let lines: String = text.lines().map(|line| format!("{before}{line}\n")).collect();
        let hidden = Secrets::default().hide(&lines);
        assert!(!hidden.contains("horse") && !hidden.contains("battery"), "{hidden}");
        assert!(hidden.ends_with(&format!("{before}port: 1\n")), "{hidden}");
    }
}

#[test]
fn a_file_in_a_secret_that_a_log_quotes_is_known() {
    let secrets = Secrets::default();
    secrets.hide(&format!(
        r#"apply {{"kind":"Secret","data":{{"f":"{}"}}}}"#,
        STANDARD.encode("alice:Tr0ub4dor9x\n")
    ));
    assert_eq!(secrets.hide("tried Tr0ub4dor9x"), "tried (left out)");
}

/// The value of a name in an argument includes blanks.
#[test]
fn a_value_with_blanks_in_a_pair_of_an_argument_goes() {
    let mut object = json!({"args": ["--from-literal=password=s3cr3t-value9 with blanks",
        "--set=a=1,auth.rootPassword=s3cr3t-value9", "--url=http://h/?token=s3cr3t-value9&x=1", "--a=b=c"]});
    Secrets::default().clean(&mut object);
    let text = object.to_string();
    assert!(!text.contains(VALUE) && !text.contains("blanks") && text.contains("--a=b=c"), "{text}");
}

/// Endless beginnings of each shape. A busy machine makes one try slow; a slow algorithm makes all tries slow.
#[rstest]
fn beginnings_of_shapes_take_time_by_their_length(
    #[values(
        "a=",
        "a_token=",
        "password:",
        "password: ",
        "config: ",
        "token: [",
        "password=$(",
        "password=${",
        "password='",
        "{\"data\":{",
        "\"type\":\"Opaque\",\"data\":{\"a\":\"b\",",
        "\\\"stringData\\\":{\\\"a\\\":\\\"",
        "\"stringData\":{\"a\":\"",
        "password: |\n  ",
        "a: |\n",
        "<password>",
        "<a ",
        "name=\"a\" ",
        "Name:A,Value:",
        "Name:DB_PASS,Value:",
        "Name:DB_PASS,Value:x,",
        "\"value\":\"a\",",
        "\"value\":\"a\\\"",
        "set password ",
        "password(",
        "cookie: a=",
        "> Cookie: a=b; ",
        "--set=",
        "-a ",
        "--password ",
        "\"k\": \"",
        "\\\"k\\\": \\\"",
        "\"password\":[",
        "\"kind\":\"Secret\"",
        "name: a\n  value: ",
        "alice:a1b2c3d4\n",
        "STRIPE_KEY=",
        "a.",
        "'password': ",
        "\\",
        "\\\\\"",
        " ",
        "\n",
        "password \n",
        "x-",
        "<name>password</name><value>",
        "{\"a\":\"{\\\"",
        "password=\"a ",
        "password=\\\"a ",
        "{",
        "[\n",
        "{\"",
        "{\"a\":",
        "{\"a\":{\"a\":\"b\"},",
        "[{\"a\":\"\\\"b\"},",
        "{\"a\":\"{\\\"a\\\":\\\"{\\\\\\\"a",
        "[\"--password\",\"a\",",
        "x [1,\nx ",
        "[\n2026-11-30T10:00:00Z ",
        "{\"kind\":\"Secret\",\"data\":{\"a\":\"b\"},\n",
        "mysql -p\"",
        "curl -s",
        "Authorization: A ",
        "password: A("
    )]
    unit: &str,
) {
    let time = |length: usize, times: usize| {
        let text = unit.repeat(length / unit.len());
        let began = Instant::now();
        (0..times).for_each(|_| drop(hide_shapes(&text)));
        began.elapsed()
    };
    // The same amount of text in one piece and in sixteen pieces. If the time of each beginning grows with the text
    // behind it, sixteen pieces take a sixteenth. A busy machine slows both alike.
    let is_slow = |(many, one): &(Duration, Duration)| *one > *many * 5 + Duration::from_millis(50);
    let slow: Vec<_> = (0..3).map(|_| (time(10_000, 16), time(160_000, 1))).take_while(is_slow).collect();
    assert!(slow.len() < 3, "for sixteen and for one: {slow:?}");
}
