//! Topics that were created are there under their ids with their configs, those that were deleted are not.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::types::TopicId;

use super::Violation;
use crate::history::{History, Moment, TopicEvent};

/// What a name may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    /// Being created: absent, or there under an id that nobody knows yet.
    Appearing,
    Present(TopicId),
    /// Being deleted: there, or absent.
    Vanishing(TopicId),
}

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let states = states_of(history);
    check_ids(history, found);
    for seen in &history.metadata {
        let names: BTreeSet<&String> = states.keys().chain(seen.topics.keys()).collect();
        for name in names {
            let id = seen.topics.get(name).map(|topic| topic.id);
            let possible = possible(&states, name, seen.invoked, seen.completed);
            let Some(anomaly) = contradiction(id, &possible) else { continue };
            let text = format!("{name} is {id:?}, but could be {possible:?}");
            found.push(Violation { anomaly, text, of: None, moments: vec![seen.completed] });
        }
    }
    for seen in &history.configs {
        let possible = possible(&states, &seen.name, seen.invoked, seen.completed);
        let [State::Present(id)] = possible.as_slice() else { continue };
        let Some(plan) = history.topics.get(id) else { continue };
        if plan.configs != seen.overrides {
            let text = format!("{} has {:?}, created with {:?}", seen.name, seen.overrides, plan.configs);
            found.push(Violation { anomaly: "lost-config", text, of: None, moments: vec![seen.completed] });
        }
    }
}

/// No id is given twice.
fn check_ids(history: &History, found: &mut Vec<Violation>) {
    let mut known = BTreeMap::new();
    for (at, name, event) in &history.topic_events {
        let TopicEvent::Created { id } = event else { continue };
        if let Some((before, other)) = known.insert(*id, (*at, name)) {
            let text = format!("{other} and {name} both have {id}");
            found.push(Violation { anomaly: "topic-id-twice", text, of: None, moments: vec![before, *at] });
        }
    }
}

fn states_of(history: &History) -> BTreeMap<String, Vec<(Moment, State)>> {
    let mut states: BTreeMap<String, Vec<(Moment, State)>> = BTreeMap::new();
    for (at, name, event) in &history.topic_events {
        let states = states.entry(name.clone()).or_insert_with(|| vec![(Moment(0), State::Absent)]);
        let id = states.iter().rev().find_map(|(_, state)| match state {
            State::Present(id) => Some(*id),
            _ => None,
        });
        let state = match event {
            TopicEvent::Creating => State::Appearing,
            TopicEvent::Created { id } => State::Present(*id),
            TopicEvent::Deleting => id.map_or(State::Appearing, State::Vanishing),
            TopicEvent::Deleted => State::Absent,
        };
        states.push((*at, state));
    }
    states
}

/// What the name could stand for at some moment from `from` to `to`.
fn possible(
    states: &BTreeMap<String, Vec<(Moment, State)>>,
    name: &str,
    from: Moment,
    to: Moment,
) -> Vec<State> {
    let Some(states) = states.get(name) else { return vec![State::Absent] };
    let first = states.partition_point(|(at, _)| *at <= from).saturating_sub(1);
    let end = states.partition_point(|(at, _)| *at <= to);
    states[first..end].iter().map(|(_, state)| *state).collect()
}

fn contradiction(id: Option<TopicId>, possible: &[State]) -> Option<&'static str> {
    let fits = possible.iter().any(|state| match (state, id) {
        (State::Absent | State::Appearing | State::Vanishing(_), None) => true,
        (State::Absent, Some(_)) | (State::Present(_), None) => false,
        (State::Appearing, Some(_)) => true,
        (State::Present(known) | State::Vanishing(known), Some(id)) => *known == id,
    });
    if fits {
        return None;
    }
    let absent = possible.iter().all(|state| *state == State::Absent);
    Some(match id {
        None => "lost-topic",
        Some(_) if absent => "deleted-topic-visible",
        Some(_) => "wrong-topic-id",
    })
}
