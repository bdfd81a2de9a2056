//! A small Kafka client for the simulator: one connection, requests in flight at once, outcomes told apart.
//!
//! Shared by all clients of a run: where the broker is, and which boot of it a connection belongs to.

mod connection;
mod groups;
mod log_reads;
mod outcome;
mod requests;
mod transactions;

pub use connection::{CallError, Client, Pending};
pub use groups::{Committed, JoinTerms, Membership, ToCommit, TopicNames, assigned, assignment, is_refusal};
pub use log_reads::{FetchedLog, VALUE_ID_HEADER, value_id_bytes};
pub use outcome::{Verdict, classify};
pub use requests::{DescribedTopic, FetchFrom, Fetched, ListedBounds};
pub use transactions::InTransaction;
