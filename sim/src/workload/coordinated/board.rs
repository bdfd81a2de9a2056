//! Where each member of a group stands, for whoever waits until all have come to rest.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::history::FinalMember;

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// It wants to be in the group, and isn't yet.
    Joining,
    /// It is in the group with what it holds.
    In(FinalMember),
    /// It has nothing to do with the group now.
    Away,
}

/// All members' places, by group and number.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<(String, u32), Place>>);

impl Board {
    pub(crate) fn set(&self, group: &str, number: u32, place: Place) {
        self.0.lock().insert((group.to_owned(), number), place);
    }

    /// The members of every group that has any; nothing while somebody is joining one.
    pub(crate) fn members(&self) -> Option<BTreeMap<String, Vec<FinalMember>>> {
        let mut groups: BTreeMap<String, Vec<FinalMember>> = BTreeMap::new();
        for ((group, _), place) in self.0.lock().iter() {
            match place {
                Place::Joining => return None,
                Place::In(member) => groups.entry(group.clone()).or_default().push(member.clone()),
                Place::Away => {}
            }
        }
        Some(groups)
    }
}
