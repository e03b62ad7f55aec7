//! No engine and no cluster: the real clients against fakes on real sockets, and pure rules.

mod cli;
mod cluster_lock;
mod diagnostics;
mod engine;
mod event_log;
mod fake_api;
mod fake_engine;
mod fault;
mod fault_list;
mod ha;
mod image_build;
mod lies;
mod load_balancer;
mod manifests;
mod missing;
mod probe;
mod reap;
mod report;
mod rules;
mod stateful_rules;
mod stateful_set;
mod stateful_single;
mod stateless;
mod story;
mod upgrade;
mod waits;
