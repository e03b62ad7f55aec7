//! Probes against fakes on real sockets.

mod fake_pods;
mod forward;
mod recorder;
