//! Groups.

pub(crate) mod classic;
pub(crate) mod consumer;
