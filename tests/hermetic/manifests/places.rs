//! Errors in manifests: the kind, the place, and all errors at once.

use rstest::rstest;
use seatrial::manifest::{Manifest, ManifestError};

use super::{error, map, object};

#[rstest]
#[case::duplicate(
    "  name: nn\n",
    "f.yaml:10: document 2, ConfigMap m",
    "`name` is a duplicate of that in line 9"
)]
#[case::indentation("   - x: [\n", "f.yaml:10: document 2, ConfigMap m", "")]
#[case::tab(
    "data:\n\tk: v\n",
    "f.yaml:11: document 2, ConfigMap m",
    "there is a tab where YAML allows only spaces"
)]
#[case::colon(
    "data: a: b\n",
    "f.yaml:10: document 2, ConfigMap m",
    "there is a `:` where YAML allows no key"
)]
#[case::alias(
    "data: *a\n",
    "f.yaml:10: document 2, ConfigMap m",
    "names an anchor that is not defined before it"
)]
#[case::sign("data: @a\n", "f.yaml:10: document 2, ConfigMap m", "'@' cannot begin a text here")]
#[case::infinite(
    "data: {k: .inf}\n",
    "f.yaml:10: document 2, ConfigMap m",
    "a number that JSON does not have"
)]
#[case::itself("data: &a {k: *a}\n", "f.yaml:10: document 2, ConfigMap m", "contains itself by *a")]
#[case::tag(
    "data: {k: !!int x}\n",
    "f.yaml:10: document 2, ConfigMap m",
    "the value is not what its tag !!int says"
)]
#[case::merge("data: {<<: 1}\n", "f.yaml:10: document 2, ConfigMap m", "`<<` takes a map or a list of maps")]
fn text_that_is_no_yaml_is_placed(#[case] more: &str, #[case] place: &str, #[case] why: &str) {
    let text = error(&(map("first") + "---\n" + &map("m") + more));
    assert!(text.starts_with(place) && text.contains(why), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[rstest]
#[case::scalar(7, "hello\n", "document 2: it is a text, not an object")]
#[case::list(7, "- a\n", "document 2: it is a list, not an object")]
#[case::no_kind(7, "apiVersion: v1\nmetadata: {name: nn}\n", "`nn` without kind: `kind` is missing")]
#[case::kind(
    8,
    "apiVersion: v1\nkind: 3\nmetadata: {name: nn}\n",
    "`kind` is a number, not a name: put 3 in quotes"
)]
#[case::no_version(7, "kind: Pod\nmetadata: {name: nn}\n", "Pod nn: `apiVersion` is missing")]
#[case::version(
    7,
    "apiVersion: a/b/c\nkind: Pod\nmetadata: {name: nn}\n",
    "is not `version` or `group/version`"
)]
#[case::name_of_two_words(
    9,
    "apiVersion: v1\nkind: Pod\nmetadata: {name: my app}\n",
    "`metadata.name` \"my app\" is not a valid name"
)]
#[case::name_of_a_path(
    9,
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a/b?c}\n",
    "`metadata.name` \"a/b?c\" is not a valid name"
)]
#[case::no_metadata(7, "apiVersion: v1\nkind: Pod\n", "Pod without name: `metadata` is missing")]
#[case::no_name(9, "apiVersion: v1\nkind: Pod\nmetadata: {labels: {}}\n", "`metadata.name` is missing")]
#[case::name(
    10,
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 0340914\n",
    "`metadata.name` is a number, not a name: put 0340914 in quotes, \"0340914\""
)]
#[case::labels(
    9,
    "apiVersion: v1\nkind: Pod\nmetadata: {name: nn, labels: x}\n",
    "`metadata.labels` is a text, not an object"
)]
#[case::spec(
    10,
    "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: nn}\nspec: x\n",
    "`spec` is a text, not an object"
)]
fn what_is_no_object_is_placed(#[case] line: u64, #[case] second: &str, #[case] why: &str) {
    let text = error(&(map("first") + "---\n# the second\n" + second));
    assert!(text.starts_with(&format!("f.yaml:{line}: document 2")), "{text}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn all_errors_of_a_file_are_reported_at_once_with_their_places() {
    let text =
        map("a") + "  labels: {v: 1.20}\n---\n" + &map("b") + "data: [\n---\nkind: Pod\n---\n" + &map("c");
    let error = Manifest::read("f.yaml", &text).unwrap_err();
    let ManifestError::Several { faults } = &error else { panic!("{error}") };
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "f.yaml:5: document 1, ConfigMap a: `metadata.labels.v`: it is a number, not text: put 1.20 in quotes, \"1.20\"",
            "f.yaml:11: document 2, ConfigMap b: a bracket is not closed, or a comma is missing within it",
            "f.yaml:13: document 3, Pod without name: `apiVersion` is missing",
            "f.yaml:13: document 3, Pod without name: `metadata` is missing",
        ]
    );
    assert!(error.to_string().starts_with("4 faults: f.yaml:5: document 1"), "{error}");
}

