//! What a key is known by while a log is compacted: 96 bits of its SipHash-2-4 with 128 bits.
//!
//! Two keys with one hash would be taken for one, and the record of one of them would be lost. With five million keys
//! the chance of that is about 10⁻¹⁶. The hash is keyed anew for each compaction, so nobody can write keys that meet.

/// What a key is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash {
    /// Where in a table it belongs, in proportion.
    pub(super) place: u64,
    /// The rest.
    pub(super) rest: u32,
}

/// Hashes keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyHasher {
    seed: [u64; 2],
}

impl KeyHasher {
    /// A hasher that nobody else has, given a random seed.
    pub(super) fn new(seed: [u64; 2]) -> KeyHasher {
        KeyHasher { seed }
    }

    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        let [low, high] = sip128(self.seed, key);
        KeyHash { place: low, rest: high as u32 }
    }
}

/// SipHash-2-4 with a result of 128 bits, as its authors define it: the halves in their order.
fn sip128([k0, k1]: [u64; 2], bytes: &[u8]) -> [u64; 2] {
    let mut state = Sip([
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.take(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    state.take(u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
    state.0[2] ^= 0xee;
    let low = state.finish();
    state.0[1] ^= 0xdd;
    [low, state.finish()]
}

struct Sip([u64; 4]);

impl Sip {
    #[inline]
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn finish(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.0.into_iter().fold(0, |all, one| all ^ one)
    }

    #[inline]
    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.0;
        *v0 = v0.wrapping_add(*v1);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v3);
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.wrapping_add(*v3);
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.wrapping_add(*v1);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v2 = v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_its_authors_publish() {
        let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let hash = |len: u8| sip128(seed, &(0..len).collect::<Vec<u8>>()).map(u64::to_le_bytes).concat();
        let empty =
            [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93];
        assert_eq!(hash(0), empty);
        let one =
            [0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45];
        assert_eq!(hash(1), one);
    }

    #[test]
    fn keys_that_differ_a_little_have_other_hashes() {
        let hasher = KeyHasher::new([1, 2]);
        let keys = [&b""[..], b"\0", b"\0\0", b"a", b"aaaaaaaa", b"aaaaaaaa\0", b"aaaaaaaaa"];
        for (place, one) in keys.iter().enumerate() {
            for other in &keys[place + 1..] {
                assert_ne!(hasher.hash(one), hasher.hash(other), "{one:?} {other:?}");
            }
        }
        assert_ne!(hasher.hash(b"a"), KeyHasher::new([1, 3]).hash(b"a"));
    }
}
