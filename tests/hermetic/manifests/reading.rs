//! How manifests are read, and as which values.

use rstest::rstest;
use seatrial::manifest::Manifest;
use serde_json::{Value, json};

use super::{MYSQL, error, map};

#[test]
fn documents_are_read_in_order_with_their_place() {
    let manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let places: Vec<String> = manifest.objects().iter().map(|o| o.place.to_string()).collect();
    assert_eq!(
        places,
        [
            "mysql.yaml:3: document 1, PersistentVolume mysql-pv-volume",
            "mysql.yaml:16: document 2, PersistentVolumeClaim mysql-pv-claim",
            "mysql.yaml:25: document 3, Deployment mysql",
        ]
    );
}

#[test]
fn numbers_are_read_as_kubectl_reads_them() {
    let manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let mode = "/spec/template/spec/volumes/0/secret/defaultMode";
    assert_eq!(manifest.objects()[2].body.pointer(mode), Some(&json!(420)));
}

#[rstest]
#[case::nothing("")]
#[case::separators("---\n---\n---\n")]
#[case::comments("# nothing\n---\n# here\n")]
#[case::null("null\n---\n~\n")]
#[case::list("apiVersion: v1\nkind: List\nitems: []\n")]
#[case::empty_list("apiVersion: v1\nkind: List\nitems:\n")]
fn what_holds_nothing_gives_nothing(#[case] text: &str) {
    assert_eq!(Manifest::read("f.yaml", text).unwrap().objects(), []);
}

