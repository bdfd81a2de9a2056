//! What Ottla's own tests share: a real broker process, a wire client, waiting for conditions.

pub mod process;
pub mod wait;
