//! Manifests: reading, scoping to a namespace, and applying to a server that fails in every way.

use std::collections::BTreeMap;
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::manifest::{Manifest, TestNamespace};

use crate::fake_api::FakeApi;

mod applying;
mod budgets;
mod dependants;
mod images;
mod json;
mod kept;
mod mutations;
mod places;
mod reading;
mod references;
mod scoping;
mod served;
mod server;
mod sizes;
mod texts;

pub(crate) const MYSQL: &str = r#"# A volume, its claim and a server.
---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: mysql-pv-volume
  labels:
    type: local
spec:
  storageClassName: manual
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  hostPath:
    path: /mnt/data
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: mysql-pv-claim
spec:
  storageClassName: manual
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 20Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mysql
spec:
  selector: {matchLabels: {app: mysql}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: mysql}}
    spec:
      initContainers: [{name: init, image: "busybox:1.36"}]
      containers:
      - {name: mysql, image: "mysql:5.6"}
      volumes:
      - name: secret
        secret: {secretName: s, defaultMode: 0644}
"#;

pub(crate) fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

pub(crate) fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn object(version: &str, kind: &str, rest: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\n{rest}\n")
}

#[track_caller]
fn error(text: &str) -> String {
    Manifest::read("f.yaml", text).unwrap_err().to_string()
}

pub(crate) async fn namespace(fake: &FakeApi) -> TestNamespace {
    let client = fake.client().await;
    let labels = BTreeMap::from([("dev.seatrial.run".to_owned(), "r1".to_owned())]);
    TestNamespace::create(&client, "shop-", &labels, within(10)).await.unwrap()
}

pub(crate) fn own(text: &str, namespace: &TestNamespace) -> Manifest {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    manifest.scope_to_namespace(&namespace.name, "abc123", &BTreeMap::new()).unwrap();
    manifest
}
