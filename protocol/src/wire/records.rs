//! The record set of a Fetch response.

use bytes::Bytes;

/// What a Fetch response holds for one partition. Its bytes are record batches as they lie in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// The wire's null.
    Null,
    /// Bytes in memory; none at all is the usual "nothing new". Large ones become a piece of the frame as they
    /// are, without a copy.
    Bytes(Bytes),
    /// `len` bytes that whoever sends the frame puts in here, from a file range that it knows by `id`. Decoding
    /// never gives this.
    External {
        /// The sender's name for the bytes.
        id: u32,
        /// How many bytes there will be.
        len: u32,
    },
}

impl Records {
    /// No records.
    pub const EMPTY: Records = Records::Bytes(Bytes::new());

    /// How many bytes this puts on the wire behind its length.
    pub fn len(&self) -> usize {
        match self {
            Records::Null => 0,
            Records::Bytes(bytes) => bytes.len(),
            Records::External { len, .. } => *len as usize,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Records {
        Records::EMPTY
    }
}
