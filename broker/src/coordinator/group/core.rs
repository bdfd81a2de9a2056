//! All groups of one partition of `__consumer_offsets`: finds the group that an event is for, and lets it decide.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::list_groups::ListGroupsResponseGroup;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::super::core::{Append, Core, Now, Ticket};
use super::group::{Group, GroupKind};
use super::record::GroupRecord;
use super::request::{GroupAnswer, GroupRequest};
use super::turn::{GroupEffect, GroupEffects, GroupWorld, Turn};

/// All groups of one partition.
#[derive(Debug, Default)]
pub(crate) struct GroupCore {
    pub(super) groups: BTreeMap<Str, Group>,
    /// When each group that waits for something wants to be woken.
    deadlines: Deadlines,
}

/// The groups' deadlines, the next first.
#[derive(Debug, Default)]
struct Deadlines {
    queue: BTreeSet<(MonotonicTime, Str)>,
    of: BTreeMap<Str, MonotonicTime>,
}

impl Deadlines {
    fn set(&mut self, group_id: &Str, deadline: Option<MonotonicTime>) {
        let before = self.of.get(group_id).copied();
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.queue.remove(&(before, group_id.clone()));
            self.of.remove(group_id);
        }
        if let Some(deadline) = deadline {
            // A clone of a text costs no memory, but one that came in a frame would keep the frame.
            let group_id = group_id.detached();
            self.queue.insert((deadline, group_id.clone()));
            self.of.insert(group_id, deadline);
        }
    }

    fn first(&self) -> Option<MonotonicTime> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// The groups that are due.
    fn due(&self, now: MonotonicTime) -> Vec<Str> {
        self.queue
            .iter()
            .take_while(|(deadline, _)| *deadline <= now)
            .map(|(_, group)| group.clone())
            .collect()
    }
}

/// What an event of the core comes with.
pub(super) struct Moment<'a> {
    pub(super) now: Now,
    pub(super) world: &'a GroupWorld,
    pub(super) effects: &'a mut GroupEffects,
}

impl GroupCore {
    /// Lets a group decide; one that isn't there is vacant. It is there afterwards if anything is known of it then.
    pub(super) fn with_group<T>(
        &mut self,
        moment: &mut Moment<'_>,
        group_id: &Str,
        decide: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> T {
        let mut turn = Turn { now: moment.now, world: moment.world, group_id, effects: &mut *moment.effects };
        if let Some(group) = self.groups.get_mut(group_id) {
            let decided = decide(group, &mut turn);
            let (is_vacant, deadline) = (group.is_vacant(), group.kind.next_deadline());
            if is_vacant {
                self.groups.remove(group_id);
            }
            self.deadlines.set(group_id, deadline.filter(|_| !is_vacant));
            return decided;
        }
        let mut group = Group::default();
        let decided = decide(&mut group, &mut turn);
        if !group.is_vacant() {
            self.deadlines.set(group_id, group.kind.next_deadline());
            self.groups.insert(group_id.detached(), group);
        }
        decided
    }

    /// Appends records, and replays them.
    pub(super) fn emit(
        &mut self,
        effects: &mut GroupEffects,
        records: impl IntoIterator<Item = GroupRecord>,
    ) {
        for record in records {
            self.replay_record(&record);
            effects.append(Append::Record(record));
        }
    }

    fn replay_record(&mut self, record: &GroupRecord) {
        let group_id = record.group();
        if !self.groups.contains_key(group_id) {
            self.groups.insert(group_id.clone(), Group::default());
        }
        let group = self.groups.get_mut(group_id).expect("it was just put there");
        match record {
            GroupRecord::OffsetCommit { .. } => {}
            _ => group.kind.replay(record),
        }
        if group.is_vacant() {
            self.groups.remove(group_id);
            self.deadlines.set(group_id, None);
        }
    }

    fn list(&self, states: &[String], types: &[String]) -> Vec<ListGroupsResponseGroup> {
        let is_wanted = |wanted: &[String], found: &str| {
            wanted.is_empty() || wanted.iter().any(|name| name.eq_ignore_ascii_case(found))
        };
        let groups = self.groups.iter().filter(|(_, group)| {
            is_wanted(states, group.kind.state()) && is_wanted(types, group.kind.type_name())
        });
        groups
            .map(|(group_id, group)| ListGroupsResponseGroup {
                group_id: group_id.clone(),
                protocol_type: group.kind.protocol_type(),
                group_state: Str::from_static(group.kind.state()),
                group_type: Str::from_static(group.kind.type_name()),
            })
            .collect()
    }
}

impl Core for GroupCore {
    type Request = GroupRequest;
    type Answer = GroupAnswer;
    type Record = GroupRecord;
    type Other = GroupEffect;
    type World = GroupWorld;

