//! One ledger while it is kept.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use ring::digest::{SHA256, digest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::file::LedgerPart;
use super::super::pods::pods_of;
use super::entries;
use crate::deadline::Deadline;
use crate::event::{Event, Outcome, Row, Server};
use crate::judge::trial::facts::{LEDGERS_UNREAD, Ledger, LedgerUnread, Workload};
use crate::retry;
use crate::scenario::Scenario;
use crate::wait::pods;
use crate::workload::exec::{ExecError, Output, exec_once};

/// Pause before the next look for a ready pod, or the next try to read.
const AGAIN: Duration = Duration::from_millis(500);
/// The distance between the first numbers of two ledgers.
const APART: u64 = 1_000_000;
/// How many first numbers there are: the last entry of each fits into 31 bits, as a column of many databases has them.
const BASES: u64 = 2_000;

/// A ledger while it is kept.
pub struct Book<'s> {
    s: &'s Scenario,
    part: &'s LedgerPart,
    /// What the judge knows of it.
    pub ledger: Ledger,
    acknowledged: Notify,
}

impl<'s> Book<'s> {
    /// Opens a ledger by name. `run` gives its entries numbers of their own.
    pub fn new(
        s: &'s Scenario,
        (run, name): (&str, &str),
        part: &'s LedgerPart,
        workload: &Workload,
    ) -> Self {
        let ledger = Ledger { name: name.into(), workload: workload.clone(), first: first(run, name) };
        Self { s, part, ledger, acknowledged: Notify::new() }
    }

    /// Waits for the first acknowledged entry, until the deadline at most.
    pub async fn first(&self, deadline: Deadline) {
        if deadline.bound(self.acknowledged.notified()).await.is_err() {
            self.s.note(format!("{}: no entry was acknowledged before the first step", self.ledger.writer()));
        }
    }

    /// Writes one entry after another, each once, until it is stopped. An entry begins only while a pod is ready.
    pub async fn write(&self, stop: &CancellationToken) {
        let first = self.ledger.first;
        for number in first..first + Ledger::MOST {
            let pod = loop {
                if stop.is_cancelled() {
                    return;
                }
                match self.pod().await {
                    Some(pod) => break pod,
                    None => self.pause(AGAIN, stop).await,
                }
            };
            let began = Instant::now();
            self.enter(number, &pod).await;
            self.pause(self.part.every().saturating_sub(began.elapsed()), stop).await;
        }
        self.s.note(format!(
            "{}: {} entries are the most, and no more were written",
            self.ledger.writer(),
            Ledger::MOST
        ));
    }

    async fn enter(&self, number: u64, pod: &Server) {
        let script = format!("export ENTRY={number}\n{}", self.part.write);
        let done = self.run(pod, &script, Deadline::after(self.part.timeout())).await;
        let (outcome, reason) = outcome(&done);
        let row = Row { writer: self.ledger.writer(), number, checksum: String::new() };
        self.s.log.append(Event::RowWritten { row, outcome, server: pod.clone(), reason });
        if outcome == Outcome::Acknowledged {
            self.acknowledged.notify_one();
        }
    }

    /// Reads all entries, again and again until the command succeeds, and records them, or why they could not be read.
    pub async fn read(&self, reading: String, budget: Duration) {
        let deadline = self.s.deadline().at_most(budget);
        let ask = || async {
            let began_us = Some(self.s.log.now_us());
            let pod = self.pod().await.ok_or("no pod is ready")?;
            let done = self.run(&pod, &self.part.read, deadline).await.map_err(|error| error.why)?;
            match done.code {
                0 => Ok((pod, began_us, done.stdout)),
                code => Err(retry::NotYet(ended(code, &done))),
            }
        };
        let read = retry::until(deadline, retry::every(AGAIN), ask).await;
        let found = read.map_err(|late| late.last.to_string()).and_then(|(pod, began_us, text)| {
            Ok((pod, began_us, entries::read(&text).map_err(|error| error.to_string())?))
        });
        match found {
            Ok((server, began_us, numbers)) => {
                let writer = self.ledger.writer();
                let row = |number| Row { writer: writer.clone(), number, checksum: String::new() };
                self.s.log.append(Event::RowsRead {
                    reading,
                    server,
                    exists: true,
                    rows: numbers.into_iter().map(row).collect(),
                    began_us,
                    writers: Some(vec![writer.clone()]),
                });
            }
            Err(why) => self.s.observe(&LEDGERS_UNREAD, &LedgerUnread { reading, why }),
        }
    }

