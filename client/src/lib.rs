//! A client for any broker that speaks Kafka's protocol. Nothing in it knows Ottla's own broker.
//!
//! | module     | has                                                                     |
//! |------------|-------------------------------------------------------------------------|
//! | `config`   | Kafka's names and defaults as fields                                    |
//! | `error`    | why a request has no answer                                             |
//! | `network`  | one connection: pipelining, correlation, time-outs, version negotiation |
//! | `producer` | which partition a keyed record belongs to                               |
//!
//! It reaches the world through the seams of `ottla_runtime` alone, so it runs in the simulator as it stands.

pub mod config;
pub mod error;
pub mod metadata;
pub mod network;
pub mod producer;

pub use config::ClientConfig;
pub use error::RequestError;
pub use network::{Connection, connect};
