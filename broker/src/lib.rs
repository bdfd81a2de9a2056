//! Ottla's broker, as a library that a program can embed.
//!
//! [`Broker::builder`] takes a directory and Kafka's keys, and [`BrokerBuilder::start`] the five seams
//! (`ottla_runtime`): a machine's, or a simulation's. It sets nothing process-wide: no logger, no signal handler, no
//! allocator, no limit. Several brokers live in one process, or in one simulation.

mod api;
mod broker;
mod builder;
pub mod config;
pub mod controller;
mod coordinator;
mod descriptors;
mod health;
pub mod log;
pub mod metrics;
mod network;
pub mod planted;
mod replication;
mod status;
pub mod take_over;
#[cfg(test)]
mod tests;

pub use broker::{Broker, BrokerEnd, StartError};
pub use builder::BrokerBuilder;
pub use replication::LoadError;
pub use status::BrokerStatus;
