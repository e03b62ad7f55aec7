//! Trials as tests: `cargo test` runs them, and no set-up is needed.
//!
//! ```no_run
//! use seatrial::prelude::*;
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn shop_survives() -> Outcome {
//!     trial("shop").manifests("deploy/").image("shop:dev").standard().await
//! }
//! ```
//!
//! The first test of a process resolves the settings from the environment, connects to the container engine and begins a run;
//! all others join it. Progress goes to standard error. The reports are written after each test. Ctrl-C and SIGTERM let the
//! stories heal and end.

mod ledger;
mod session;
mod trial;

pub use ledger::CommandLedger;
pub use session::{Outcome, Session, Stopped};
pub use trial::{TrialTest, trial};
