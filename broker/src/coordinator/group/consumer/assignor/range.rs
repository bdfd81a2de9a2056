//! The range assignor: contiguous blocks of each topic, for its subscribers in the order of their ids.
//!
//! Instance ids go before member ids: a static member keeps its block over a restart, which brings it a new member id.
//! What members had before doesn't count, so that topics stay lined up. Where members say their racks they first get
//! partitions that have a replica there, as many as their block has, and the blocks have gaps; topics that line up still
//! do, and only what is near in all of them counts as near (KIP-881).

use std::collections::{BTreeMap, VecDeque};

use super::{Place, Problem};
use crate::coordinator::group::consumer::partitions::Partitions;

pub(super) fn assign(problem: &Problem<'_>) -> Vec<Partitions> {
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); problem.members.len()];
    let ranks = ranks(problem);
    let mut lined_up: BTreeMap<(i32, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for (topic, mut list) in problem.subscribers().into_iter().enumerate() {
        list.sort_by_key(|member| ranks.get(*member));
        let partition_count = problem.topics.get(topic).map_or(0, |topic| topic.partition_count);
        lined_up.entry((partition_count, list)).or_default().push(topic);
    }
    for ((partition_count, list), topics) in &lined_up {
        for (member, partitions) in list.iter().zip(shares(problem, topics, *partition_count, list)) {
            let Some(of_member) = places.get_mut(*member) else { continue };
            for topic in topics {
                of_member.extend(
                    partitions.iter().map(|partition| Place { topic: *topic, partition: *partition }),
                );
            }
        }
    }
    places.iter().map(|places| problem.to_partitions(places)).collect()
}

/// The partitions of each of these members, in topics that line up.
fn shares(problem: &Problem<'_>, topics: &[usize], partition_count: i32, list: &[usize]) -> Vec<Vec<i32>> {
    let mut shares = Shares {
        room: blocks(partition_count, list.len())
            .map(|length| usize::try_from(length).unwrap_or(0))
            .collect(),
        partitions: vec![Vec::new(); list.len()],
    };
    let mut left: Vec<i32> = (0..partition_count).collect();
    let mut racks: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
    // Where there are more members than partitions, the last ones get nothing.
    let have_room = shares.room.iter().take_while(|room| 0 < **room).count();
    for (place, member) in list.iter().enumerate().take(have_room) {
        if let Some(rack) = problem.members.get(*member).and_then(|member| member.rack_id) {
            racks.entry(rack).or_default().push_back(place);
        }
    }
    if !racks.is_empty() {
        left = shares.give_near(problem, topics, left, racks);
    }
    let mut next = 0;
    for partition in left {
        while shares.room.get(next) == Some(&0) {
            next += 1;
        }
        shares.give(next, partition);
    }
    shares.partitions
}

/// What members have and how much more they get, by their places among those that share.
struct Shares {
    room: Vec<usize>,
    partitions: Vec<Vec<i32>>,
}

impl Shares {
    fn give(&mut self, place: usize, partition: i32) {
        if let (Some(room), Some(of_member)) = (self.room.get_mut(place), self.partitions.get_mut(place)) {
            *room -= 1;
            of_member.push(partition);
        }
    }

    /// Gives each partition to the first member with room that is near it, those with the fewest racks first; and gives back
    /// those that nobody is near.
    fn give_near(
        &mut self,
        problem: &Problem<'_>,
        topics: &[usize],
        partitions: Vec<i32>,
        mut racks: BTreeMap<&str, VecDeque<usize>>,
    ) -> Vec<i32> {
        let near_racks = |partition: i32| -> Vec<&str> {
            let is_near = |rack: &&str| {
                topics.iter().all(|topic| {
                    let near = problem.racks_of(Place { topic: *topic, partition });
                    near.iter().any(|near| near.as_str() == *rack)
                })
            };
            racks.keys().copied().filter(is_near).collect()
        };
        let mut wanted: Vec<(Vec<&str>, i32)> =
            partitions.iter().map(|partition| (near_racks(*partition), *partition)).collect();
        wanted.sort_by_key(|(near, partition)| (near.len(), *partition));
        let mut left = Vec::new();
        for (near, partition) in wanted {
            let first = near.iter().filter_map(|rack| racks.get(rack)?.front().copied()).min();
            let Some(place) = first else {
                left.push(partition);
                continue;
            };
            self.give(place, partition);
            if self.room.get(place) == Some(&0) {
                for of_rack in racks.values_mut().filter(|of_rack| of_rack.front() == Some(&place)) {
                    of_rack.pop_front();
                }
            }
        }
        left.sort_unstable();
        left
    }
}

/// The place of each member in the order by which blocks are given.
fn ranks(problem: &Problem<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..problem.members.len()).collect();
    order.sort_by_key(|place| {
        problem.members.get(*place).map(|member| match member.instance_id {
            Some(instance) => (0, instance, member.member_id),
            None => (1, member.member_id, ""),
        })
    });
    let mut ranks = vec![0; order.len()];
    for (rank, place) in order.into_iter().enumerate() {
        if let Some(slot) = ranks.get_mut(place) {
            *slot = rank;
        }
    }
    ranks
}

/// How many partitions each of `members` members gets: the first ones one more where it doesn't come out even.
fn blocks(partition_count: i32, members: usize) -> impl Iterator<Item = i32> {
    let members = i32::try_from(members).unwrap_or(i32::MAX).max(1);
    let (even, more) = (partition_count / members, partition_count % members);
    (0..members).map(move |rank| even + i32::from(rank < more))
}
