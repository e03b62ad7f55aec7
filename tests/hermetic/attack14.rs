//! Whose things are and what is secret: what still comes out wrong.

use std::time::Duration;

use rstest::rstest;
use seatrial::cluster::{self, ReapOptions};
use seatrial::config::{CONTROL_LABEL, OWNED_BY_LABEL, StateId};
use seatrial::deadline::Deadline;
use seatrial::image::{self, STANDS_FOR_LABEL, balancer_of_kind};
use seatrial::manifest::{self, FIELD_MANAGER, Manifest, NAMESPACE_LABEL};
use seatrial::node::Power;
use seatrial::progress::Progress;
use seatrial::secret::Secrets;
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::fake_engine::{FakeEngine, Trouble};
use crate::ground::{Ground, NAME, soon};

// --- Secrets in what is said.

/// An error says the value of a Secret: on the terminal, in the log of a CI job, in the record of the story. Nothing of
/// the manifest is known yet, since it could not be read.
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
fn a_manifest_that_is_wrong_tells_no_value_of_a_secret(#[case] text: &str) {
    let error = Manifest::read("s.yaml", text).unwrap_err();
    // As a terminal and a record show it.
    let shown = Secrets::default().hide(&error.to_string());
    assert!(!shown.contains("8312094577"), "{shown}");
}

/// Ways of writing that docs/events.md lists: `-px` of MySQL's clients, `--password x`, `Authorization` as the name of a
/// header, settings as Go and Rust print them, variables as JSON has them, combined flags of curl.
#[rstest]
#[case::mysql_in_quotes("mysql -u root -p\"s3cr3t-value9\" -e 'select 1'")]
#[case::mysql_in_quotes_of_a_shell(r#"sh -c "mysql -uroot -p\"s3cr3t-value9\" -e 'select 1'""#)]
#[case::mysql_in_single_quotes("mysqldump -uroot -p's3cr3t-value9' shop")]
#[case::flag_in_compact_json(r#"{"args":["--password","s3cr3t-value9"]}"#)]
#[case::header_of_another_scheme("Authorization: ApiKey s3cr3t-value9")]
#[case::map_of_go("connect with map[password:s3cr3t-value9 user:jane]")]
#[case::option_of_rust("Config { user: \"jane\", password: Some(\"s3cr3t-value9\") }")]
#[case::variable_in_json_with_capitals("{\n  \"Name\": \"DB_PASS\",\n  \"Value\": \"s3cr3t-value9\"\n}")]
#[case::flags_of_curl_together("curl -sSu app:s3cr3t-value9 http://x")]
fn a_secret_in_a_text_goes(#[case] text: &str) {
    let hidden = Secrets::default().hide(text);
    assert!(!hidden.contains("s3cr3t"), "{hidden}");
}

/// As `kubectl get secret -o json` prints it, in the log of a Job: its keys name no secret.
#[test]
fn a_secret_that_a_log_has_as_json_of_several_lines_goes() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "type": "Opaque",
        "data": {"conn": "czNjcjN0LXZhbHVlOQ=="}});
    let text =
        format!("+ kubectl get secret db -o json\n{}\n", serde_json::to_string_pretty(&secret).unwrap());
    let secrets = Secrets::default();
    let hidden = secrets.hide(&text);
    assert!(!hidden.contains("czNjcjN0"), "{hidden}");
    assert!(
        !secrets.hide("login failed with s3cr3t-value9").contains("s3cr3t"),
        "its value is not known either"
    );
}

/// The same in objects. A list says of its items what they are, whatever their type is called.
#[rstest]
#[case::list_of_a_type_of_its_own(json!({"kind": "SecretList", "apiVersion": "v1", "items": [
    {"metadata": {"name": "a"}, "type": "example.org/db", "data": {"conn": "czNjcjN0LXZhbHVlOQ=="}}]}))]
#[case::list_of_a_type_of_its_own_in_an_annotation(json!({"metadata": {"annotations": {"tool.example.org/applied":
    r#"{"kind":"SecretList","items":[{"metadata":{"name":"a"},"type":"example.org/db","data":{"conn":"czNjcjN0LXZhbHVlOQ=="}}]}"#}}}))]
