//! What is recorded: kinds in namespaces, as far as the API lets this user read them.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Event as CoreEvent, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::judge::watch::facts::Unread;

/// Timeout for the answer to a list.
const ANSWER: Duration = Duration::from_secs(10);

/// A kind, in a namespace or everywhere.
pub type Place = (ApiResource, Option<String>);

/// Everything that is recorded in these namespaces, and of the cluster itself.
fn all(namespaces: &[String]) -> Vec<Place> {
    let namespaced = [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<ControllerRevision>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<CoreEvent>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<EndpointSlice>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
    ];
    let cluster = [ApiResource::erase::<Node>(&()), ApiResource::erase::<PersistentVolume>(&())];
    let within = |namespace: &String| {
        let namespace = namespace.clone();
        namespaced.clone().map(|resource| (resource, Some(namespace.clone())))
    };
    namespaces.iter().flat_map(within).chain(cluster.map(|resource| (resource, None))).collect()
}

/// Lists one object of every kind. Returns the kinds that can be read, and the others with the API's answer.
pub async fn readable(client: &Client, namespaces: &[String]) -> (Vec<Place>, Vec<Unread>) {
    let (mut open, mut unread) = (Vec::new(), Vec::new());
    for (resource, namespace) in all(namespaces) {
        match list(client, &resource, namespace.as_deref()).await {
            Ok(()) => open.push((resource, namespace)),
            Err(why) => unread.push(Unread { kind: resource.kind, namespace, why: why.text }),
        }
    }
    (open, unread)
}

async fn list(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Result<(), ApiError> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.unary.clone(), namespace, resource),
        None => Api::all_with(client.unary.clone(), resource),
    };
    let one = ListParams::default().limit(1);
    match Deadline::after(ANSWER).bound(api.list(&one)).await {
        Ok(answer) => Ok(answer.map(drop)?),
        Err(late) => Err(ApiError { text: format!("no answer: {late}"), status: None }),
    }
}
