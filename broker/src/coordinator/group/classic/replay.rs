//! The log's side of a group: what is written of it, and what a record makes of it.

use bytes::Bytes;
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::ClassicEffects;
use super::group::{ClassicGroup, ClassicState};
use super::member::{Member, Protocol};
use super::metadata::GroupMetadataValue;
use super::rules::ClassicRules;
use crate::coordinator::core::{Append, Now};

/// A member that another protocol hands over, with everything that it said.
#[derive(Debug, Clone)]
pub(crate) struct HandedOver {
    pub(crate) member_id: Str,
    pub(crate) instance_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
}

impl ClassicGroup {
    /// What the log keeps of the group as it is.
    pub(crate) fn to_record(&self) -> GroupMetadataValue {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(member_id, member)| member.to_record(member_id, &protocol));
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since.map_or(-1, |at| at.0),
            members: members.collect(),
        }
    }

    /// Whether the group could still be written down if somebody said this in place of what they have said.
    pub(super) fn would_fit_log(&self, request: &JoinGroupRequest, rules: &ClassicRules) -> bool {
        let said: usize = request.protocols.iter().map(|protocol| protocol.metadata.len()).sum();
        self.to_record().bytes_about() + said <= rules.record_bytes_max
    }

    pub(super) fn write_down(&mut self, record: GroupMetadataValue, effects: &mut ClassicEffects) {
        self.replay(&record);
        effects.append(Append::Record(record));
    }

    /// Makes the group what the record says. While the log is read that is everything; later members are known
    /// better than the record tells, and it brings their assignments.
    pub(crate) fn replay(&mut self, record: &GroupMetadataValue) {
        if self.is_loading {
            self.load_members(record);
        } else {
            for row in &record.members {
                let Some(member) = self.members.get_mut(row.member_id.as_str()) else { continue };
                if member.assignment != row.assignment {
                    member.assignment = Bytes::copy_from_slice(&row.assignment);
                }
            }
        }
        self.protocol_type = record.protocol_type.detached();
        self.generation = record.generation;
        self.protocol = record.protocol.as_ref().map(Str::detached);
        self.leader = record.leader.as_ref().map(Str::detached);
        self.state_since = Some(WallTime(record.current_state_timestamp)).filter(|at| 0 <= at.0);
        self.state = if record.members.is_empty() { ClassicState::Empty } else { ClassicState::Stable };
        if self.is_loading || record.members.is_empty() {
            self.learn_topics();
        }
    }

    fn load_members(&mut self, record: &GroupMetadataValue) {
        self.members.clear();
        self.instances.clear();
        self.supported.clear();
        let protocol = record.protocol.as_ref().map(Str::detached).unwrap_or_default();
        for row in &record.members {
            // Who stands there twice is who he was last.
            self.take_out(&row.member_id);
            let member = Member::loaded(row, &protocol, self.next_place);
            self.next_place += 1;
            self.put_in(&row.member_id.detached(), member);
        }
    }

    /// The whole log has been read: sessions begin now. A group that is larger than it may be by now rebalances, so that
    /// its members can commit before some are turned away.
    pub(crate) fn on_loaded(&mut self, now: Now, rules: &ClassicRules, effects: &mut ClassicEffects) {
        self.is_loading = false;
        self.keep_a_leader();
        self.restart_every_session(now);
        if rules.member_count_max < self.members.len() {
            self.begin_round(now, rules, effects);
        }
    }

    /// A group that was of another protocol, with an assignment for everybody. `leader` is one of the members.
    pub(crate) fn handed_over(
        group_id: &Str,
        now: Now,
        record: &GroupMetadataValue,
        members: Vec<HandedOver>,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::new(group_id, now);
        for member in members {
            let place = group.next_place;
            group.next_place += 1;
            let taken_in = Member {
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols,
                assignment: member.assignment,
                place,
                is_new: false,
                joining: None,
                syncing: None,
                owes_sync: false,
                session_ends: MonotonicTime(0),
                looked_at: None,
            };
            group.put_in(&member.member_id, taken_in);
        }
        group.replay(record);
        group.keep_a_leader();
        group.learn_topics();
        group.restart_every_session(now);
        group
    }
}
