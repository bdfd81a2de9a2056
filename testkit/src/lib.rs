//! What Ottla's own tests share: a real broker process, a wire client, record batches, waiting for conditions.

pub mod batches;
pub mod foreign;
pub mod http;
pub mod process;
pub mod wait;
pub mod wire_client;
