//! Once faults have stopped, the members of a group are in one generation and share out all partitions among them.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::history::{FinalMember, History};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let mut groups: BTreeMap<&str, Vec<&FinalMember>> = BTreeMap::new();
    for member in &history.final_members {
        groups.entry(&member.group).or_default().push(member);
    }
    for (group, members) in groups {
        let Some(wanted) = history.shared_out.get(group) else { continue };
        if let Err(text) = converged(&members, wanted) {
            let text = format!("group {group}: {text}");
            found.push(Violation { anomaly: "group-not-converged", text, of: None, moments: Vec::new() });
        }
    }
}

/// Whether these members, all that the group has, share out the partitions that are wanted.
pub(crate) fn converged(
    members: &[&FinalMember],
    wanted: &BTreeSet<crate::history::TopicPartition>,
) -> Result<(), String> {
    let generations: BTreeSet<i32> = members.iter().map(|member| member.generation).collect();
    if generations.len() > 1 {
        return Err(format!("its members are in generations {generations:?}"));
    }
    let mut held = BTreeSet::new();
    for member in members {
        for of in &member.partitions {
            if !held.insert(*of) {
                return Err(format!("{of} is held twice"));
            }
        }
    }
    match wanted.difference(&held).next() {
        Some(free) => Err(format!("nobody holds {free}")),
        None if held.len() > wanted.len() => Err("it holds more than it asked for".to_owned()),
        None => Ok(()),
    }
}
