//! Which partition a record goes to. One with a key: the same that every Java client says, so that a key's records stay
//! in one partition whoever writes them. One without: the same as the one before it, until that partition has had a
//! batch's worth (KIP-480, KIP-794), so that batches are full.

use ottla_protocol::types::PartitionIndex;
use ottla_runtime::Rng;

/// The partition to which records without a key stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sticky {
    index: Option<usize>,
    /// How many bytes it has had.
    bytes: usize,
}

impl Sticky {
    /// The partition, if it is still there to be stuck to.
    pub(crate) fn current(&self, batch_size: usize) -> Option<usize> {
        self.index.filter(|_| self.bytes < batch_size)
    }

    /// Chooses another one. `loads` has for each partition how many batches wait there, and nothing for one that has
    /// no leader; those without are chosen only if none has one. A partition is the likelier, the fewer wait there.
    pub(crate) fn choose(&mut self, loads: &[Option<usize>], rng: &mut Rng) -> Option<usize> {
        let is_led = loads.iter().any(Option::is_some);
        let most = loads.iter().flatten().copied().max().unwrap_or(0);
        let weight = |load: &Option<usize>| match load {
            Some(load) => (most + 1 - load) as u64,
            None => u64::from(!is_led),
        };
        let total: u64 = loads.iter().map(weight).sum();
        let mut drawn = rng.below(total.max(1));
        let chosen = loads.iter().position(|load| {
            let weight = weight(load);
            let is_here = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            is_here
        });
        *self = Sticky { index: chosen, bytes: 0 };
        chosen
    }

    /// The partition was given so many bytes.
    pub(crate) fn on_appended(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

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
    fn a_partition_is_kept_until_it_has_had_a_batchs_worth() {
        let (mut sticky, mut rng) = (Sticky::default(), Rng::seeded(1));
        assert_eq!(sticky.current(100), None);
        let chosen = sticky.choose(&[Some(0), Some(0), Some(0)], &mut rng);
        sticky.on_appended(99);
        assert_eq!(sticky.current(100), chosen);
        sticky.on_appended(1);
        assert_eq!(sticky.current(100), None);
    }

    #[test]
    fn partitions_are_chosen_by_how_much_waits_there() {
        let check = |loads: &[Option<usize>], expected: &[f64]| {
            let (mut sticky, mut rng) = (Sticky::default(), Rng::seeded(7));
            let mut counts = vec![0_u32; loads.len()];
            for _ in 0..10_000 {
                counts[sticky.choose(loads, &mut rng).expect("one")] += 1;
            }
            for (count, share) in counts.iter().zip(expected) {
                assert!((f64::from(*count) / 10_000.0 - share).abs() < 0.02, "{loads:?}: {counts:?}");
            }
        };
        check(&[Some(0), Some(0)], &[0.5, 0.5]);
        check(&[Some(0), Some(2)], &[0.75, 0.25]);
        check(&[Some(5), None, Some(5)], &[0.5, 0.0, 0.5]);
        // Without any leader all are equally good.
        check(&[None, None], &[0.5, 0.5]);
        assert_eq!(Sticky::default().choose(&[], &mut Rng::seeded(1)), None);
    }

    #[test]
    fn a_topic_without_partitions_has_none_to_give() {
        assert_eq!(partition_of_key(b"key", 0), None);
        assert_eq!(partition_of_key(b"key", -1), None);
        assert_eq!(partition_of_key(b"key", 1), Some(PartitionIndex(0)));
    }
}
