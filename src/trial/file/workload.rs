//! A workload as a trial file names it.

use serde::Deserialize;

use crate::judge::trial::facts::Workload;

/// The kinds that run pods.
const KINDS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod"];

/// A workload as `KIND/NAME`, such as `deployment/shop`, or `NAMESPACE/KIND/NAME` in a namespace that the manifests name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "cli", schemars(with = "String"))]
pub struct WorkloadRef {
    namespace: Option<String>,
    kind: String,
    name: String,
}

/// Why a text names no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadRefError {
    /// The text has another form.
    #[error("{0} is neither KIND/NAME, such as deployment/shop, nor NAMESPACE/KIND/NAME")]
    Form(String),
    /// The kind runs no pods.
    #[error("{kind} is no kind that runs pods: name one of {}", KINDS.join(", ").to_lowercase())]
    Kind {
        /// The kind.
        kind: String,
    },
    /// No workload has this name.
    #[error("{reference} is not on trial; the workloads: {known}")]
    None {
        /// The reference.
        reference: String,
        /// The workloads on trial.
        known: String,
    },
    /// Several namespaces have a workload of this name.
    #[error("{reference} is in several namespaces: name it as NAMESPACE/{reference}")]
    Several {
        /// The reference.
        reference: String,
    },
}

impl TryFrom<String> for WorkloadRef {
    type Error = WorkloadRefError;

    fn try_from(text: String) -> Result<Self, WorkloadRefError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (namespace, kind, name) = match parts.as_slice() {
            [kind, name] => (None, *kind, *name),
            [namespace, kind, name] if !namespace.is_empty() => (Some((*namespace).to_owned()), *kind, *name),
            _ => return Err(WorkloadRefError::Form(text)),
        };
        if kind.is_empty() || name.is_empty() {
            return Err(WorkloadRefError::Form(text));
        }
        let known = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind));
        let kind = known.ok_or_else(|| WorkloadRefError::Kind { kind: kind.into() })?;
        Ok(Self { namespace, kind: (*kind).into(), name: name.into() })
    }
}

impl std::fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)
    }
}

impl WorkloadRef {
    /// The kind, as Kubernetes writes it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The namespace, if it is named.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the workload among those on trial.
    ///
    /// # Errors
    /// [`WorkloadRefError`] if no workload has this name, or several have it.
    pub fn among<'w>(&self, workloads: &'w [Workload]) -> Result<&'w Workload, WorkloadRefError> {
        let is_it = |w: &&Workload| {
            let is_there = self.namespace.as_ref().is_none_or(|namespace| *namespace == w.namespace);
            w.kind == self.kind && w.name == self.name && is_there
        };
        let found: Vec<&Workload> = workloads.iter().filter(is_it).collect();
        let reference = self.to_string();
        match found.as_slice() {
            [one] => Ok(one),
            [] => {
                let known: Vec<String> = workloads.iter().map(|w| w.subject().to_lowercase()).collect();
                Err(WorkloadRefError::None { reference, known: known.join(", ") })
            }
            _ => Err(WorkloadRefError::Several { reference }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkloadRef, WorkloadRefError> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_workload_is_found_by_kind_and_name_in_one_namespace() {
        let one = |namespace: &str, name: &str| Workload {
            kind: "StatefulSet".into(),
            namespace: namespace.into(),
            name: name.into(),
            in_named_namespace: !namespace.is_empty(),
            made_by: None,
        };
        let all = [one("", "db"), one("a", "db"), one("a", "queue")];
        assert_eq!(read("statefulset/queue").unwrap().among(&all), Ok(&all[2]));
        assert_eq!(read("a/StatefulSet/db").unwrap().among(&all), Ok(&all[1]));
        let several = read("statefulset/db").unwrap().among(&all).unwrap_err();
        assert_eq!(
            several.to_string(),
            "statefulset/db is in several namespaces: name it as NAMESPACE/statefulset/db"
        );
        let none = read("deployment/db").unwrap().among(&all).unwrap_err().to_string();
        assert!(none.contains("deployment/db is not on trial; the workloads: statefulset/db, a/"), "{none}");
        for (wrong, words) in [
            ("db", "neither KIND/NAME"),
            ("deployment/", "neither KIND/NAME"),
            ("/deployment/db", "neither KIND/NAME"),
            ("service/db", "service is no kind that runs pods: name one of deployment, "),
        ] {
            assert!(read(wrong).unwrap_err().to_string().contains(words), "{wrong}");
        }
    }
}
