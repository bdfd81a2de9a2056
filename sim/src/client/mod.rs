//! A small Kafka client for the simulator: one connection, requests in flight at once, outcomes told apart.
//!
//! Shared by all clients of a run: where the broker is, and which boot of it a connection belongs to.

mod connection;
mod outcome;
mod requests;

pub use connection::{CallError, Client, Pending};
pub use outcome::{Verdict, classify};
pub use requests::{DescribedTopic, FetchFrom, Fetched, ListedBounds};
