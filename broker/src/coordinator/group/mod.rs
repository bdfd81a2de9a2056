//! Groups.

pub(crate) mod classic;
