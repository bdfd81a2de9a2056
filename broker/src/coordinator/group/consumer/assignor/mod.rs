//! Assignors: who is to have which partitions. Pure functions of members, their subscriptions, the topics and the
//! previous target.
//!
//! Every assignor gives each partition of a topic that anybody subscribes to, to exactly one of the topic's
//! subscribers, and the same problem always gets the same answer. Beyond that:
//!
//! * `uniform` evens out how many partitions members have: where all subscribe alike no two members differ by more than
//!   one; elsewhere no partition could move to a member that has two fewer. It keeps what it can of the previous
//!   target, and gives a partition to a member in the rack of one of its replicas where that costs neither.
//! * `range` gives each topic's subscribers contiguous blocks, in the order of their ids, so that topics with equally
//!   many partitions and the same subscribers line up. Where members say their racks the blocks are as large, and near.

mod heterogeneous;
mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::rc::Rc;

use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::partitions::Partitions;

/// An assignor that this broker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub(crate) fn from_name(name: &str) -> Option<Assignor> {
        match name {
            "uniform" => Some(Assignor::Uniform),
            "range" => Some(Assignor::Range),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The new target of each member, in the members' order.
    pub(crate) fn assign(self, problem: &Problem<'_>) -> Vec<Partitions> {
        if problem.members.is_empty() {
            return Vec::new();
        }
        match self {
            Assignor::Uniform if problem.is_homogeneous() => uniform::assign(problem),
            Assignor::Uniform => heterogeneous::assign(problem),
            Assignor::Range => range::assign(problem),
        }
    }
}

/// What is to be assigned to whom.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) topics: Vec<TopicToAssign>,
    /// In the order of member ids.
    pub(crate) members: Vec<MemberToAssign<'a>>,
}

/// A topic that exists and that somebody subscribes to.
#[derive(Debug, Clone)]
pub(crate) struct TopicToAssign {
    pub(crate) id: TopicId,
    pub(crate) partition_count: i32,
    /// The racks of each partition's replicas, sorted; empty if no broker says its rack.
    pub(crate) racks: Vec<Vec<Str>>,
}

/// A member, as assignors see it.
#[derive(Debug, Clone)]
pub(crate) struct MemberToAssign<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) rack_id: Option<&'a str>,
    /// Places in [`Problem::topics`], ascending. Members that subscribe alike share one list.
    pub(crate) topics: Rc<[usize]>,
    /// Its previous target.
    pub(crate) current: &'a Partitions,
}

impl Problem<'_> {
    /// Whether all members subscribe to the same topics.
    fn is_homogeneous(&self) -> bool {
        let Some(first) = self.members.first() else { return true };
        self.members
            .iter()
            .all(|member| Rc::ptr_eq(&member.topics, &first.topics) || member.topics == first.topics)
    }

    /// The places of each topic's subscribers among the members, ascending.
    fn subscribers(&self) -> Vec<Vec<usize>> {
        let mut subscribers = vec![Vec::new(); self.topics.len()];
        for (member, row) in self.members.iter().enumerate() {
            for topic in row.topics.iter() {
                if let Some(list) = subscribers.get_mut(*topic) {
                    list.push(member);
                }
            }
        }
        subscribers
    }

    /// What each member keeps of its previous target if nothing speaks against it: what exists, what it subscribes to
    /// and what no member before it keeps. Beside it, for each topic, which partitions nobody keeps.
    fn keep_previous(&self) -> (Vec<Vec<Place>>, Vec<Vec<bool>>) {
        let by_id: std::collections::BTreeMap<TopicId, usize> =
            self.topics.iter().enumerate().map(|(place, topic)| (topic.id, place)).collect();
        let mut is_free: Vec<Vec<bool>> = self
            .topics
            .iter()
            .map(|topic| vec![true; usize::try_from(topic.partition_count).unwrap_or(0)])
            .collect();
        let mut kept = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let mut keeps = Vec::new();
            for (id, partitions) in member.current.topics() {
                let Some(topic) = by_id.get(&id).copied() else { continue };
                if member.topics.binary_search(&topic).is_err() {
                    continue;
                }
                for partition in partitions {
                    let free = usize::try_from(*partition)
                        .ok()
                        .and_then(|index| is_free.get_mut(topic).and_then(|of| of.get_mut(index)));
                    if let Some(free) = free.filter(|free| **free) {
                        *free = false;
                        keeps.push(Place { topic, partition: *partition });
                    }
                }
            }
            kept.push(keeps);
        }
        (kept, is_free)
    }

    /// Whether a replica of the partition is in the member's rack. Members and partitions without racks match nothing.
    fn is_near(&self, member: usize, place: Place) -> bool {
        let rack = self.members.get(member).and_then(|member| member.rack_id);
        rack.is_some_and(|rack| self.racks_of(place).iter().any(|near| near.as_bytes() == rack.as_bytes()))
    }

    fn racks_of(&self, place: Place) -> &[Str] {
        let racks = self.topics.get(place.topic).map_or(&[] as &[Vec<Str>], |topic| &topic.racks);
        usize::try_from(place.partition).ok().and_then(|index| racks.get(index)).map_or(&[], Vec::as_slice)
    }

    fn to_partitions(&self, places: &[Place]) -> Partitions {
        let mut lists: std::collections::BTreeMap<usize, Vec<i32>> = std::collections::BTreeMap::new();
        for place in places {
            lists.entry(place.topic).or_default().push(place.partition);
        }
        Partitions::from_lists(
            lists
                .into_iter()
                .filter_map(|(topic, partitions)| self.topics.get(topic).map(|topic| (topic.id, partitions))),
        )
    }
}

/// A partition, by its topic's place in the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    topic: usize,
    partition: i32,
}

/// The partitions that are free, topic by topic.
fn free_places(is_free: &[Vec<bool>]) -> impl Iterator<Item = Place> {
    is_free.iter().enumerate().flat_map(|(topic, of)| {
        (0i32..).zip(of).filter(|(_, free)| **free).map(move |(partition, _)| Place { topic, partition })
    })
}
