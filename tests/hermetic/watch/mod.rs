//! `seatrial watch`: the command line against a fake API server, and the judges of a told watch.

mod commands;
mod lies;
pub mod story;
