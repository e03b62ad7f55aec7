//! The steps of the standard trial, one file each.

pub mod clean;
pub mod drain;
pub mod fault;
pub mod node_loss;
pub mod pod_loss;
pub mod ready;
pub mod rollout;
pub mod run;
pub mod upgrade;
