//! What Ottla's own tests share: a real broker process, Apache Kafka beside it, a wire client, members of
//! groups, record batches, waiting
//! for conditions.

pub mod batches;
pub mod foreign;
pub mod http;
pub mod kafka;
pub mod members;
pub mod process;
pub mod wait;
pub mod wire_client;
