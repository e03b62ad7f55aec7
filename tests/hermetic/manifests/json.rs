//! JSON, alone and in streams.

use rstest::rstest;
use seatrial::manifest::Manifest;
use serde_json::{Value, json};

use super::error;

#[test]
fn a_stream_of_documents_is_read_with_its_lines() {
    let manifest = Manifest::read("two.json", include_str!("../fixtures/manifests/two.json")).unwrap();
    let places: Vec<String> = manifest.objects().iter().map(|o| o.place.to_string()).collect();
    assert_eq!(
        places,
        ["two.json:1: document 1, ConfigMap first", "two.json:2: document 2, ConfigMap second"]
    );
    // The same stream on one line, and with a separator before each document.
    let text = include_str!("../fixtures/manifests/two.json");
    for other in [text.replace("\n{", "{"), text.replace("\n{", "\n---\n{")] {
        assert_eq!(Manifest::read("two.json", &other).unwrap().objects().len(), 2, "{other}");
    }
}

#[test]
fn tabs_and_escapes_of_json_are_read() {
    let tabs = Manifest::read("tabs.json", include_str!("../fixtures/manifests/tabs.json")).unwrap();
    assert_eq!(
        tabs.objects()[0].body,
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "tabs", "labels": {"team": "harbour"}}, "data": {"greeting": "ahoy"}})
    );
    let text = include_str!("../fixtures/manifests/surrogates.json");
    let manifest = Manifest::read("surrogates.json", text).unwrap();
    let body = &manifest.objects()[0].body;
    assert_eq!(
        body["data"],
        json!({"title": "launch \u{1f680} today", "umlaut": "ä", "nul-free": "a\tb\nc"})
    );
    assert_eq!(body["metadata"]["annotations"]["example.test/link"], "https://example.test/a");
}

#[rstest]
#[case("1", json!(1))]
#[case("1.0", json!(1))]
#[case("1e3", json!(1000))]
#[case("-1.5", json!(-1.5))]
#[case("null", Value::Null)]
#[case("\"\\ud83d\"", json!("\u{fffd}"))]
#[case("[[], {}, true]", json!([[], {}, true]))]
fn values_of_json(#[case] written: &str, #[case] meant: Value) {
    let text = format!(
        "{{\"apiVersion\": \"example.test/v1\", \"kind\": \"A\", \"metadata\": {{\"name\": \"a\"}}, \"v\":\t{written}}}"
    );
    assert_eq!(Manifest::read("f.json", &text).unwrap().objects()[0].body["v"], meant);
}

#[rstest]
#[case::comma("{\n\"kind\": \"A\"\n\t\"b\": 1}", "f.yaml:3: document 1: `,` or `}` is missing")]
#[case::end("{\n\t\"kind\": [1", "f.yaml:2: document 1: `,` or `]` is missing")]
#[case::number(
    "{\"a\":\t1}\n{\"a\":\t01}",
    "f.yaml:2: document 2: a number is written in a way that JSON does not have"
)]
#[case::escape("{\"a\":\t\"\\x\"}", "JSON does not know the `\\` escape")]
#[case::second("{\"a\":\t1}\n{\"b\":\t}", "f.yaml:2: document 2: no JSON value begins like this")]
#[case::duplicate(
    "{\"a\":\t1,\n\"a\": 2}",
    "f.yaml:2: document 1: the key `a` is a duplicate of that in line 1"
)]
fn what_is_wrong_in_json_is_placed(#[case] text: &str, #[case] why: &str) {
    assert!(error(text).contains(why), "{}", error(text));
}

#[test]
fn a_map_in_braces_can_be_yaml() {
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a,}}\n---\n{\"apiVersion\": \"v1\", kind: ConfigMap, metadata: {name: b}}";
    assert_eq!(Manifest::read("f.yaml", text).unwrap().objects().len(), 2);
}

/// kubectl's decoder continues as YAML where JSON ends (`YAMLOrJSONDecoder`), and ignores comments.
#[test]
fn a_comment_or_yaml_may_follow_json() {
    let one = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"m\"}}";
    let read = |text: String| Manifest::read("f.json", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read(format!("{one}\n# end\n")).objects().len(), 1);
    assert_eq!(read(format!("{one} # end")).objects().len(), 1);
    assert_eq!(read(format!("{one}\n# and\n{}# end", one.replace("\"m\"", "\"n\""))).objects().len(), 2);
    let yaml = read(format!("{one}\n\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: last}}\n"));
    assert_eq!(yaml.objects()[1].place.to_string(), "f.json:3: document 2, ConfigMap last");
}
