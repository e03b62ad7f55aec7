//! Deletes everything that was applied, and records what is left.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher;

use super::super::ground::{CALL, Ground, START};
use crate::chain::chain;
use crate::judge::trial::facts::LEFT;
use crate::manifest;
use crate::scenario::Failure;
use crate::wait::{self, Verdict, WaitError};

pub async fn delete(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    s.mark("clean");
    let mut left = Vec::new();
    let deleted = manifest::delete(&s.client, &ground.manifest, s.deadline().at_most(START)).await;
    left.extend(deleted.err().map(|error| chain(&error)));
    let none = wait::check("no pod left", |pods: &[Pod]| {
        let names: Vec<String> = pods.iter().map(|p| format!("Pod {}", p.name_any())).collect();
        Verdict::met_if(names.is_empty(), || names.join(", "))
    });
    let all = Api::<Pod>::namespaced(s.client.stream.clone(), &s.namespace);
    match wait::until(all, watcher::Config::default(), none, s.deadline().at_most(CALL)).await {
        Ok(_) => {}
        Err(WaitError::Timeout { last, .. }) => left.push(last),
        Err(error) => left.push(chain(&error)),
    }
    s.observe(&LEFT, &left);
    Ok(())
}
