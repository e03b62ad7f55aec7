//! The judges of a trial: a told trial passes, and each falsehood in it is found.

mod lies;
pub mod story;
mod subject;
