//! No engine and no cluster: fakes over real sockets.

mod engine;
mod fake_engine;
mod fault;
mod image_build;