#[case::flag_in_the_command_and_its_value_in_the_arguments(
    json!({"containers": [{"command": ["app", "--password"], "args": ["s3cr3t-value9"]}]})
)]
#[case::variable_with_capitals(json!({"Environment": [{"Name": "DB_PASSWORD", "Value": "s3cr3t-value9"}]}))]
#[case::flags_of_curl_together(json!({"command": ["curl", "-su", "app:s3cr3t-value9", "http://x"]}))]
#[case::mysql_in_quotes(json!({"command": ["sh", "-c", "mysql -uroot -p\"s3cr3t-value9\" -e 'select 1'"]}))]
fn a_secret_in_an_object_goes(#[case] mut object: Value) {
    Secrets::default().clean(&mut object);
    let text = object.to_string();
    assert!(!text.contains("s3cr3t") && !text.contains("czNjcjN0"), "{text}");
}

// --- Names and images on an engine.

fn stand_in(fake: &FakeEngine, name: &str) {
    fake.state().images.insert(name.into(), [(STANDS_FOR_LABEL.to_owned(), name.to_owned())].into());
}

/// What a creation that was killed left as word of the lent name.
fn lent(ground: &Ground) -> anyhow::Result<()> {
    let locks = ground.settings.cache.join("locks");
    std::fs::create_dir_all(&locks)?;
    Ok(std::fs::write(locks.join("load-balancer-name.lock"), "lent\n")?)
}

/// A creation was killed while it had lent kind's name. The next reap speaks to another engine: it forgets the name, and
/// on the first engine the stand-in has it for ever.
#[tokio::test]
async fn a_lent_name_is_not_forgotten_by_a_reap_of_another_engine() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    ground.fake.state().containers.clear();
    stand_in(&ground.fake, &name);
    lent(&ground)?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "OTHER:ENGINE".into();
    ground.reap_on(&other, ReapOptions::default()).await?;
    ground.reap(ReapOptions::default()).await?;
    let changes = ground.fake.changes();
    assert!(changes.iter().any(|r| r.starts_with("DELETE /images/")), "{changes:?}");
    Ok(())
}

/// The same word takes kind's name away on the other engine, where somebody else has lent it, maybe just now.
#[tokio::test]
async fn a_lent_name_is_taken_back_on_its_own_engine_only() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let Some(name) = balancer_of_kind()? else { return Ok(()) };
    lent(&ground)?;
    let other = FakeEngine::with(&[])?;
    other.state().id = "OTHER:ENGINE".into();
    stand_in(&other, &name);
    ground.reap_on(&other, ReapOptions::default()).await?;
    let changes = other.changes();
    assert!(!changes.iter().any(|r| r.starts_with("DELETE /images/")), "{changes:?}");
    Ok(())
}

/// The folder goes first, and by it alone the image is known: where the engine refuses, or the process is killed, two
/// gigabytes stay for ever.
#[tokio::test]
async fn an_image_that_could_not_be_pruned_is_tried_again() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let folder = "node-1.30.0-0123456789abcdef";
    std::fs::create_dir_all(ground.settings.cache.join("built").join(folder))?;
    ground
        .fake
        .state()
        .images
        .insert("seatrial.local/node:v1.30.0-0123456789abcdef".into(), Default::default());
    ground.fake.trouble("DELETE /images", Trouble::Status(500, "busy"), 1);
    let engine = ground.fake.client().await?;
    let first = image::prune(&ground.settings, &engine, Duration::ZERO, false).await;
    assert!(first.is_err(), "{first:?}");
    let again = image::prune(&ground.settings, &engine, Duration::ZERO, false).await?;
    let asked = ground.fake.changes().iter().filter(|r| r.starts_with("DELETE /images")).count();
    assert_eq!(asked, 2, "{again:?}");
    Ok(())
}

// --- Objects.

