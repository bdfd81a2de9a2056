//! Ottla's broker, as a library that a program can embed.
//!
//! [`Broker::start`] takes a configuration and the five seams (`ottla_runtime`), and sets nothing process-wide: no
//! logger, no signal handler, no allocator, no limit. Several brokers live in one process, or in one simulation.

mod api;
mod broker;
pub mod config;
pub mod controller;
mod descriptors;
mod health;
pub mod log;
pub mod metrics;
mod network;
pub mod planted;
mod replication;
mod status;
#[cfg(test)]
mod tests;

pub use broker::{Broker, BrokerEnd, StartError};
pub use replication::LoadError;
pub use status::BrokerStatus;
