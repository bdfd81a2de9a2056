//! No partition is held by two members of one generation, nor, where the broker assigns, by two at one time.

use std::collections::BTreeMap;

use super::Violation;
use super::eras::Eras;
use crate::history::{GroupProtocol, History, Hold, TopicPartition};

pub(super) fn check(history: &History, found: &mut Vec<Violation>) {
    let eras = Eras::of(history);
    let mut by_place: BTreeMap<(&str, TopicPartition), Vec<&Hold>> = BTreeMap::new();
    for hold in &history.holds {
        for of in &hold.partitions {
            by_place.entry((&hold.group, *of)).or_default().push(hold);
        }
    }
    for ((group, of), holds) in by_place {
        for (index, one) in holds.iter().enumerate() {
            let others = holds[index + 1..].iter().filter(|other| other.member != one.member);
            for other in others.filter(|other| clash(&eras, one, other)) {
                let text = format!(
                    "group {group}: {} (generation {}, until {:?}) and {} (generation {}, from {:?})",
                    one.member, one.generation, one.until, other.member, other.generation, other.from
                );
                let moments = vec![one.at, other.at];
                found.push(Violation { anomaly: "held-twice", text, of: Some(of), moments });
            }
        }
    }
    check_leaders(history, &eras, found);
}

fn clash(eras: &Eras, one: &Hold, other: &Hold) -> bool {
    let same_instance = one.instance.is_some() && one.instance == other.instance;
    if one.protocol != other.protocol || same_instance || eras.of_boot(one.boot) != eras.of_boot(other.boot) {
        return false;
    }
    match one.protocol {
        GroupProtocol::Classic => one.generation == other.generation,
        GroupProtocol::Consumer => {
            // An answer that came when its member's session was over gave it nothing.
            let is_empty = |hold: &Hold| hold.until.is_some_and(|until| until <= hold.from);
            if is_empty(one) || is_empty(other) {
                return false;
            }
            let begins_before_the_end =
                |later: &Hold, earlier: &Hold| earlier.until.is_none_or(|until| later.from < until);
            begins_before_the_end(one, other) && begins_before_the_end(other, one)
        }
    }
}

/// No two members' assignments are taken for one generation. A generation that nobody has assigned is not written down,
/// so a coordinator that loads its log again, for want of room on the disk for one, counts it again.
fn check_leaders(history: &History, eras: &Eras, found: &mut Vec<Violation>) {
    let leaders: Vec<_> =
        history.joined.iter().filter(|joined| joined.leads && joined.has_assigned).collect();
    for (index, one) in leaders.iter().enumerate() {
        let same = |other: &&&crate::history::Joined| {
            let same_instance = one.instance.is_some() && one.instance == other.instance;
            other.group == one.group
                && other.generation == one.generation
                && eras.of_boot(other.boot) == eras.of_boot(one.boot)
                && !same_instance
        };
        if let Some(other) = leaders[index + 1..].iter().filter(same).find(|other| other.member != one.member)
        {
            let text = format!(
                "group {}: {} and {} both assigned generation {}",
                one.group, one.member, other.member, one.generation
            );
            let moments = vec![one.completed, other.completed];
            found.push(Violation { anomaly: "two-leaders", text, of: None, moments });
        }
    }
}
