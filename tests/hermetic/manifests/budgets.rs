//! Small texts that expand to large documents.

use std::time::{Duration, Instant};

use seatrial::manifest::Manifest;

use super::map;

/// Returns the error, which must come soon.
#[track_caller]
fn refused(text: &str) -> String {
    let began = Instant::now();
    let error = Manifest::read("f.yaml", text).unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    error
}

#[test]
fn aliases_of_aliases_are_refused_before_they_are_expanded() {
    let mut text = map("m") + "x0: &a0 [l, l, l, l, l, l, l, l, l, l]\n";
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        text += &format!("x{n}: &a{n} [{before}]\n");
    }
    let error = refused(&text);
    assert!(error.starts_with("f.yaml:10: with *a4 the aliases of the file stand for "), "{error}");
    assert!(error.ends_with(" values, more than the budget of 400000"), "{error}");
}

/// 200 KB that expand to 2 GB.
#[test]
fn long_texts_with_many_aliases_are_refused() {
    let text = map("m") + "a: &a " + &"x".repeat(150_000) + "\nb: [" + &"*a,".repeat(14_000) + "]\n";
    assert!(text.len() < 200_000);
    let error = refused(&text);
    assert!(error.ends_with(" bytes of text, more than the budget of 16777216"), "{error}");
}

#[test]
fn ten_megabytes_of_aliases_are_refused() {
    let error = refused(&(map("m") + "a: &a [x]\nb: [" + &"*a,".repeat(3_400_000) + "]\n"));
    assert!(error.contains("more than the budget of 400000"), "{error}");
    let error = refused(&("a: &a [x]\nb: {".to_owned() + &"*a : 1,".repeat(10) + "}\n"));
    assert!(error.contains("a key is a list"), "{error}");
}

#[test]
fn depth_and_size_have_budgets() {
    for deep in
        ["[".repeat(5_000_000), "{a: ".repeat(1_000_000), "{\"a\":".repeat(1_000_000), "- ".repeat(1_000_000)]
    {
        let error = refused(&deep);
        assert!(error.contains("deeper than the 200 levels of the budget"), "{error}");
    }
    // Each level is shallow, but all of them together are too deep.
    let mut text = map("m") + "x0: &a0 []\n";
    for n in 1..400 {
        text += &format!("x{n}: &a{n} [*a{}]\n", n - 1);
    }
    assert!(refused(&text).contains("deeper than the 200 levels of the budget"));
    let error = refused(&"#".repeat((32 << 20) + 1));
    assert_eq!(error, "f.yaml:1: the text has 33554433 bytes, more than the 33554432 that a file may have");
    let error = refused(&("{\"a\": [".to_owned() + &"1,".repeat(1_100_000) + "1]}"));
    assert!(error.ends_with("more values than the 1000000 that a file may have"), "{error}");
}

#[test]
fn ordinary_manifests_are_within_the_budgets() {
    let many: String = (0..5000).map(|n| map(&format!("m{n}")) + "data: {k: v}\n---\n").collect();
    assert_eq!(Manifest::read("f.yaml", &many).unwrap().objects().len(), 5000);
    let shared = map("m") + "  labels: &l {app: web}\n  annotations: *l\n";
    assert_eq!(
        Manifest::read("f.yaml", &shared).unwrap().objects()[0].body["metadata"]["annotations"]["app"],
        "web"
    );
}

/// A part with such texts is read again for each of them. Thousands of them in a large file would take minutes.
#[test]
fn a_text_that_must_be_read_again_too_often_is_refused() {
    let dashes = "- [cat, -]\n".repeat(40_000);
    let text = format!("apiVersion: example.test/v1\nkind: A\nmetadata: {{name: a}}\nvalue:\n{dashes}");
    let told = Manifest::read("f.yaml", &text).unwrap_err().to_string();
    assert!(told.contains("put them in quotes"), "{told}");
}
