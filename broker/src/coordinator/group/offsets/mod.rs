//! The offsets that a group has committed.

/// The offsets of one group.
#[derive(Debug, Default)]
pub(crate) struct GroupOffsets {}

impl GroupOffsets {
    /// Whether there are none, nor any that wait for the end of a transaction.
    pub(crate) fn is_vacant(&self) -> bool {
        true
    }
}
