//! How one member gets from what it has to its target, without any partition ever being in two hands.
//!
//! First it is told to give up what isn't in its target, and stays at its epoch. When it says that it has, its epoch
//! moves on and it gets what is free. What others still hold it gets later, as soon as they have given it up.

use ottla_protocol::types::TopicId;

use super::member::{CurrentAssignment, MemberState};
use super::partitions::{Held, Partitions};

/// What a member is to be brought to.
pub(crate) struct Reconciliation<'a, F, G> {
    pub(crate) target_epoch: i32,
    pub(crate) target: &'a Partitions,
    /// What the member says that it has, if it said.
    pub(crate) owned: Option<&'a Partitions>,
    /// Whether any member has the partition, or has yet to give it up.
    pub(crate) is_held: F,
    /// Whether the member subscribes to the topic; for a member that has just changed what it subscribes to.
    pub(crate) subscribes: Option<G>,
}

impl<F: Fn(TopicId, i32) -> bool, G: Fn(TopicId) -> bool> Reconciliation<'_, F, G> {
    /// The member's next step; what it has now, if it can take none.
    pub(crate) fn next(&self, current: &CurrentAssignment) -> CurrentAssignment {
        match current.state {
            MemberState::Stable => {
                if self.target_epoch == current.epoch && !self.has_too_much(current) {
                    return current.clone();
                }
                self.towards_target(current)
            }
            MemberState::UnrevokedPartitions => {
                if self.still_owns(&current.revoking) {
                    return self.without_unsubscribed(current);
                }
                self.towards_target(current)
            }
            MemberState::UnreleasedPartitions | MemberState::Unknown => self.towards_target(current),
        }
    }

    /// Whether the member has what it no longer subscribes to, although the target is the same.
    fn has_too_much(&self, current: &CurrentAssignment) -> bool {
        current.assigned.iter().any(|(topic, partition, _)| !self.target.contains(topic, partition))
    }

    /// Whether the member may still use any of these: it hasn't said what it has, or it named one of them.
    fn still_owns(&self, held: &Held) -> bool {
        match self.owned {
            None => !held.is_empty(),
            Some(owned) => held.iter().any(|(topic, partition, _)| owned.contains(topic, partition)),
        }
    }

    /// A member that is giving partitions up gives up those too whose topics it no longer subscribes to. What else the
    /// target takes from it waits until it has given up the first.
    fn without_unsubscribed(&self, current: &CurrentAssignment) -> CurrentAssignment {
        let Some(subscribes) = &self.subscribes else { return current.clone() };
        let (kept, dropped): (Vec<_>, Vec<_>) =
            current.assigned.iter().partition(|(topic, ..)| subscribes(*topic));
        CurrentAssignment {
            assigned: kept.into_iter().collect(),
            revoking: current.revoking.iter().chain(dropped).collect(),
            ..current.clone()
        }
    }

    /// Its epoch stays as it is as long as it has something to give up, and then becomes the target's.
    fn towards_target(&self, current: &CurrentAssignment) -> CurrentAssignment {
        let (kept, dropped): (Vec<_>, Vec<_>) = current
            .assigned
            .iter()
            .partition(|(topic, partition, _)| self.target.contains(*topic, *partition));
        let dropped: Held = dropped.into_iter().collect();
        if self.still_owns(&dropped) {
            return CurrentAssignment {
                state: MemberState::UnrevokedPartitions,
                assigned: kept.into_iter().collect(),
                revoking: dropped,
                ..current.clone()
            };
        }
        let wanted =
            self.target.iter().filter(|(topic, partition)| !current.assigned.contains(*topic, *partition));
        let (unreleased, free): (Vec<_>, Vec<_>) = wanted.partition(|(topic, partition)| {
            // What this member itself has just given up is as good as free.
            (self.is_held)(*topic, *partition) && !current.revoking.contains(*topic, *partition)
        });
        let granted = free.into_iter().map(|(topic, partition)| (topic, partition, self.target_epoch));
        CurrentAssignment {
            epoch: self.target_epoch,
            previous_epoch: if self.target_epoch == current.epoch {
                current.previous_epoch
            } else {
                current.epoch
            },
            state: if unreleased.is_empty() {
                MemberState::Stable
            } else {
                MemberState::UnreleasedPartitions
            },
            assigned: kept.into_iter().chain(granted).collect(),
            revoking: Held::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicId = TopicId([7; 16]);

    /// Partitions of one topic as `1,2,3`; for what is held as `1@5,2@6`.
    fn partitions(text: &str) -> Partitions {
        Partitions::from_lists([(TOPIC, numbers(text))])
    }

    fn numbers(text: &str) -> Vec<i32> {
        text.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().expect("a number")).collect()
    }

    fn held(text: &str) -> Held {
        text.split(',')
            .filter(|item| !item.is_empty())
            .map(|item| {
                let (partition, since) = item.split_once('@').expect("partition@epoch");
                (TOPIC, partition.parse().expect("a number"), since.parse().expect("a number"))
            })
            .collect()
    }

    fn shown(current: &CurrentAssignment) -> String {
        let list = |held: &Held| {
            held.iter()
                .map(|(_, partition, since)| format!("{partition}@{since}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let state = match current.state {
            MemberState::Stable => "stable",
            MemberState::UnrevokedPartitions => "unrevoked",
            MemberState::UnreleasedPartitions => "unreleased",
            MemberState::Unknown => "unknown",
        };
        format!(
            "{state} {}<{} has {} revokes {}",
            current.previous_epoch,
            current.epoch,
            list(&current.assigned),
            list(&current.revoking)
        )
    }

    struct Step {
        state: MemberState,
        assigned: &'static str,
        revoking: &'static str,
        target: &'static str,
        owned: Option<&'static str>,
        others: &'static str,
        subscribes: Option<bool>,
    }

    /// A member at epoch 5 (before: 4), a target of epoch 8.
    fn check(step: &Step, expected: &str) {
        let current = CurrentAssignment {
            epoch: 5,
            previous_epoch: 4,
            state: step.state,
            assigned: held(step.assigned),
            revoking: held(step.revoking),
        };
        let others = numbers(step.others);
        let owned = step.owned.map(partitions);
        let next = Reconciliation {
            target_epoch: 8,
            target: &partitions(step.target),
            owned: owned.as_ref(),
            is_held: |_, partition| {
                others.contains(&partition)
                    || current.assigned.contains(TOPIC, partition)
                    || current.revoking.contains(TOPIC, partition)
            },
            subscribes: step.subscribes.map(|subscribes| move |_| subscribes),
        }
        .next(&current);
        assert_eq!(shown(&next), expected);
    }

    const STABLE: Step = Step {
        state: MemberState::Stable,
        assigned: "1@3,2@5",
        revoking: "",
        target: "1,2",
        owned: None,
        others: "",
        subscribes: None,
    };

    #[test]
    fn a_stable_member_whose_target_is_what_it_has_only_changes_its_epoch() {
        check(&STABLE, "stable 5<8 has 1@3,2@5 revokes ");
    }

    #[test]
    fn what_is_free_is_granted_at_once() {
        check(&Step { target: "1,2,3", ..STABLE }, "stable 5<8 has 1@3,2@5,3@8 revokes ");
    }

    #[test]
    fn what_others_hold_is_waited_for() {
        check(&Step { target: "1,2,3,4", others: "4", ..STABLE }, "unreleased 5<8 has 1@3,2@5,3@8 revokes ");
        check(&Step { target: "1,2,4", others: "4", ..STABLE }, "unreleased 5<8 has 1@3,2@5 revokes ");
    }

    #[test]
    fn revocation_comes_before_anything_is_granted() {
        check(&Step { target: "1,3", ..STABLE }, "unrevoked 4<5 has 1@3 revokes 2@5");
        check(&Step { target: "1,3", owned: Some("1,2"), ..STABLE }, "unrevoked 4<5 has 1@3 revokes 2@5");
    }

    #[test]
    fn a_member_that_says_it_has_given_up_already_isnt_asked_to() {
        check(&Step { target: "1,3", owned: Some("1"), ..STABLE }, "stable 5<8 has 1@3,3@8 revokes ");
    }

    #[test]
    fn an_unrevoked_member_waits_until_it_names_none_of_them() {
        let unrevoked = Step {
            state: MemberState::UnrevokedPartitions,
            assigned: "1@3",
            revoking: "2@5",
            target: "1,3",
            ..STABLE
        };
        check(&Step { owned: None, ..unrevoked }, "unrevoked 4<5 has 1@3 revokes 2@5");
        check(&Step { owned: Some("1,2"), ..unrevoked }, "unrevoked 4<5 has 1@3 revokes 2@5");
        check(&Step { owned: Some("1"), ..unrevoked }, "stable 5<8 has 1@3,3@8 revokes ");
    }

    #[test]
    fn a_revocation_may_be_followed_by_the_next_one() {
        let unrevoked = Step {
            state: MemberState::UnrevokedPartitions,
            revoking: "4@5",
            target: "2",
            owned: Some("1,2"),
            ..STABLE
        };
        check(&unrevoked, "unrevoked 4<5 has 2@5 revokes 1@3");
    }

    #[test]
    fn an_unrevoked_member_gives_up_what_it_no_longer_subscribes_to() {
        let unrevoked = Step {
            state: MemberState::UnrevokedPartitions,
            assigned: "1@3",
            revoking: "2@5",
            target: "",
            ..STABLE
        };
        check(&Step { subscribes: None, ..unrevoked }, "unrevoked 4<5 has 1@3 revokes 2@5");
        check(&Step { subscribes: Some(true), ..unrevoked }, "unrevoked 4<5 has 1@3 revokes 2@5");
        check(&Step { subscribes: Some(false), ..unrevoked }, "unrevoked 4<5 has  revokes 1@3,2@5");
    }

    #[test]
    fn what_was_given_up_comes_back_if_the_target_changed_its_mind() {
        let unrevoked = Step {
            state: MemberState::UnrevokedPartitions,
            assigned: "1@3",
            revoking: "2@5",
            target: "1,2",
            owned: Some("1"),
            ..STABLE
        };
        check(&unrevoked, "stable 5<8 has 1@3,2@8 revokes ");
    }

    #[test]
    fn an_unreleased_member_gets_what_became_free() {
        let unreleased = Step { state: MemberState::UnreleasedPartitions, target: "1,2,3,4", ..STABLE };
        check(&Step { others: "3,4", ..unreleased }, "unreleased 5<8 has 1@3,2@5 revokes ");
        check(&Step { others: "4", ..unreleased }, "unreleased 5<8 has 1@3,2@5,3@8 revokes ");
        check(&Step { others: "", ..unreleased }, "stable 5<8 has 1@3,2@5,3@8,4@8 revokes ");
    }
}
