//! Objects that no API server accepts, recognised before they are sent.

use rstest::rstest;
use seatrial::manifest::Manifest;

use super::error;

fn object(version: &str, kind: &str, rest: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: m\n{rest}\n")
}

fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[rstest]
#[case::map("ConfigMap", "data", 1)]
#[case::secret("Secret", "stringData", 1)]
fn the_data_of_a_map_or_a_secret(#[case] kind: &str, #[case] field: &str, #[case] more: usize) {
    let of =
        |bytes: usize| object("v1", kind, &format!("{field}: {{a: {}, b: {}}}", long(bytes - 10), long(10)));
    assert!(Manifest::read("f.yaml", &of(1 << 20)).is_ok());
    let told = error(&of((1 << 20) + more));
    assert!(
        told.ends_with(&format!("its data has 1048577 bytes, more than the 1048576 that a {kind} takes")),
        "{told}"
    );
}

/// base64 counts with its decoded length, and a `stringData` entry replaces the `data` of its key.
#[test]
fn the_data_of_a_secret_is_counted_as_the_server_counts_it() {
    let encoded = format!("data: {{a: {}}}", long((1 << 20) / 3 * 4));
    assert!(Manifest::read("f.yaml", &object("v1", "Secret", &encoded)).is_ok());
    let both = format!("data: {{a: {}}}\nstringData: {{a: {}}}", long(900_000), long(900_000));
    assert!(Manifest::read("f.yaml", &object("v1", "Secret", &both)).is_ok());
}

#[test]
fn annotations_together() {
    let of =
        |bytes: usize| object("v1", "ConfigMap", &format!("  annotations: {{a: {}, b: x}}", long(bytes - 3)));
    assert!(Manifest::read("f.yaml", &of(256 << 10)).is_ok());
    let told = error(&of((256 << 10) + 1));
    assert!(told.starts_with("f.yaml:5: "), "{told}");
    assert!(
        told.ends_with("its annotations have 262145 bytes, more than the 262144 that an object takes"),
        "{told}"
    );
}

#[test]
fn what_etcd_and_the_api_server_take() {
    let custom = |bytes| object("example.test/v1", "A", &format!("value: {}", long(bytes)));
    assert!(Manifest::read("f.yaml", &custom(1_500_000)).is_ok());
    let told = error(&custom(1_600_000));
    assert!(
        told.contains("the object has 16000") && told.contains("more than the 1572864 that etcd,"),
        "{told}"
    );
    let told = error(&custom(4 << 20));
    assert!(
        told.contains("a request with it has 41943")
            && told.contains("more than the 3145728 that an API server"),
        "{told}"
    );
    // Fields that only the server writes are not sent.
    let exported = object("example.test/v1", "A", &format!("status: {}", long(2 << 20)));
    assert!(Manifest::read("f.yaml", &exported).is_ok());
}

/// `base64` prints lines of 76 letters. Go's decoder skips line feeds (`encoding/base64`), and the server counts the
/// rest.
#[test]
fn base64_in_lines_is_counted_without_its_line_feeds() {
    // 1 040 000 bytes, less than the 1 048 576 that a Secret takes.
    let encoded = "QUJD".repeat(1_040_000 / 3);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = object("v1", "Secret", &format!("data:\n  a: |\n    {}", lines.join("\n    ")));
    let read = Manifest::read("f.yaml", &text);
    assert!(read.is_ok(), "{}", read.unwrap_err());
}
