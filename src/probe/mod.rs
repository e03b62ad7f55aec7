//! Probes: programs that write, ask and watch while a story runs. They append to the event log and never judge.

pub mod api;
#[cfg(not(feature = "internals"))]
pub(crate) mod control;
#[cfg(feature = "internals")]
pub mod control;
pub mod dns;
#[cfg(feature = "into-pods")]
pub mod forward;
#[cfg(feature = "suites")]
pub mod get;
pub mod http;
#[cfg(all(feature = "into-pods", not(feature = "internals")))]
pub(crate) mod inside;
#[cfg(all(feature = "into-pods", feature = "internals"))]
pub mod inside;
#[cfg(feature = "mysql")]
pub mod ledger;
#[cfg(not(feature = "internals"))]
pub(crate) mod lines;
#[cfg(feature = "internals")]
pub mod lines;
pub mod recorder;
mod source_port;
pub mod tcp;

pub use api::ApiProbe;
#[cfg(feature = "into-pods")]
pub use forward::{Forward, Route, Target};
#[cfg(feature = "suites")]
pub use get::Get;
#[cfg(feature = "into-pods")]
pub use inside::Inside;
#[cfg(feature = "mysql")]
pub use ledger::{Ledger, LedgerError, LedgerSpec, Pace, Reader, Reading, Tally, Traffic, Writer};
pub use lines::{Lines, RequestPace};
pub use recorder::Recorder;