    fn on_request(
        &mut self,
        now: Now,
        world: &GroupWorld,
        ticket: Ticket,
        request: GroupRequest,
        effects: &mut GroupEffects,
    ) {
        let mut moment = Moment { now, world, effects };
        let moment = &mut moment;
        match request {
            GroupRequest::JoinGroup { caller, request, id_bytes } => {
                let group_id = request.group_id.clone();
                self.with_group(moment, &group_id, |group, turn| {
                    group.on_join(turn, ticket, caller, request, id_bytes);
                });
            }
            GroupRequest::SyncGroup { caller, request } => {
                self.with_group(moment, &request.group_id, |group, turn| {
                    group.on_sync(turn, ticket, &caller, &request);
                });
            }
            GroupRequest::Heartbeat { request } => {
                self.with_group(moment, &request.group_id, |group, turn| {
                    group.on_heartbeat(turn, ticket, &request);
                });
            }
            GroupRequest::LeaveGroup { caller, request } => {
                self.with_group(moment, &request.group_id, |group, turn| {
                    group.on_leave(turn, ticket, &caller, &request);
                    group.forget_vacant();
                });
            }
            GroupRequest::DescribeGroup { version, group_id } => {
                let answer = match self.groups.get(&group_id) {
                    Some(group) => group.describe(version, &group_id),
                    None => Group::default().describe(version, &group_id),
                };
                moment.effects.answer(ticket, answer);
            }
            GroupRequest::ConsumerGroupHeartbeat { caller, request, id_bytes } => {
                let group_id = request.group_id.clone();
                self.with_group(moment, &group_id, |group, turn| {
                    if let GroupKind::Consumer(group) = &mut group.kind {
                        group.on_heartbeat(turn, ticket, caller, request, id_bytes);
                    }
                });
            }
            GroupRequest::ListGroups { states, types } => {
                let groups = self.list(&states, &types);
                moment.effects.answer(ticket, GroupAnswer::ListGroups(groups));
            }
            _ => {}
        }
    }

    fn on_time(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        for group_id in self.deadlines.due(now.monotonic) {
            self.with_group(&mut moment, &group_id, Group::on_time);
        }
    }

    fn on_world(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        let consumers = self.groups.iter().filter(|(_, group)| matches!(group.kind, GroupKind::Consumer(_)));
        let consumers: Vec<Str> = consumers.map(|(group_id, _)| group_id.clone()).collect();
        for group_id in consumers {
            self.with_group(&mut moment, &group_id, |group, turn| {
                if let GroupKind::Consumer(group) = &mut group.kind {
                    group.on_world(turn);
                }
            });
        }
    }

    fn next_deadline(&self) -> Option<MonotonicTime> {
        self.deadlines.first()
    }

    fn replay(&mut self, append: &Append<GroupRecord>) {
        match append {
            Append::Record(record) => self.replay_record(record),
            Append::Transactional { .. } | Append::Marker { .. } => {}
        }
    }

    fn on_loaded(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        let all: Vec<Str> = self.groups.keys().cloned().collect();
        for group_id in all {
            self.with_group(&mut moment, &group_id, Group::on_loaded);
        }
    }
}
