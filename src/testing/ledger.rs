//! A ledger of a test.

use crate::trial::file::{LedgerFlaw, LedgerPart, WorkloadRef};

/// A ledger of a database: a command in a pod writes numbered entries while the trial goes on, and another one prints them at
/// its end. An entry whose command ended with 0 must be there: the claim `ledger`.
///
/// ```
/// # use seatrial::testing::CommandLedger;
/// CommandLedger::of("deployment/db").write("echo $ENTRY >> /data/orders && sync").read("cat /data/orders");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a trial keeps it with `ledger`"]
pub struct CommandLedger {
    workload: String,
    container: Option<String>,
    write: String,
    read: String,
}

impl CommandLedger {
    /// A ledger in the first ready pod of a workload, such as `deployment/db`, or `NAMESPACE/deployment/db`.
    pub fn of(workload: impl Into<String>) -> Self {
        Self { workload: workload.into(), container: None, write: String::new(), read: String::new() }
    }

    /// The container, if the pod has several.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// The command for `sh` that writes the entry `$ENTRY`, a number of at most ten digits. It must end with 0 only if the entry
    /// is kept. It runs once for each entry, about every second, for at most 10 s.
    pub fn write(mut self, command: impl Into<String>) -> Self {
        self.write = command.into();
        self
    }

    /// The command for `sh` that prints the entries, one in each line, and nothing else. It may run several times.
    pub fn read(mut self, command: impl Into<String>) -> Self {
        self.read = command.into();
        self
    }

    pub(super) fn part(self) -> Result<LedgerPart, LedgerFlaw> {
        let Self { workload, container, write, read } = self;
        let flaw = |why: String| LedgerFlaw { word: workload.clone(), why };
        let workload = WorkloadRef::try_from(workload.clone()).map_err(|error| flaw(error.to_string()))?;
        Ok(LedgerPart { workload, container, write, read, every: None, timeout: None })
    }
}
