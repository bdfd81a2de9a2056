//! The uniform assignor where all members subscribe alike: everybody has `total / members` partitions or one more.
//!
//! Members first keep what they had, up to their share; those who had one more than the share keep that too while there
//! are such places. What is left goes round among those with room. So the number of partitions that move is the smallest
//! that evens out the numbers, and the cost is linear in partitions and members.

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::wire::Str;

use super::{Place, Problem, free_places};
use crate::coordinator::group::consumer::partitions::Partitions;

pub(super) fn assign(problem: &Problem<'_>) -> Vec<Partitions> {
    let (mut kept, mut is_free) = problem.keep_previous();
    let subscribed = problem.members.first().map_or(&[] as &[usize], |member| &member.topics);
    for (_, of_nobody) in
        is_free.iter_mut().enumerate().filter(|(topic, _)| subscribed.binary_search(topic).is_err())
    {
        of_nobody.clear();
    }
    let total: usize = is_free.iter().map(Vec::len).sum();
    let share = total / problem.members.len().max(1);
    let mut larger_left = total % problem.members.len().max(1);
    for (member, keeps) in kept.iter_mut().enumerate() {
        let limit = if share < keeps.len() && 0 < larger_left {
            larger_left -= 1;
            share + 1
        } else {
            share
        };
        if limit < keeps.len() {
            put_dispensable_last(problem, member, keeps);
            for place in keeps.drain(limit..) {
                release(&mut is_free, place);
            }
        }
    }
    let mut filling = Filling { problem, places: kept, unplaced: free_places(&is_free).collect() };
    filling.fill_up_to(share, usize::MAX);
    filling.fill_up_to(share + 1, larger_left);
    filling.places.iter().map(|places| problem.to_partitions(places)).collect()
}

/// Sorts so that what the member gives up first is last: far replicas before near ones, and from each topic in turn.
fn put_dispensable_last(problem: &Problem<'_>, member: usize, keeps: &mut [Place]) {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut keyed: Vec<(bool, usize, Place)> = keeps
        .iter()
        .map(|place| {
            let nth = seen.entry(place.topic).or_default();
            *nth += 1;
            (!problem.is_near(member, *place), *nth, *place)
        })
        .collect();
    keyed.sort_unstable();
    for (slot, (_, _, place)) in keeps.iter_mut().zip(keyed) {
        *slot = place;
    }
}

fn release(is_free: &mut [Vec<bool>], place: Place) {
    let index = usize::try_from(place.partition).ok();
    if let Some(free) = is_free.get_mut(place.topic).and_then(|of| of.get_mut(index?)) {
        *free = true;
    }
}

/// Partitions on their way to members that have room.
struct Filling<'a> {
    problem: &'a Problem<'a>,
    places: Vec<Vec<Place>>,
    unplaced: Vec<Place>,
}

impl Filling<'_> {
    /// Gives partitions to members that have fewer than `limit`, at most `count` in all: those near a replica first,
    /// then one to each member in turn.
    fn fill_up_to(&mut self, limit: usize, mut count: usize) {
        self.fill_near(limit, &mut count);
        let mut turn: VecDeque<usize> = self.with_room(limit).collect();
        let mut unplaced = std::mem::take(&mut self.unplaced).into_iter();
        while 0 < count
            && let Some(member) = turn.pop_front()
            && let Some(place) = unplaced.next()
        {
            count -= 1;
            let of_member = &mut self.places[member];
            of_member.push(place);
            if of_member.len() < limit {
                turn.push_back(member);
            }
        }
        self.unplaced = unplaced.collect();
    }

    fn fill_near(&mut self, limit: usize, count: &mut usize) {
        let mut turns: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
        for member in self.with_room(limit) {
            if let Some(rack) = self.problem.members[member].rack_id {
                turns.entry(rack).or_default().push_back(member);
            }
        }
        if turns.is_empty() {
            return;
        }
        let (problem, places) = (self.problem, &mut self.places);
        self.unplaced.retain(|place| {
            let has_somebody = |rack: &&Str| turns.get(rack.as_str()).is_some_and(|turn| !turn.is_empty());
            let near = problem.racks_of(*place).iter().find(has_somebody).filter(|_| 0 < *count);
            let turn = near.and_then(|rack| turns.get_mut(rack.as_str()));
            let Some((member, turn)) = turn.and_then(|turn| Some((turn.pop_front()?, turn))) else {
                return true;
            };
            *count -= 1;
            places[member].push(*place);
            if places[member].len() < limit {
                turn.push_back(member);
            }
            false
        });
    }

    fn with_room(&self, limit: usize) -> impl Iterator<Item = usize> {
        self.places.iter().enumerate().filter(move |(_, of)| of.len() < limit).map(|(member, _)| member)
    }
}
