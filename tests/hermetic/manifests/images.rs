//! Images: which are replaced, and which are only listed.

use std::collections::BTreeMap;

use seatrial::manifest::Manifest;

use super::MYSQL;

#[test]
fn images_are_replaced_by_exact_name_and_reported_once() {
    let mut manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let map = BTreeMap::from([
        ("mysql:5.6".to_owned(), "seatrial/mysql:a".to_owned()),
        ("mysql".to_owned(), "wrong".to_owned()),
        ("nginx:1.7.9".to_owned(), "unused".to_owned()),
    ]);
    let used = manifest.substitute_images(&map);
    assert_eq!(used, [("mysql:5.6".to_owned(), "seatrial/mysql:a".to_owned())]);
    let pod = &manifest.objects()[2].body["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "seatrial/mysql:a");
    assert_eq!(pod["initContainers"][0]["image"], "busybox:1.36");
}

fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n")
}

#[test]
fn images_that_are_mounted_are_replaced_too() {
    let text = pod(
        "{containers: [{image: a}], ephemeralContainers: [{image: a}], volumes: [{name: v, image: {reference: a}}]}",
    );
    let mut manifest = Manifest::read("f.yaml", &text).unwrap();
    let used = manifest.substitute_images(&BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    assert_eq!(used.len(), 1);
    let spec = &manifest.objects()[0].body["spec"];
    assert_eq!(spec["containers"][0]["image"], "b");
    assert_eq!(spec["ephemeralContainers"][0]["image"], "b");
    assert_eq!(spec["volumes"][0]["image"]["reference"], "b");
    assert_eq!(manifest.images_of_custom_resources(), []);
}

#[test]
fn images_of_custom_resources_are_listed_and_not_replaced() {
    let text = "apiVersion: monitoring.example.test/v1\nkind: Prometheus\nmetadata: {name: p}\n\
                spec: {image: \"a\", containers: [{name: c, image: a}], other: {image: {tag: x}}}\n---\n"
        .to_owned()
        + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {image: a}\n";
    let mut manifest = Manifest::read("f.yaml", &text).unwrap();
    let before = manifest.clone();
    assert_eq!(manifest.substitute_images(&BTreeMap::from([("a".to_owned(), "b".to_owned())])), []);
    assert_eq!(manifest, before);
    let listed: Vec<String> = manifest.images_of_custom_resources().iter().map(ToString::to_string).collect();
    assert_eq!(
        listed,
        [
            "f.yaml:1: document 1, Prometheus p: `spec.image` names image a, which is not substituted",
            "f.yaml:1: document 1, Prometheus p: `spec.containers[0].image` names image a, which is not substituted",
        ]
    );
}
