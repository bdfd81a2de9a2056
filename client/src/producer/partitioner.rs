//! Which partition a record with a key belongs to: the same as every Java client says, so that a key's records stay
//! in one partition whoever writes them.

use ottla_protocol::types::PartitionIndex;

/// The partition of `key` in a topic of `partition_count` partitions; `None` for a topic that has none.
pub fn partition_of_key(key: &[u8], partition_count: i32) -> Option<PartitionIndex> {
    // Java clears the sign bit rather than taking the absolute value, which differs for negative hashes.
    let positive = murmur2(key) & 0x7fff_ffff;
    let count = u32::try_from(partition_count).ok().filter(|count| *count > 0)?;
    i32::try_from(positive % count).ok().map(PartitionIndex)
}

/// MurmurHash2 with Kafka's seed.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's lengths are 32 bits wide, and so is what the hash begins with.
    let mut hash = SEED ^ (key.len() as u32);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_java() {
        let check = |key: &str, expected: i32| assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected);
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check("abc", 479_470_107);
    }

    #[test]
    fn a_negative_hash_loses_its_sign_bit() {
        assert_eq!(partition_of_key(b"21", 10), Some(PartitionIndex(((-973_932_308) & i32::MAX) % 10)));
    }

    #[test]
    fn a_topic_without_partitions_has_none_to_give() {
        assert_eq!(partition_of_key(b"key", 0), None);
        assert_eq!(partition_of_key(b"key", -1), None);
        assert_eq!(partition_of_key(b"key", 1), Some(PartitionIndex(0)));
    }
}
