//! A client for any broker that speaks Kafka's protocol. Nothing in it knows Ottla's own broker.
//!
//! | module     | has                                                                            |
//! |------------|--------------------------------------------------------------------------------|
//! | `client`   | a client of one cluster: what all its parts share                              |
//! | `config`   | Kafka's names and defaults as fields                                           |
//! | `error`    | why a request has no answer, and why a broker says no                          |
//! | `network`  | connections: pipelining, time-outs, version negotiation, one for each broker   |
//! | `metadata` | what is known of the cluster, what is stale, and who waits to hear more        |
//! | `admin`    | topics, configs, offsets, brokers                                              |
//! | `producer` | batches of records, sent to the leaders of their partitions                    |
//! | `consumer` | records of the partitions that it is assigned, by batch or one by one          |
//!
//! ```no_run
//! use ottla_client::admin::NewTopic;
//! use ottla_client::{Client, ClientConfig, Error};
//! use ottla_runtime::Runtime;
//!
//! async fn create_orders(runtime: Runtime) -> Result<(), Error> {
//!     let bootstrap_servers = vec!["localhost:9092".to_owned()];
//!     let client = Client::connect(runtime, ClientConfig { bootstrap_servers, ..ClientConfig::default() }).await?;
//!     let topic = NewTopic { partition_count: Some(6), ..NewTopic::named("orders") };
//!     for (name, outcome) in client.admin().create_topics(&[topic]).await {
//!         assert_eq!(name, "orders");
//!         outcome?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! It reaches the world through the seams of `ottla_runtime` alone, so it runs in the simulator as it stands.

pub mod admin;
mod client;
pub mod config;
pub mod consumer;
pub mod error;
pub mod metadata;
pub mod network;
pub mod producer;
#[cfg(test)]
mod world;

pub use client::Client;
pub use config::ClientConfig;
pub use consumer::{Consumer, ConsumerConfig, ConsumerError, SeekTo, TopicPartition};
pub use error::{BrokerError, Error, RequestError};
pub use network::{Connection, connect};
pub use producer::{Producer, ProducerConfig};
