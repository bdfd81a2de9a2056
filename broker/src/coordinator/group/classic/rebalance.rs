//! Rounds: when members are asked to join again, whom a round waits for, and what ends it.

use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::group::{ClassicGroup, ClassicState, Round};
use super::metadata::GroupMetadataValue;
use super::rules::ClassicRules;
use super::{ClassicAnswer, ClassicEffects, answers};
use crate::coordinator::core::Now;

/// Where all that is left are static members that haven't joined, the round waits again: at least so long.
const WAIT_AGAIN_MIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// Begins a round, or completes the one that is under way if nobody is missing.
    pub(super) fn rebalance_or_complete(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        effects: &mut ClassicEffects,
    ) {
        match self.state {
            ClassicState::PreparingRebalance => self.complete_round_if_everybody_joined(now, rules, effects),
            ClassicState::Empty | ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.begin_round(now, rules, effects);
            }
        }
    }

    /// Has everybody join again. Of a group that has members, for whoever else has a reason.
    pub(crate) fn begin_round(&mut self, now: Now, rules: &ClassicRules, effects: &mut ClassicEffects) {
        let was_empty = self.state == ClassicState::Empty;
        if self.state == ClassicState::CompletingRebalance {
            self.refuse_syncs(now, ErrorCode::RebalanceInProgress, effects);
        }
        self.sync_due = None;
        self.has_newcomers = false;
        self.enter(now, ClassicState::PreparingRebalance);
        let patience = self.rebalance_timeout();
        if was_empty {
            let delay = rules.initial_rebalance_delay;
            if delay.is_zero() {
                return self.complete_round(now, effects);
            }
            let remaining = patience.saturating_sub(delay);
            self.round = Some(Round::Initial { due: now.monotonic.after(delay), delay, remaining });
        } else if self.has_everybody_joined() {
            self.complete_round(now, effects);
        } else {
            self.round = Some(Round::Following { due: now.monotonic.after(patience) });
        }
    }

    /// The first round of an empty group isn't completed before its time: others may still come.
    pub(super) fn complete_round_if_everybody_joined(
        &mut self,
        now: Now,
        _rules: &ClassicRules,
        effects: &mut ClassicEffects,
    ) {
        let is_initial = matches!(self.round, Some(Round::Initial { .. }));
        if self.state == ClassicState::PreparingRebalance && !is_initial && self.has_everybody_joined() {
            self.complete_round(now, effects);
        }
    }

    fn on_round_due(&mut self, now: Now, rules: &ClassicRules, effects: &mut ClassicEffects) {
        match self.round {
            Some(Round::Initial { due, delay, remaining }) if self.has_newcomers && !remaining.is_zero() => {
                self.has_newcomers = false;
                let next = rules.initial_rebalance_delay.min(remaining);
                self.round = Some(Round::Initial {
                    due: due.after(next),
                    delay: next,
                    remaining: remaining.saturating_sub(delay),
                });
            }
            _ => self.complete_round(now, effects),
        }
    }

    /// Goes on with those that have joined. Static members keep their places until their sessions end.
    fn complete_round(&mut self, now: Now, effects: &mut ClassicEffects) {
        self.round = None;
        self.drop_members(|member| member.joining.is_none() && !member.is_static());
        if self.members.is_empty() {
            return self.become_empty(now, effects);
        }
        if !self.has_a_leader_that_joined() {
            let due = now.monotonic.after(self.rebalance_timeout().max(WAIT_AGAIN_MIN));
            self.round = Some(Round::Following { due });
            return;
        }
        self.generation = next_generation(self.generation);
        self.protocol = self.select_protocol();
        self.enter(now, ClassicState::CompletingRebalance);
        self.learn_topics();
        self.tell_generation(now, effects);
        self.sync_due = Some(now.monotonic.after(self.rebalance_timeout()));
    }

    /// Drops members, none of whom waits, and keeps the leader valid.
    fn drop_members(&mut self, is_dropped: impl Fn(&super::member::Member) -> bool) {
        let dropped: Vec<Str> = self
            .members
            .iter()
            .filter(|(_, member)| is_dropped(member))
            .map(|(member_id, _)| member_id.clone())
            .collect();
        for member_id in &dropped {
            self.take_out(member_id);
        }
        if !dropped.is_empty() {
            self.keep_a_leader();
        }
    }

    /// A leader that hasn't joined is followed by the member that is here longest of those that have.
    fn has_a_leader_that_joined(&mut self) -> bool {
        let has_joined =
            |member_id: &Str| self.members.get(member_id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().filter(|(_, member)| member.joining.is_some());
        let Some((oldest, _)) = joined.min_by_key(|(_, member)| member.place) else { return false };
        self.leader = Some(oldest.clone());
        true
    }

    fn become_empty(&mut self, now: Now, effects: &mut ClassicEffects) {
        let record = GroupMetadataValue {
            protocol_type: self.protocol_type.clone(),
            generation: next_generation(self.generation),
            protocol: None,
            leader: None,
            current_state_timestamp: now.wall.0,
            members: Vec::new(),
        };
        self.write_down(record, effects);
    }

    /// Answers every parked JoinGroup. All members owe a SyncGroup from now on, also static ones that didn't join.
    fn tell_generation(&mut self, now: Now, effects: &mut ClassicEffects) {
        let joined: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|(member_id, member)| member.joining.take().map(|ticket| (member_id.clone(), ticket)))
            .collect();
        self.joining_count = 0;
        for (member_id, ticket) in joined {
            let response = self.generation_for(&member_id, self.is_leader(&member_id));
            effects.answer(ticket, ClassicAnswer::Join(response));
        }
        for member in self.members.values_mut() {
            member.is_new = false;
            member.owes_sync = true;
        }
        self.owing_count = self.members.len();
        self.restart_every_session(now);
    }

    /// The round is over before its assignment was there: nobody has one.
    pub(super) fn refuse_syncs(&mut self, now: Now, error: ErrorCode, effects: &mut ClassicEffects) {
        for (member_id, member) in &mut self.members {
            member.assignment.clear();
            let Some(ticket) = member.syncing.take() else { continue };
            effects.answer(ticket, ClassicAnswer::Sync(answers::sync_refused(error)));
            let ends = now.monotonic.after(member.session_timeout());
            super::group::set_session_end(&mut self.sessions, member_id, member, ends);
        }
    }

    /// Members that were told of the generation and never asked for their assignment are taken for dead.
    fn on_sync_due(&mut self, now: Now, rules: &ClassicRules, effects: &mut ClassicEffects) {
        self.sync_due = None;
        if self.owing_count == 0 {
            return;
        }
        self.drop_members(|member| member.owes_sync);
        self.begin_round(now, rules, effects);
    }

    /// Everything that is due.
    pub(crate) fn on_time(&mut self, now: Now, rules: &ClassicRules, effects: &mut ClassicEffects) {
        let is_due = |at: MonotonicTime| at <= now.monotonic;
        loop {
            if self.round.is_some_and(|round| is_due(round.due())) {
                self.on_round_due(now, rules, effects);
            } else if self.sync_due.is_some_and(is_due) {
                self.on_sync_due(now, rules, effects);
            } else if let Some(member_id) = self.sessions.pop_due(now.monotonic) {
                self.on_session_looked_at(now, rules, &member_id, effects);
            } else {
                return;
            }
        }
    }

    /// When `on_time` is wanted. It may find that nothing has to be done yet.
    pub(crate) fn next_deadline(&self) -> Option<MonotonicTime> {
        let round = self.round.map(Round::due);
        [round, self.sync_due, self.sessions.first()].into_iter().flatten().min()
    }

    fn on_session_looked_at(
        &mut self,
        now: Now,
        rules: &ClassicRules,
        member_id: &Str,
        effects: &mut ClassicEffects,
    ) {
        if self.pending.remove(member_id).is_some() {
            return self.complete_round_if_everybody_joined(now, rules, effects);
        }
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.looked_at = None;
        if now.monotonic < member.session_ends {
            let ends = member.session_ends;
            return super::group::set_session_end(&mut self.sessions, member_id, member, ends);
        }
        // Who waits is alive, but a new member may have gone without our notice. The end of the wait begins its session.
        if !member.is_new && (member.joining.is_some() || member.syncing.is_some()) {
            return;
        }
        self.remove(member_id, effects);
        self.rebalance_or_complete(now, rules, effects);
    }
}

/// The generation after this one. They begin again at 1 in the unlikely case.
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
