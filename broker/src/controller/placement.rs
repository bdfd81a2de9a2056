//! Which brokers hold the replicas of a new partition.
//!
//! Leaders go round all brokers, and the other replicas start a different way behind the leader each time the round
//! is complete, so that a failed broker's load spreads over all others.

use ottla_protocol::types::BrokerId;

/// The replicas of `partition_count` partitions, the preferred leader first. `start` decides where the round begins
/// and may be any number. `None` if there are fewer brokers than replicas wanted.
pub(super) fn place(
    brokers: &[BrokerId],
    partition_count: usize,
    replication_factor: usize,
    start: u64,
) -> Option<Vec<Vec<BrokerId>>> {
    let count = brokers.len();
    if replication_factor == 0 || count < replication_factor {
        return None;
    }
    let start = usize::try_from(start % u64::try_from(count).unwrap_or(1)).unwrap_or(0);
    let replicas_of = |partition: usize| {
        let leader = (start + partition) % count;
        let round = partition / count;
        let replica = move |place: usize| match place {
            0 => leader,
            // The others are the brokers behind the leader, rotated by the round.
            _ => (leader + 1 + (place - 1 + round) % (count - 1)) % count,
        };
        (0..replication_factor).filter_map(|place| brokers.get(replica(place)).copied()).collect()
    };
    Some((0..partition_count).map(replicas_of).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn brokers(count: i32) -> Vec<BrokerId> {
        (1..=count).map(BrokerId).collect()
    }

    #[test]
    fn one_broker_holds_everything() {
        assert_eq!(place(&brokers(1), 3, 1, 9), Some(vec![vec![BrokerId(1)]; 3]));
        assert_eq!(place(&brokers(1), 0, 1, 9), Some(vec![]));
    }

    #[test]
    fn more_replicas_than_brokers_cannot_be_placed() {
        assert_eq!(place(&brokers(2), 1, 3, 0), None);
        assert_eq!(place(&[], 1, 1, 0), None);
    }

    #[test]
    fn replicas_are_distinct_and_leaders_are_spread_evenly() {
        for count in 1..6 {
            for factor in 1..=count {
                let placed = place(&brokers(count), 60, factor as usize, 4).expect("enough brokers");
                let mut leaders: BTreeMap<BrokerId, i32> = BTreeMap::new();
                for replicas in &placed {
                    assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor as usize);
                    *leaders.entry(replicas[0]).or_default() += 1;
                }
                assert!(leaders.values().all(|led| *led == 60 / count), "{leaders:?}");
            }
        }
    }
}
