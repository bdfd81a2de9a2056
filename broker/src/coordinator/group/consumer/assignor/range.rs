//! The range assignor: contiguous blocks of each topic, for its subscribers in the order of their ids.
//!
//! Instance ids go before member ids: a static member keeps its block over a restart, which brings it a new member id.
//! What members had before doesn't count, so that topics stay lined up.

use super::{Place, Problem};
use crate::coordinator::group::consumer::partitions::Partitions;

pub(super) fn assign(problem: &Problem<'_>) -> Vec<Partitions> {
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); problem.members.len()];
    let mut subscribers = problem.subscribers();
    let ranks = ranks(problem);
    for (topic, list) in subscribers.iter_mut().enumerate() {
        list.sort_by_key(|member| ranks.get(*member));
        let partition_count = problem.topics.get(topic).map_or(0, |topic| topic.partition_count);
        let mut next = 0;
        for (member, length) in list.iter().zip(blocks(partition_count, list.len())) {
            if let Some(of_member) = places.get_mut(*member) {
                of_member.extend((next..next + length).map(|partition| Place { topic, partition }));
            }
            next += length;
        }
    }
    places.iter().map(|places| problem.to_partitions(places)).collect()
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
