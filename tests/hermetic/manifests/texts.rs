//! Fields that hold texts by key: the places that the schema has, and no others.

use rstest::rstest;
use seatrial::manifest::Manifest;
use seatrial::secret::Secrets;

use super::{error, map};

#[rstest]
#[case::label("v1", "Pod", "metadata: {name: nn, labels: {v: 1}}", "metadata.labels.v")]
#[case::annotation(
    "example.test/v1",
    "A",
    "metadata: {name: nn, annotations: {v: 1}}",
    "metadata.annotations.v"
)]
#[case::template(
    "apps/v1",
    "Deployment",
    "metadata: {name: nn}\nspec: {template: {metadata: {labels: {v: 1}}}}",
    "spec.template.metadata.labels.v"
)]
#[case::cron(
    "batch/v1",
    "CronJob",
    "metadata: {name: nn}\nspec: {jobTemplate: {spec: {template: {spec: {nodeSelector: {v: 1}}}}}}",
    "spec.jobTemplate.spec.template.spec.nodeSelector.v"
)]
#[case::selector(
    "apps/v1",
    "Deployment",
    "metadata: {name: nn}\nspec: {selector: {matchLabels: {v: 1}}}",
    "spec.selector.matchLabels.v"
)]
#[case::service("v1", "Service", "metadata: {name: nn}\nspec: {selector: {v: 1}}", "spec.selector.v")]
#[case::node("v1", "Pod", "metadata: {name: nn}\nspec: {nodeSelector: {v: 1}}", "spec.nodeSelector.v")]
#[case::affinity(
    "v1",
    "Pod",
    "metadata: {name: nn}\nspec: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {v: 1}}}]}}}",
    "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels.v"
)]
#[case::claims(
    "apps/v1",
    "StatefulSet",
    "metadata: {name: nn}\nspec: {volumeClaimTemplates: [{}, {metadata: {labels: {v: 1}}}]}",
    "spec.volumeClaimTemplates[1].metadata.labels.v"
)]
#[case::data("v1", "ConfigMap", "metadata: {name: nn}\ndata: {v: 1}", "data.v")]
#[case::secret("v1", "Secret", "metadata: {name: nn}\nstringData: {v: 1}", "stringData.v")]
#[case::variable(
    "apps/v1",
    "Deployment",
    "metadata: {name: nn}\nspec: {template: {spec: {initContainers: [{}, {env: [{name: A, value: 1}]}]}}}",
    "spec.template.spec.initContainers[1].env[0].value"
)]
#[case::word(
    "v1",
    "Pod",
    "metadata: {name: nn}\nspec: {containers: [{args: [--port, 1]}]}",
    "spec.containers[0].args[1]"
)]
#[case::parameters(
    "storage.k8s.io/v1",
    "StorageClass",
    "metadata: {name: nn}\nparameters: {v: 1}",
    "parameters.v"
)]
fn a_number_is_refused_where_the_schema_has_texts(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] rest: &str,
    #[case] field: &str,
) {
    let text = error(&format!("apiVersion: {version}\nkind: {kind}\n{rest}\n"));
    let quoted = if kind == "Secret" { "put it in quotes" } else { "put 1 in quotes, \"1\"" };
    let expected = format!("{kind} nn: `{field}`: it is a number, not text: {quoted}");
    assert!(text.ends_with(&expected), "{text}");
}

/// The same names in places where they mean something else.
#[rstest]
#[case::definition(
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.example.test}\n\
     spec: {versions: [{name: v1, schema: {openAPIV3Schema: {properties: {metadata: {properties: {labels: {type: object, \
     maxProperties: 3}, annotations: {x-int: 1}}}, matchLabels: {minProperties: 1}, nodeSelector: {nullable: true}}}}}]}\n"
)]
#[case::peering(
    "apiVersion: cilium.io/v2alpha1\nkind: CiliumBGPPeeringPolicy\nmetadata: {name: a}\n\
     spec: {nodeSelector: {matchLabels: {rack: rack0}, matchExpressions: [{key: k, operator: Exists}]}}\n"
)]
#[case::slice(
    "apiVersion: resource.k8s.io/v1\nkind: ResourceSlice\nmetadata: {name: a}\n\
     spec: {nodeSelector: {nodeSelectorTerms: [{matchExpressions: [{key: k, operator: In, values: [v]}]}]}}\n"
)]
#[case::custom(
    "apiVersion: example.test/v1\nkind: A\nmetadata: {name: a}\nspec: {template: {metadata: {labels: {v: 1}}}, \
     matchLabels: {k: 1}}\n"
)]
#[case::custom_spec("apiVersion: example.test/v1\nkind: A\nmetadata: {name: a}\nspec: 7\ndata: {k: 1}\n")]
#[case::tolerant(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {overhead: {cpu: 1}, containers: [{resources: {limits: {cpu: 1}}}]}\n"
)]
fn a_name_alone_means_nothing(#[case] text: &str) {
    assert_eq!(Manifest::read("f.yaml", text).unwrap().objects().len(), 1);
}

