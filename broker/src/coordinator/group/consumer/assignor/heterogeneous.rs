//! The uniform assignor where members subscribe to different topics.
//!
//! Members keep what they had; what is left goes to the subscriber with the fewest partitions, topics with the fewest
//! subscribers first. Then partitions move, topic by topic, from the subscriber that has most to the one that has least,
//! as long as they differ by two or more. Each move lowers the sum of the squares of all numbers, so this ends; at its
//! end no single move could even the numbers out further.

use std::collections::BTreeSet;

use super::{Place, Problem, free_places};
use crate::coordinator::group::consumer::partitions::Partitions;

pub(super) fn assign(problem: &Problem<'_>) -> Vec<Partitions> {
    let subscribers = problem.subscribers();
    let (kept, is_free) = problem.keep_previous();
    let mut loads = Loads::new(problem, &kept);
    let mut unplaced: Vec<Place> = free_places(&is_free)
        .filter(|place| subscribers.get(place.topic).is_some_and(|of| !of.is_empty()))
        .collect();
    unplaced.sort_by_key(|place| (subscribers.get(place.topic).map_or(0, Vec::len), *place));
    for of_topic in unplaced.chunk_by(|one, other| one.topic == other.topic) {
        loads.place(problem, &subscribers, of_topic);
    }
    while (0..problem.topics.len())
        .fold(false, |moved, topic| loads.balance(problem, &subscribers, topic) | moved)
    {}
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); problem.members.len()];
    for (topic, holders) in loads.holders.iter().enumerate() {
        for (member, partitions) in holders {
            places[*member].extend(partitions.iter().map(|partition| Place { topic, partition: *partition }));
        }
    }
    places.iter().map(|places| problem.to_partitions(places)).collect()
}

/// How many partitions each member has, and who has which of each topic.
struct Loads {
    counts: Vec<usize>,
    /// For each topic: its holders with their partitions, those that they had before first.
    holders: Vec<std::collections::BTreeMap<usize, Vec<i32>>>,
}

impl Loads {
    fn new(problem: &Problem<'_>, kept: &[Vec<Place>]) -> Loads {
        let mut holders = vec![std::collections::BTreeMap::<usize, Vec<i32>>::new(); problem.topics.len()];
        for (member, keeps) in kept.iter().enumerate() {
            for place in keeps {
                holders[place.topic].entry(member).or_default().push(place.partition);
            }
        }
        Loads { counts: kept.iter().map(Vec::len).collect(), holders }
    }

    /// Gives each of these partitions, all of one topic, to the subscriber with the fewest; among those, to one that is
    /// near a replica.
    fn place(&mut self, problem: &Problem<'_>, subscribers: &[Vec<usize>], places: &[Place]) {
        let Some(topic) = places.first().map(|place| place.topic) else { return };
        let mut by_count: BTreeSet<(usize, usize)> =
            subscribers[topic].iter().map(|member| (self.counts[*member], *member)).collect();
        for place in places {
            let Some((least, first)) = by_count.first().copied() else { return };
            let near = by_count
                .range((least, 0)..(least + 1, 0))
                .take(NEAR_TRIES_MAX)
                .find(|(_, member)| problem.is_near(*member, *place));
            let member = near.map_or(first, |(_, member)| *member);
            by_count.remove(&(least, member));
            by_count.insert((least + 1, member));
            self.counts[member] = least + 1;
            self.holders[topic].entry(member).or_default().push(place.partition);
        }
    }

    /// Moves the topic's partitions until no holder has two more than a subscriber. Whether any moved.
    fn balance(&mut self, problem: &Problem<'_>, subscribers: &[Vec<usize>], topic: usize) -> bool {
        let count_of = |member: &usize| self.counts[*member];
        let least = subscribers[topic].iter().map(count_of).min();
        let most = self.holders[topic].keys().map(count_of).max();
        if least.zip(most).is_none_or(|(least, most)| most < least + 2) {
            return false;
        }
        let keyed = |member: &usize| (self.counts[*member], *member);
        let mut receivers: BTreeSet<(usize, usize)> = subscribers[topic].iter().map(keyed).collect();
        let mut givers: BTreeSet<(usize, usize)> = self.holders[topic].keys().map(keyed).collect();
        while let (Some((most, from)), Some((least, to))) =
            (givers.last().copied(), receivers.first().copied())
            && least + 2 <= most
        {
            let partition = self.take(problem, topic, from);
            self.holders[topic].entry(to).or_default().push(partition);
            givers.remove(&(most, from));
            givers.remove(&(least, to));
            if self.holders[topic].contains_key(&from) {
                givers.insert((most - 1, from));
            }
            givers.insert((least + 1, to));
            receivers.remove(&(most, from));
            receivers.remove(&(least, to));
            receivers.insert((most - 1, from));
            receivers.insert((least + 1, to));
            self.counts[from] = most - 1;
            self.counts[to] = least + 1;
        }
        true
    }

    /// Takes a partition from its holder: the one that came last, so that what a member had before stays longest.
    fn take(&mut self, problem: &Problem<'_>, topic: usize, from: usize) -> i32 {
        let partitions = self.holders[topic].get_mut(&from).expect("givers are holders");
        let far = partitions.iter().rposition(|partition| {
            let place = Place { topic, partition: *partition };
            problem.members[from].rack_id.is_some() && !problem.is_near(from, place)
        });
        let partition = partitions.remove(far.unwrap_or(partitions.len() - 1));
        if partitions.is_empty() {
            self.holders[topic].remove(&from);
        }
        partition
    }
}

/// How many equally loaded members are asked for their rack before any of them will do.
const NEAR_TRIES_MAX: usize = 16;