/// What somebody put into a namespace that we applied goes with it.
#[tokio::test]
async fn a_namespace_of_ours_that_holds_what_is_somebodys_is_not_deleted() -> anyhow::Result<()> {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
    let manifest = Manifest::read("m.yaml", text)?;
    manifest::apply(&client, &manifest, soon()).await?;
    fake.put(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "rows", "namespace": "shop", "managedFields": [
            {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:spec": {}}}]},
    }));
    let deleted = manifest::delete(&client, &manifest, soon()).await;
    assert!(fake.get("Namespace", "", "shop").is_some(), "{deleted:?}");
    Ok(())
}

// --- Processes.

/// "Ends at once when [...] it turns out to be kept or somebody else's": it looks at a cluster that is not ours for ever.
#[tokio::test]
async fn a_watcher_of_a_cluster_that_is_somebody_elses_ends() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.recorded(NAME, |_| ())?;
    ground.mark(r#"{"id":"fedcba9876543210","state":"/home/b"}"#);
    let (engine, quiet) = (ground.fake.client().await?, Progress::silent());
    let watching = cluster::watch(&ground.settings, &engine, NAME, Duration::from_millis(1), &quiet);
    let ended = Deadline::after(Duration::from_secs(3)).bound(watching).await;
    assert!(ended.is_ok(), "it goes on");
    assert!(ground.is_there());
    Ok(())
}

/// The cache was deleted after a process was killed that took a node image apart in a container: the container is this
/// state folder's, nobody can hold its lock, and no reap ever removes or names it.
#[tokio::test]
async fn a_container_of_a_cache_that_is_gone_is_removed_or_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let id = StateId::of(&ground.settings.state)?;
    ground.fake.state().containers.clear();
    ground.fake.state().add("seatrial-extract-abc");
    let lock = ground.settings.cache.join("locks/release-1.35.4-0123456789abcdef.lock");
    ground.fake.change("seatrial-extract-abc", |c| {
        c.labels = [
            ("dev.seatrial.extract".to_owned(), lock.display().to_string()),
            (OWNED_BY_LABEL.to_owned(), id.to_string()),
        ]
        .into();
    });
    let said = ground.said(&["reap"]).await;
    assert!(!ground.has("seatrial-extract-abc") || said.contains("seatrial-extract-abc"), "{said}");
    Ok(())
}

/// The same of a control probe whose label is one of another version's.
#[tokio::test]
async fn a_control_probe_whose_maker_cannot_be_read_is_named() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let id = StateId::of(&ground.settings.state)?;
    ground.fake.state().containers.clear();
    ground.fake.state().add("seatrial-control-abc");
    ground.fake.change("seatrial-control-abc", |c| {
        c.power = Power::Exited;
        c.labels = [
            (CONTROL_LABEL.to_owned(), r#"{"process":12,"since":3}"#.to_owned()),
            (OWNED_BY_LABEL.to_owned(), id.to_string()),
        ]
        .into();
    });
    let said = ground.said(&["reap"]).await;
    assert!(!ground.has("seatrial-control-abc") || said.contains("seatrial-control-abc"), "{said}");
    Ok(())
}

/// Two stories share a cluster and have the same manifest, a volume with `generateName`: the one that deletes its own takes
/// the other one's, which is in use.
#[tokio::test]
async fn a_volume_of_another_story_with_the_same_prefix_is_not_deleted() -> anyhow::Result<()> {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {generateName: rows-}\nspec:\n  \
                storageClassName: manual\n  capacity: {storage: 1Gi}\n  accessModes: [ReadWriteOnce]\n  \
                hostPath: {path: /mnt/rows}\n";
    let mut manifest = Manifest::read("m.yaml", text)?;
    manifest.localise("a", "a1", &Default::default())?;
    fake.put(json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": "rows-b7x2k", "generateName": "rows-", "labels": {NAMESPACE_LABEL: "b"},
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Update", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": {}}],
        },
        "spec": {"hostPath": {"path": "/mnt/rows"}},
    }));
    let deleted = manifest::delete(&client, &manifest, soon()).await;
    assert!(fake.get("PersistentVolume", "", "rows-b7x2k").is_some(), "{deleted:?}");
    Ok(())
}
