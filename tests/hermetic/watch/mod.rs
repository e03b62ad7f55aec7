//! `seatrial watch`: the command line against a fake API server, and the judges of a made-up watch.

mod commands;
mod lies;
pub mod story;
