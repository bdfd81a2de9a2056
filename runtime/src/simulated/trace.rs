//! A hash over everything that was decided, so that two runs can be compared.

use std::sync::atomic::{AtomicU64, Ordering};

/// The hash so far. One thread notes; the atomic only makes it `Sync`.
#[derive(Debug, Default)]
pub(super) struct Trace(AtomicU64);

/// What is noted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Noted {
    TaskStarted = 1,
    TaskPolled,
    TimeMoved,
    DiskSubmitted,
    DiskCompleted,
    DiskData,
    Network,
    Crashed,
    Started,
}

impl Trace {
    pub(super) fn note(&self, what: Noted, detail: u64) {
        let hash = mix(mix(self.0.load(Ordering::Relaxed), what as u64), detail);
        self.0.store(hash, Ordering::Relaxed);
    }

    /// Notes bytes by their content.
    pub(super) fn note_bytes(&self, what: Noted, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut hash = mix(bytes.len() as u64, what as u64);
        for word in words {
            hash = mix(hash, u64::from_le_bytes(*word));
        }
        for byte in rest {
            hash = mix(hash, u64::from(*byte));
        }
        self.note(what, hash);
    }

    pub(super) fn hash(&self) -> u64 {
        // The last words went through one multiplication only; this spreads them over all bits.
        let hash = self.0.load(Ordering::Relaxed);
        (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