#[rstest]
#[case::version("1.20", "it is a number, not text: put 1.20 in quotes, \"1.20\"")]
#[case::octal("0644", "it is a number, not text: put 0644 in quotes, \"0644\"")]
#[case::commit("0340914", "it is a number, not text: put 0340914 in quotes, \"0340914\"")]
#[case::exponent("1e3", "it is a number, not text: put 1e3 in quotes, \"1e3\"")]
#[case::truth("yes", "it is a truth value, not text: put yes in quotes, \"yes\"")]
#[case::tilde("~", "it is empty (null): remove the key, or write \"\" for an empty text")]
#[case::nothing("", "it is empty (null): remove the key, or write \"\" for an empty text")]
#[case::list("[a]", "it is a list, not text")]
fn advice_has_the_text_of_the_file_and_its_line(#[case] written: &str, #[case] advice: &str) {
    let text = error(&(map("m") + &format!("data:\n  a: b\n  v: {written}\n")));
    assert_eq!(text, format!("f.yaml:7: document 1, ConfigMap m: `data.v`: {advice}"));
}

#[test]
fn keys_that_kubectl_would_change_are_refused_with_what_it_makes_of_them() {
    let text = error(include_str!("../fixtures/manifests/keys.yaml"));
    let told = [
        "f.yaml:14: document 2, ConfigMap build: `data.commit`: it is a number, not text: put 0340914 in quotes",
        "f.yaml:21: document 3, ConfigMap switches: the key on is not text, `kubectl` reads it as \"true\": put on in quotes",
        "f.yaml:22: document 3, ConfigMap switches: the key y is not text, `kubectl` reads it as \"true\": put y in quotes",
        "f.yaml:23: document 3, ConfigMap switches: the key is empty (null), which `kubectl` refuses: put it in quotes",
    ];
    assert!(text.starts_with("4 faults: ") && told.iter().all(|told| text.contains(told)), "{text}");
}

#[rstest]
#[case("0x10", "16")]
#[case("1.20", "1.2")]
#[case("1e6", "1e+06")]
#[case("0.00001", "1e-05")]
#[case("True", "true")]
fn what_kubectl_makes_of_a_key(#[case] key: &str, #[case] read: &str) {
    let text = error(&(map("m") + &format!("data: {{{key}: v}}\n")));
    assert!(text.contains(&format!("the key {key} is not text, `kubectl` reads it as \"{read}\"")), "{text}");
}

#[rstest]
#[case("9000")]
#[case("-1")]
#[case("1.5")]
#[case("true")]
fn a_key_that_kubectl_leaves_as_it_is_is_read(#[case] key: &str) {
    let manifest = Manifest::read("f.yaml", &(map("m") + &format!("data: {{{key}: v}}\n"))).unwrap();
    assert_eq!(manifest.objects()[0].body["data"][key], "v");
}

/// Fields with empty values, as a template engine leaves them.
#[test]
fn empty_fields_are_read_and_an_empty_label_is_not() {
    let text = include_str!("../fixtures/manifests/nulls.yaml");
    assert_eq!(
        error(text),
        "f.yaml:9: document 1, Deployment web: `metadata.labels.tier`: it is empty (null): remove the key, or write \"\" for \
         an empty text"
    );
    let manifest = Manifest::read("f.yaml", &text.replace("    tier:\n", "")).unwrap();
    let body = &manifest.objects()[0].body;
    assert_eq!(body["metadata"]["labels"]["app"], "web");
    assert!(body["spec"]["template"]["spec"]["nodeSelector"].is_null());
}

#[test]
fn no_parsers_own_words_reach_the_user() {
    let broken = [
        "a: [",
        "a: \"x",
        "- a\nb: c",
        "a: b: c",
        "\ta: 1",
        "a: |x\n b",
        "? [",
        "%TAG",
        "a: !x!y z",
        "&a &b c",
        "}",
    ];
    for text in broken {
        let text = error(&format!("kind: A\n{text}\n"));
        let words = [
            "flow",
            "scalar",
            "mapping",
            "sequence",
            "node",
            "token",
            "parse",
            "simple key",
            "block",
            "serde",
            "granit",
        ];
        assert!(words.iter().all(|word| !text.contains(word)), "{text}");
    }
}

/// On the terminal, in the log of a CI job, and in the record of the story. The manifest could not be read, so none
/// of its secrets is known yet.
#[rstest]
#[case::string_data("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  pin: 8312094577\n")]
#[case::data("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  pin: 8312094577\n")]
#[case::json(
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"pin":8312094577}}"#
)]
#[case::password("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: 8312094577\n")]
#[case::config_map(
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata:\n  DB_PASSWORD: 8312094577\n"
)]
#[case::tag("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  pin: !!int 8312094577x\n")]
#[case::list(
    "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: s}\n  stringData: {pin: 8312094577}\n"
)]
fn a_manifest_that_is_wrong_tells_no_value_of_a_secret(#[case] text: &str) {
    let error = error(text);
    // As a terminal shows it, and as a record holds it.
    let shown = Secrets::default().hide(&error);
    assert!(!shown.contains("8312094577"), "{shown}");
    assert!(shown.contains("Secret s: ") || shown.contains("DB_PASSWORD"), "{shown}");
}
