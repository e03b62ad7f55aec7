//! The section `ledgers`: entries that a command in a pod writes, and that another one reads.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::WorkloadRef;
use crate::config;
use crate::judge::trial::facts::Workload;
use crate::manifest::Manifest;
use crate::trial::{custom, workloads};

/// A ledger of a database: a command in a pod writes numbered entries while the trial goes on, and another one prints them at
/// its end. An entry whose command ended with 0 must be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LedgerPart {
    /// The workload, such as `deployment/db`. The commands run in its first ready pod, by name.
    pub workload: WorkloadRef,
    /// The container, if the pod has several.
    pub container: Option<String>,
    /// The command for `sh` that writes the entry `$ENTRY`, a number of at most ten digits. It must end with 0 only if the
    /// entry is kept. Each entry is sent once.
    pub write: String,
    /// The command for `sh` that prints the entries, one in each line, and nothing else. It may run several times.
    pub read: String,
    /// The shortest time from one entry to the next, such as `500ms`. Default: 1 s.
    pub every: Option<String>,
    /// The timeout of one entry, such as `30s`. Default: 10 s.
    pub timeout: Option<String>,
}

/// The shortest time from one entry to the next without `every`.
const EVERY: Duration = Duration::from_secs(1);
/// Timeout of one entry without `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most characters of a ledger's name: a part of the names of its records.
const NAME: usize = 40;

/// Why a ledger cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct LedgerFlaw {
    /// The wrong word.
    pub word: String,
    /// What is wrong.
    pub why: String,
}

impl LedgerPart {
    /// The shortest time from one entry to the next. The text was checked when the file was read.
    pub fn every(&self) -> Duration {
        read(self.every.as_deref()).unwrap_or(EVERY)
    }

    /// The timeout of one entry.
    pub fn timeout(&self) -> Duration {
        read(self.timeout.as_deref()).unwrap_or(TIMEOUT)
    }

    /// Checks what needs no manifests.
    ///
    /// # Errors
    /// [`LedgerFlaw`].
    pub(in crate::trial) fn check(&self, name: &str) -> Result<(), LedgerFlaw> {
        let flaw = |word: &str, why: String| Err(LedgerFlaw { word: word.into(), why });
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > NAME || !is_plain {
            let why =
                format!("{name}: the name of a ledger has at most {NAME} lower-case letters, digits and `-`");
            return flaw(name, why);
        }
        if !self.write.contains("ENTRY") {
            return flaw("write:", format!("`write` of {name} has no $ENTRY: every entry would be the same"));
        }
        if self.read.trim().is_empty() {
            return flaw("read:", format!("`read` of {name} is empty"));
        }
        for text in [&self.every, &self.timeout].into_iter().flatten() {
            if read(Some(text)).is_none_or(|time| time.is_zero()) {
                return flaw(text, format!("{text} is not a duration such as 1s"));
            }
        }
        Ok(())
    }

    /// Checks that the manifests have the workload and the container. With custom resources, only the cluster knows every
    /// workload.
    ///
    /// # Errors
    /// [`LedgerFlaw`].
    pub(in crate::trial) fn check_against(&self, manifest: &Manifest) -> Result<(), LedgerFlaw> {
        let own = workloads::declared(manifest, "");
        let word = self.workload.to_string();
        match self.workload.among(&own) {
            Ok(workload) => self.check_container(manifest, workload),
            Err(super::WorkloadRefError::None { .. }) if !custom::declared(manifest, "").is_empty() => Ok(()),
            Err(error) => Err(LedgerFlaw { word, why: error.to_string() }),
        }
    }

    fn check_container(&self, manifest: &Manifest, workload: &Workload) -> Result<(), LedgerFlaw> {
        let Some(object) = workloads::object(manifest, workload) else { return Ok(()) };
        let template = object.body.pointer("/spec/template").unwrap_or(&object.body);
        let all = template.pointer("/spec/containers").and_then(Value::as_array);
        let names: Vec<&str> = all.into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
        let (of, known) = (&self.workload, names.join(", "));
        match &self.container {
            Some(name) if !names.contains(&name.as_str()) => Err(LedgerFlaw {
                word: name.clone(),
                why: format!("{of} has no container {name}; its containers: {known}"),
            }),
            None if names.len() > 1 => Err(LedgerFlaw {
                word: of.to_string(),
                why: format!("{of} has several containers: name one of {known} with `container`"),
            }),
            _ => Ok(()),
        }
    }
}

fn read(text: Option<&str>) -> Option<Duration> {
    config::duration(text?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Images, Trial, TrialError};

    const DB: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: db}, spec: {template: {spec: \
                      {containers: [{name: mysql, image: a}, {name: exporter, image: b}]}}}}";

    fn part(workload: &str, container: Option<&str>) -> LedgerPart {
        LedgerPart {
            workload: WorkloadRef::try_from(workload.to_owned()).unwrap(),
            container: container.map(str::to_owned),
            write: "add $ENTRY".into(),
            read: "list".into(),
            every: None,
            timeout: None,
        }
    }

    fn with(manifest: &str, part: LedgerPart) -> Result<Trial, TrialError> {
        let trial = Trial::new(Manifest::read("m.yaml", manifest).unwrap(), Images::default()).unwrap();
        trial.with_ledger("orders", part)
    }

    #[test]
    fn a_trial_with_a_ledger_proves_it_unless_it_is_left_out() {
        let ids = |trial: Trial| trial.claims().iter().map(|claim| claim.id).collect::<Vec<_>>();
        let trial = with(DB, part("deployment/db", Some("mysql"))).unwrap();
        let only = trial.clone().selecting(&["ledger".into()], &[]).unwrap();
        assert_eq!(ids(only), ["ready", "ledger", "clean"]);
        assert!(!ids(trial.clone().selecting(&[], &["ledger".into()]).unwrap()).contains(&"ledger"));
        let twice = trial.with_ledger("orders", part("deployment/db", Some("mysql"))).unwrap_err();
        assert_eq!(twice.to_string(), "ledger orders: there are two of this name");
        let without = Trial::new(Manifest::read("m.yaml", DB).unwrap(), Images::default()).unwrap();
        assert!(!ids(without).contains(&"ledger"));
    }

    #[test]
    fn the_manifests_have_the_workload_and_the_container() {
        for (wrong, words) in [
            (
                part("deployment/cache", None),
                "deployment/cache is not on trial; the workloads: deployment/db",
            ),
            (
                part("deployment/db", Some("mariadb")),
                "deployment/db has no container mariadb; its containers: mysql, exporter",
            ),
            (part("deployment/db", None), "several containers: name one of mysql, exporter with `container`"),
        ] {
            let error = with(DB, wrong).unwrap_err().to_string();
            assert!(error.starts_with("ledger orders: ") && error.contains(words), "{error}");
        }
        // An operator may make the workload.
        let operated =
            format!("{DB}\n---\n{{apiVersion: example.test/v1, kind: Database, metadata: {{name: d}}}}\n");
        with(&operated, part("statefulset/d", None)).unwrap();
        with(
            "{apiVersion: v1, kind: Pod, metadata: {name: db}, spec: {containers: [{name: c}]}}",
            part("pod/db", None),
        )
        .unwrap();
    }
}