#[test]
fn lists_are_flattened_and_their_items_numbered() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {}}\n";
    assert_eq!(
        error(text),
        "f.yaml:5: document 1 item 2, ConfigMap without name: `metadata.name` is missing"
    );
    let good = text.replace("metadata: {}", "metadata: {name: b}");
    let manifest = Manifest::read("f.yaml", &good).unwrap();
    assert_eq!(manifest.objects().iter().map(|o| o.name()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn fields_that_only_the_server_writes_are_left_out() {
    let text =
        map("m") + "  uid: u\n  resourceVersion: \"7\"\n  creationTimestamp: null\nstatus: {phase: x}\n";
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    assert_eq!(manifest.objects()[0].body["metadata"], json!({"name": "m"}));
    assert_eq!(manifest.objects()[0].body["status"], Value::Null);
}

#[test]
fn lists_of_one_kind_say_what_their_items_are() {
    let text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n  data: {k: v}\n\
                - {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
    let manifest = Manifest::read("f.yaml", text).unwrap();
    let objects: Vec<String> = manifest.objects().iter().map(|o| o.place.to_string()).collect();
    assert_eq!(
        objects,
        ["f.yaml:4: document 1 item 1, ConfigMap a", "f.yaml:6: document 1 item 2, Secret b"]
    );
    let body =
        json!({"metadata": {"name": "a"}, "data": {"k": "v"}, "apiVersion": "v1", "kind": "ConfigMap"});
    assert_eq!(manifest.objects()[0].body, body);
    let untyped = text.replace("ConfigMapList", "List");
    assert!(error(&untyped).contains("`kind` is missing"), "{}", error(&untyped));
}

/// How sigs.k8s.io/yaml, kubectl's reader, reads each value.
#[rstest]
#[case("0644", json!(420))]
#[case("0o17", json!(15))]
#[case("0x1F", json!(31))]
#[case("-0b101", json!(-5))]
#[case("1_000", json!(1000))]
#[case("0340914", json!(340914))]
#[case("1.20", json!(1.2))]
#[case("1e3", json!(1000))]
#[case("+.5", json!(0.5))]
#[case("18446744073709551615", json!(18446744073709551615_u64))]
#[case("yes", json!(true))]
#[case("Off", json!(false))]
#[case("y", json!(true))]
#[case("~", Value::Null)]
#[case("", Value::Null)]
#[case("12:30", json!("12:30"))]
#[case("2001-01-01", json!("2001-01-01"))]
#[case("1.2.3", json!("1.2.3"))]
#[case("1e400", json!("1e400"))]
#[case("yEs", json!("yEs"))]
#[case("\"yes\"", json!("yes"))]
#[case("!!str 12", json!("12"))]
#[case("!!int \"12\"", json!(12))]
#[case("!!binary aGk=", json!("hi"))]
fn plain_texts_mean_what_they_mean_to_kubectl(#[case] written: &str, #[case] meant: Value) {
    let text = format!("apiVersion: example.test/v1\nkind: A\nmetadata: {{name: a}}\nvalue: {written}\n");
    assert_eq!(Manifest::read("f.yaml", &text).unwrap().objects()[0].body["value"], meant);
}

#[test]
fn merges_are_read_as_kubectl_reads_them() {
    let text = "apiVersion: example.test/v1\nkind: A\nmetadata: {name: a}\nbase: &b {x: 1, y2: 2}\n\
                one: {<<: *b, x: 3}\ntwo: {x: 3, <<: *b}\nboth: {<<: [{x: 5}, *b]}\n";
    let manifest = Manifest::read("f.yaml", text).unwrap();
    let body = &manifest.objects()[0].body;
    assert_eq!(body["one"], json!({"x": 3, "y2": 2}));
    assert_eq!(body["two"], json!({"x": 1, "y2": 2}));
    assert_eq!(body["both"], json!({"x": 5, "y2": 2}));
}

#[test]
fn numbers_as_keys_are_their_text() {
    let read = |text: &str| Manifest::read("keys.yaml", text).unwrap();
    let text = include_str!("../fixtures/manifests/keys.yaml");
    let ports = read(text.split("---").next().unwrap());
    assert_eq!(ports.objects()[0].body["data"], json!({"9000": "shop/web:8080", "9001": "shop/db:3306"}));
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    let text = map("a") + "data:\n  k: |\n    one\n    two\n---\n" + &map("b");
    let plain = Manifest::read("f.yaml", &text).unwrap();
    let marked = "\u{feff}".to_owned() + &text.replace("---\n", "---\n\u{feff}");
    let before = text.replace("---\n", "\u{feff}---\n");
    for other in [text.replace('\n', "\r\n"), marked, before] {
        assert_eq!(Manifest::read("f.yaml", &other).unwrap(), plain, "{other:?}");
        assert_eq!(Manifest::read_bytes("f.yaml", other.as_bytes()).unwrap(), plain);
    }
}

#[test]
fn directives_belong_to_the_document_that_follows() {
    let text = format!("%YAML 1.1\n---\n{}---\n{}", map("a"), map("b"));
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    let lines: Vec<u64> = manifest.objects().iter().map(|o| o.place.line).collect();
    assert_eq!(lines, [3, 8]);
}

/// How go-yaml reads these characters within brackets and after quoted texts. A YAML 1.2 parser reads them
/// differently.
#[rstest]
#[case::dash("[cat, -]", json!(["cat", "-"]))]
#[case::dashes("[-, -]", json!(["-", "-"]))]
#[case::dash_as_value("{a: -, b: -}", json!({"a": "-", "b": "-"}))]
#[case::colon("[grep, a:]", json!(["grep", "a:"]))]
#[case::colon_before_a_comma("[a:, 'b']", json!(["a:", "b"]))]
#[case::colon_of_a_key("{a:}", json!({"a:": null}))]
#[case::colons_of_keys("{a:, b: 1}", json!({"a:": null, "b": 1}))]
#[case::colon_of_a_value("{a: b:, c: [d:]}", json!({"a": "b:", "c": ["d:"]}))]
#[case::colon_after_lines("{a\n  b c\n\n  d:, e: 1}", json!({"a b c\nd:": null, "e": 1}))]
#[case::colon_after_a_blank("[a :]", json!(["a :"]))]
#[case::address("[http://x:, a:b:]", json!(["http://x:", "a:b:"]))]
#[case::letters(r"[ä\: , 'ü', ö\:]", json!([{"ä\\": null}, "ü", "ö\\:"]))]
#[case::anchor("[&x a:, *x]", json!(["a:", "a:"]))]
#[case::colon_and_dash("[a:, -, {b: -}]", json!(["a:", "-", {"b": "-"}]))]
#[case::blank("[a: , b]", json!([{"a": null}, "b"]))]
#[case::quoted("[\"a\":, \"b\":1]", json!([{"a": null}, {"b": 1}]))]
#[case::comment("\"nginx\"# pinned", json!("nginx"))]
#[case::comment_in_single_quotes("'nginx'# pinned", json!("nginx"))]
#[case::comment_after_brackets("[]# none", json!([]))]
#[case::comments_in_brackets("[# one\n  \"a\",# two\n  'b'# three\n  ]", json!(["a", "b"]))]
#[case::comment_of_a_block("|# as it is\n  [cat, -] \"x\"# a:\n", json!("[cat, -] \"x\"# a:\n"))]
#[case::no_comment("a#b", json!("a#b"))]
#[case::tabs("{\n\t\"a\": 1,\n\t\"b\": [\n\t\t\"c\"\n\t]\n}", json!({"a": 1, "b": ["c"]}))]
#[case::tabs_before_a_bracket("[\n  \"a\"\n\t]", json!(["a"]))]
#[case::single_quotes(r#"["-c", "echo \'hi\' \"x\" \\"]"#, json!(["-c", "echo 'hi' \"x\" \\"]))]
fn signs_within_brackets_and_after_quotes(#[case] written: &str, #[case] meant: Value) {
    let text = format!(
        "apiVersion: example.test/v1\nkind: A\nmetadata: {{name: a}}\nvalue: {written}\nlast: [b:, -]\n"
    );
    let manifest = Manifest::read("f.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(manifest.objects()[0].body["value"], meant);
    assert_eq!(manifest.objects()[0].body["last"], json!(["b:", "-"]));
}

/// In these places kubectl refuses a tab: in the text of a block, and in a block of keys behind a comment.
#[rstest]
#[case("  c.json: |\n    {\n\t\"a\": 1,\n\t\"b\": 2\n    }\n")]
#[case("  mk: |\n    FILES = a,\n\tb\n")]
#[case("  c.json: |\n    { \"a\": 1\n\t}\n")]
#[case("  a: b\nmetadata2: # x, y,\n\tb: c\n")]
fn a_tab_outside_of_brackets_is_refused(#[case] data: &str) {
    let told = error(&(map("a") + "data:\n" + data));
    assert!(told.contains("there is a tab where YAML allows only spaces"), "{told}");
}

/// Like kubectl's `LineReader` (`apimachinery/pkg/util/yaml/decoder.go`): each line ends with a line feed.
#[rstest]
#[case("|", "x\n")]
#[case(">", "x\n")]
#[case("|+", "x\n")]
#[case("|-", "x")]
fn a_block_at_the_end_of_a_file_ends_as_everywhere(#[case] sign: &str, #[case] meant: &str) {
    let text = map("a") + &format!("data:\n  a: {sign}\n    x");
    for text in [text.clone(), text + "\n"] {
        let manifest = Manifest::read("f.yaml", &text).unwrap();
        assert_eq!(manifest.objects()[0].body["data"]["a"], meant, "{text:?}");
    }
}

/// Line numbers of errors are those of the file, even if the text was changed before it was read.
#[test]
fn a_text_that_is_read_again_keeps_its_lines() {
    let text = map("a") + "data:\n  a: \"b\"# c\n  d: [-]\n  e: 7\n  f: [\n";
    let told = error(&text);
    assert!(told.contains("f.yaml:9: document 1, ConfigMap a: a bracket is not closed"), "{told}");
    let told = error(&text.replace("  f: [\n", ""));
    assert!(told.contains("f.yaml:8: document 1, ConfigMap a: `data.e`: it is a number"), "{told}");
}
