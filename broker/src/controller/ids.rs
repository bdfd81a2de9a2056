//! The names of clusters, data directories and places in the metadata log.

use std::fmt;
use std::str::FromStr;

use ottla_protocol::types::{InvalidTopicId, TopicId};
use ottla_runtime::Rng;

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Kafka shows every kind of id in one way.
                fmt::Display::fmt(&TopicId(self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidTopicId;

            fn from_str(text: &str) -> Result<$name, InvalidTopicId> {
                text.parse::<TopicId>().map(|id| $name(id.0))
            }
        }
    };
}

uuid! {
    /// A cluster's id, drawn when its first node starts for the first time. Shown as 22 characters of URL-safe base64.
    ClusterId
}

uuid! {
    /// A data directory's id, so that a directory moved to another node is noticed. All zero where a replica has not
    /// been assigned to a directory.
    DirectoryId
}

impl DirectoryId {
    /// No directory has been assigned.
    pub const UNASSIGNED: DirectoryId = DirectoryId([0; 16]);

    /// A fresh one.
    pub(crate) fn random(rng: &mut Rng) -> DirectoryId {
        DirectoryId(random_id(rng))
    }
}

/// A fresh random id (UUID version 4). As in Kafka it never begins with `-` when shown, so that it can stand as a
/// command's argument, and never is one of the reserved ids, which are all zero but for the last byte.
pub(super) fn random_id(rng: &mut Rng) -> [u8; 16] {
    loop {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if !TopicId(bytes).to_string().starts_with('-') {
            return bytes;
        }
    }
}

/// A place in the metadata log: which leader's reign, and which transaction. Places are ordered and need not be
/// dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MetadataOffset {
    /// How often the log's leader has changed.
    pub epoch: u64,
    /// The transaction's number, from 1; 0 is before all of them.
    pub index: u64,
}

impl fmt::Display for MetadataOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        let mut rng = Rng::seeded(7);
        for _ in 0..200 {
            let id = ClusterId(random_id(&mut rng));
            assert_eq!(id.to_string().len(), 22);
            assert!(!id.to_string().starts_with('-'));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
