//! The faults that a program knows, by name.

use super::{
    CutNode, DeletePod, Fault, FaultError, FillDisk, KillContainer, KillNode, OutOfService, PauseNode,
    SlowCpu, StopNode, StopUnit,
};

/// The built-in faults. On one node they are cleared in this order: first those that prevent commands from running in
/// the node.
pub static FAULTS: &[&dyn Fault] = &[
    &StopNode::DEFAULT,
    &KillNode,
    &PauseNode,
    &SlowCpu::DEFAULT,
    &StopUnit::RUNTIME,
    &StopUnit::KUBELET,
    &CutNode::OFF,
    &CutNode::IN,
    &CutNode::OUT,
    &FillDisk::DEFAULT,
    &OutOfService::DEFAULT,
    &KillContainer,
    &DeletePod::GRACEFULLY,
    &DeletePod::NOW,
];

/// The faults that a program can inject and heal: the built-in ones, then its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Faults(Vec<&'static dyn Fault>);

impl Faults {
    /// The built-in faults, [`FAULTS`].
    pub fn built_in() -> Self {
        Self(FAULTS.to_vec())
    }

    /// Appends a fault: on one node it is cleared after the others.
    pub fn add(&mut self, fault: &'static dyn Fault) {
        self.0.push(fault);
    }

    /// All faults, in the order in which they are cleared.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Fault> + '_ {
        self.0.iter().copied()
    }

    /// The fault of this name, with its defaults.
    ///
    /// # Errors
    /// [`FaultError::Unknown`], with the known names.
    pub fn named(&self, name: &str) -> Result<&'static dyn Fault, FaultError> {
        let known = || self.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ");
        let found = self.iter().find(|f| f.name() == name);
        found.ok_or_else(|| FaultError::Unknown { name: name.into(), known: known() })
    }

    /// The same faults, with these of the caller's own after the others.
    ///
    /// # Errors
    /// [`FaultError::NameTaken`] if two have one name: an open fault is healed by its name.
    pub fn and(mut self, own: &[&'static dyn Fault]) -> Result<Self, FaultError> {
        for fault in own {
            if self.iter().any(|known| known.name() == fault.name()) {
                return Err(FaultError::NameTaken { name: fault.name() });
            }
            self.add(*fault);
        }
        Ok(self)
    }

    /// The position of the fault of this name in the order; None for an unknown fault.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.iter().position(|f| f.name() == name)
    }
}
