//! Apache Kafka's wire protocol: bytes to typed messages and back. No I/O, no clock, no runtime.

pub mod api;
pub mod error_code;
pub mod frame;
pub mod record;
pub mod types;
pub mod wire;
