//! Probes: what writes, asks and watches while a story runs. They append to the event log and
//! never judge.

pub mod recorder;

pub use recorder::Recorder;