    async fn run(&self, pod: &Server, script: &str, deadline: Deadline) -> Result<Output, ExecError> {
        let (client, namespace) = (&self.s.client, self.ledger.workload.namespace.as_str());
        let container = self.part.container.as_deref();
        exec_once(client, namespace, (&pod.pod, container), &["sh", "-c", script], deadline).await
    }

    /// The pod for the next command: the first ready one that is not being deleted, by name.
    async fn pod(&self) -> Option<Server> {
        // An API that does not answer says nothing of any pod.
        let mut ready: Vec<Pod> = pods_of(self.s, &self.ledger.workload).await.unwrap_or_default();
        ready.retain(pods::is_ready);
        ready.sort_by_key(ResourceExt::name_any);
        let pod = ready.first()?;
        let (uuid, pod_uid) = (String::new(), pod.uid().unwrap_or_default());
        Some(Server { uuid, pod: pod.name_any(), pod_uid, node: pods::node(pod).to_owned() })
    }

    async fn pause(&self, time: Duration, stop: &CancellationToken) {
        let deadline = self.s.deadline();
        tokio::select! {
            () = deadline.pause(time) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Returns the number of the first entry of a ledger in a run. Entries that another run left have other numbers.
fn first(run: &str, name: &str) -> u64 {
    let digest = digest(&SHA256, format!("{run}\n{name}").as_bytes());
    let number = digest.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number % BASES + 1) * APART + 1
}

/// Returns the outcome of an entry, and why it was not acknowledged. A command that failed may have written before.
fn outcome(done: &Result<Output, ExecError>) -> (Outcome, String) {
    match done {
        Ok(output) if output.code == 0 => (Outcome::Acknowledged, String::new()),
        Ok(output) => (Outcome::Indeterminate, ended(output.code, output)),
        Err(error) => (Outcome::Indeterminate, entries::short(&error.why)),
    }
}

fn ended(code: i32, output: &Output) -> String {
    let text = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    entries::short(&format!("the command ended with {code}: {}", crate::exec::tail(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Result<Output, ExecError> {
        Ok(Output { code, stdout: stdout.into(), stderr: stderr.into() })
    }

    /// A client may fail after its database has the entry.
    #[test]
    fn only_exit_code_0_is_an_acknowledgement_and_nothing_is_a_refusal() {
        assert_eq!(outcome(&output(0, "", "a warning")), (Outcome::Acknowledged, String::new()));
        for (done, words) in [
            (output(1, "", "ERROR 2002 (HY000)"), "the command ended with 1: ERROR 2002 (HY000)"),
            (output(137, "killed", ""), "the command ended with 137: killed"),
            (output(1, "", &"x".repeat(10_000)), "the command ended with 1: xxx"),
            (
                Err(ExecError { command: "sh".into(), pod: "db".into(), why: "no answer in 10 s".into() }),
                "no answer in 10 s",
            ),
        ] {
            let (outcome, reason) = outcome(&done);
            assert_eq!(outcome, Outcome::Indeterminate, "{reason}");
            assert!(reason.starts_with(words) && reason.chars().count() <= 201, "{reason}");
        }
    }

    #[test]
    fn entries_fit_into_31_bits_and_belong_to_one_ledger_of_one_run() {
        let all: std::collections::BTreeSet<u64> =
            (0..500).map(|run| first(&format!("20261202-{run}"), "orders")).collect();
        assert!(all.len() > 350, "{}", all.len());
        assert!(all.iter().all(|first| first + Ledger::MOST < 1 << 31 && *first > APART));
        assert_ne!(first("20261202-1", "orders"), first("20261202-1", "carts"));
    }
}
