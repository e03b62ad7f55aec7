//! A file in a pod's volume whose content exists nowhere else.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::deadline::Deadline;
use crate::judge::stateful_set::facts::Content;
use crate::scenario::{Failure, Scenario};
use crate::workload::exec_ok;

/// Where the volume is mounted.
const FILE: &str = "/data/identity";

/// Writes a file with random content for a pod, and syncs it to disk.
pub(in crate::suite) async fn write(
    s: &Scenario,
    pod: &DynamicObject,
    deadline: Deadline,
) -> Result<Content, Failure> {
    let uid = pod.uid().unwrap_or_default();
    let random = RandomState::new();
    let text = format!("{:016x}{:016x}", random.hash_one(&uid), random.hash_one(s.elapsed()));
    let script = format!("printf %s \"$1\" > {FILE} && sync");
    let argv = ["sh", "-c", &script, "sh", &text];
    exec_ok(&s.client, &s.namespace, &pod.name_any(), &argv, deadline).await?;
    Ok(Content { pod: pod.name_any(), uid, path: FILE.into(), text: Some(text) })
}

/// Reads the file, if it exists.
pub(in crate::suite) async fn read(
    s: &Scenario,
    pod: &DynamicObject,
    deadline: Deadline,
) -> Result<Content, Failure> {
    let script = format!("if [ -e {FILE} ]; then printf 'found:'; cat {FILE}; fi");
    let argv = ["sh", "-c", &script];
    let text = exec_ok(&s.client, &s.namespace, &pod.name_any(), &argv, deadline).await?;
    let text = text.strip_prefix("found:").map(str::to_owned);
    let uid = pod.uid().unwrap_or_default();
    Ok(Content { pod: pod.name_any(), uid, path: FILE.into(), text })
}