#[test]
fn many_errors_are_counted() {
    let labels: String = (0..500).map(|n| format!("    l{n}: {n}\n")).collect();
    let text = error(&(map("a") + "  labels:\n" + &labels));
    assert!(text.starts_with("500 faults: ") && text.ends_with("; and 480 more"), "{text}");
    assert!(text.len() < 4096, "{}", text.len());
}

#[test]
fn a_duplicate_object_is_refused_with_both_places() {
    let text = map("a") + "---\n" + &map("b") + "---\n" + &map("a");
    assert_eq!(
        error(&text),
        "f.yaml:11: document 3, ConfigMap a: it is defined twice: at f.yaml:1 too (document 1)"
    );
    // In another namespace, or with another group, it is another object.
    let others = map("a")
        + "  namespace: other\n---\n"
        + &map("a")
        + "---\n"
        + &map("a").replace("v1", "example.test/v1");
    assert_eq!(Manifest::read("f.yaml", &others).unwrap().objects().len(), 3);
}

#[rstest]
#[case::little(&[0xFF, 0xFE, b'a', 0], "f.yaml:1: the file is UTF-16 (little endian)")]
#[case::big(&[0xFE, 0xFF, 0, b'a'], "f.yaml:1: the file is UTF-16 (big endian)")]
#[case::without_mark(&[b'a', 0, b'p', 0], "f.yaml:1: the file is UTF-16 (little endian)")]
#[case::wider(&[0xFF, 0xFE, 0, 0, b'a', 0, 0, 0], "f.yaml:1: the file is UTF-32 (little endian)")]
#[case::latin(b"kind: A\nname: M\xFCller\n", "f.yaml:2: the byte 0xFC is not UTF-8 here")]
#[case::cut(b"kind: \xE2\x82", "f.yaml:1: the byte 0xE2 is not UTF-8 here")]
fn bytes_that_are_no_utf_8_are_named(#[case] bytes: &[u8], #[case] why: &str) {
    let error = Manifest::read_bytes("f.yaml", bytes).unwrap_err().to_string();
    assert!(error.starts_with(why) && error.ends_with("UTF-8"), "{error}");
}

/// "Each with its place, in the order of the file" (`ManifestError::Several`): also an error that is found last.
#[test]
fn errors_come_in_the_order_of_the_file() {
    let text = format!("{}---\n{}---\n{}", map("m"), map("m"), object("v1", "Pod", "metadata: {name: 7}"));
    let Err(ManifestError::Several { faults }) = Manifest::read("f.yaml", &text) else { panic!() };
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("f.yaml:6: ") && told[1].starts_with("f.yaml:13: "), "{told:?}");
}

/// Names of RBAC objects are any path segment (`ValidateRBACName`): Kubernetes' own names contain colons, others
/// blanks.
#[test]
fn the_name_of_a_role_is_any_segment_of_a_path() {
    let named = |name: &str| {
        object("rbac.authorization.k8s.io/v1", "Role", &format!("metadata: {{name: \"{name}\"}}\nrules: []"))
    };
    for name in ["read only", "system:a", "wer darf's?", "lesen für alle"] {
        assert_eq!(Manifest::read("f.yaml", &named(name)).unwrap().objects()[0].name(), name);
    }
    for name in ["a/b", "a%b", ".", ".."] {
        assert!(error(&named(name)).contains("is not a valid name"), "{name}");
    }
    let elsewhere = object("rbac.authorization.k8s.io/v1", "Role", "metadata: {name: a, namespace: a b}");
    assert!(
        error(&elsewhere).contains("`metadata.namespace` \"a b\" is not a valid name"),
        "{}",
        error(&elsewhere)
    );
}

/// `IsValidPathSegmentName`: a name may be neither `.` nor `..`. As a path segment they would address another
/// resource.
#[test]
fn a_name_that_is_a_step_in_a_path_is_refused() {
    for name in [".", ".."] {
        let told = error(&object("v1", "ConfigMap", &format!("metadata: {{name: \"{name}\"}}")));
        assert!(told.contains("is not a valid name"), "{told}");
    }
}

/// Like kubectl's `YAMLReader`: every line that begins with `---` separates documents.
#[test]
fn a_separator_has_only_a_comment_after_it() {
    for (line, written) in [(6, "--- {apiVersion: v1}"), (6, "---spec: {}"), (6, "----")] {
        let told = error(&format!("{}{written}\n{}", map("a") + "data: {}\n", "metadata: {name: x}\n"));
        assert!(told.contains(&format!("f.yaml:{line}: ")) && told.contains("separates documents"), "{told}");
    }
    let text = map("a") + "---  # the second\n" + &map("b") + "---\t\r\n" + &map("c") + "---# the last\n";
    assert_eq!(Manifest::read("f.yaml", &text).unwrap().objects().len(), 3);
}
