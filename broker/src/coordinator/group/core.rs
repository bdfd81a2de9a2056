//! All groups of one partition of `__consumer_offsets`: finds the group that an event is for, and lets it decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::list_groups::ListGroupsResponseGroup;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::super::core::{Append, Core, Now, ProducerSession, Ticket};
use super::group::{Group, GroupKind};
use super::offsets::{LogOrder, Transactions};
use super::record::GroupRecord;
use super::request::{GroupAnswer, GroupRequest};
use super::turn::{GroupEffect, GroupEffects, GroupWorld, Turn};
use crate::controller::{MetadataImage, TopicChange};

/// All groups of one partition.
#[derive(Debug, Default)]
pub(crate) struct GroupCore {
    pub(super) groups: BTreeMap<Str, Group>,
    /// When each group that waits for something wants to be woken.
    deadlines: Deadlines,
    pub(super) transactions: Transactions,
    /// The place of the last offset record.
    order: LogOrder,
    /// When offsets are next looked at that may have expired. None while the log is loaded.
    next_expiry: Option<MonotonicTime>,
    counts: Counts,
    /// The topics as they were when they were last looked at.
    image: Arc<MetadataImage>,
}

/// How much there is in a core, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Classic groups without and with members, then consumer groups.
    pub(super) groups: [u64; 4],
    pub(super) offsets: u64,
    /// Offsets written since the core was loaded.
    pub(super) commits: u64,
}

impl Counts {
    /// What a group adds to them: its place among the groups, none if there is no group, and its offsets.
    fn share_of(group: &Group) -> (Option<usize>, u64) {
        let is_consumer = matches!(group.kind, GroupKind::Consumer(_));
        let place = 2 * usize::from(is_consumer) + usize::from(!group.kind.is_empty());
        ((!group.is_vacant()).then_some(place), group.offsets.committed().count() as u64)
    }

    fn move_share(&mut self, before: (Option<usize>, u64), after: (Option<usize>, u64)) {
        if before.0 != after.0 {
            if let Some(count) = before.0.and_then(|place| self.groups.get_mut(place)) {
                *count -= 1;
            }
            if let Some(count) = after.0.and_then(|place| self.groups.get_mut(place)) {
                *count += 1;
            }
        }
        self.offsets = self.offsets + after.1 - before.1;
    }
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
    /// Lets a group decide; one that isn't there is vacant. It is there afterwards if anything is known of it then. What it
    /// writes down is one decision.
    pub(super) fn with_group<T>(
        &mut self,
        moment: &mut Moment<'_>,
        group_id: &Str,
        decide: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> T {
        let begins_at = moment.effects.list.len();
        let mut turn = Turn { now: moment.now, world: moment.world, group_id, effects: &mut *moment.effects };
        if let Some(group) = self.groups.get_mut(group_id) {
            let before = Counts::share_of(group);
            let decided = decide(group, &mut turn);
            group.become_classic_if_due(&mut turn);
            self.counts.move_share(before, Counts::share_of(group));
            let (is_vacant, deadline) = (group.is_vacant(), group.kind.next_deadline());
            if is_vacant {
                self.groups.remove(group_id);
            }
            self.deadlines.set(group_id, deadline.filter(|_| !is_vacant));
            moment.effects.keep_whole(begins_at);
            return decided;
        }
        let mut group = Group::default();
        let decided = decide(&mut group, &mut turn);
        if !group.is_vacant() {
            self.counts.move_share((None, 0), Counts::share_of(&group));
            self.deadlines.set(group_id, group.kind.next_deadline());
            self.groups.insert(group_id.detached(), group);
        }
        moment.effects.keep_whole(begins_at);
        decided
    }

    /// Appends a record, and replays it.
    pub(super) fn emit(&mut self, moment: &mut Moment<'_>, record: GroupRecord) {
        self.emit_append(moment, Append::Record(record));
    }

    pub(super) fn emit_append(&mut self, moment: &mut Moment<'_>, append: Append<GroupRecord>) {
        self.replay(&append);
        moment.effects.append(append);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts offsets that were written for clients.
    pub(super) fn note_commits(&mut self, count: usize) {
        self.counts.commits += count as u64;
    }

    fn next_order(&mut self) -> LogOrder {
        self.order.0 += 1;
        self.order
    }

    /// Changes a group as the log says; one of which nothing is known then is gone.
    fn change(&mut self, group_id: &Str, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.get_mut(group_id) {
            let before = Counts::share_of(group);
            change(group);
            self.counts.move_share(before, Counts::share_of(group));
            if group.is_vacant() {
                self.groups.remove(group_id);
                self.deadlines.set(group_id, None);
            }
            return;
        }
        let mut group = Group::default();
        change(&mut group);
        if !group.is_vacant() {
            self.counts.move_share((None, 0), Counts::share_of(&group));
            self.groups.insert(group_id.detached(), group);
        }
    }

    fn replay_record(&mut self, record: &GroupRecord) {
        let order = self.next_order();
        self.change(record.group(), |group| match record {
            GroupRecord::OffsetCommit { key, value } => group.offsets.replay(key, value.as_ref(), order),
            _ => group.kind.replay(record),
        });
    }

    /// A record of a transaction. Nothing but offsets is committed by transactions; anything else counts at once.
    fn replay_transactional(&mut self, producer: ProducerSession, record: &GroupRecord) {
        let GroupRecord::OffsetCommit { key, value: Some(value) } = record else {
            return self.replay_record(record);
        };
        let order = self.next_order();
        self.transactions.replay_commit(producer, &key.group);
        self.change(&key.group, |group| group.offsets.replay_pending(producer.id, key, value, order));
    }

    fn replay_marker(&mut self, producer: ProducerSession, coordinator_epoch: i32, is_commit: bool) {
        for group_id in self.transactions.replay_end(producer, coordinator_epoch) {
            self.change(&group_id, |group| group.offsets.replay_end(producer.id, is_commit));
        }
    }

    /// Forgets the offsets of topics that have gone since the topics were last looked at.
    fn follow_topics(&mut self, moment: &mut Moment<'_>) {
        let before = std::mem::replace(&mut self.image, Arc::clone(&moment.world.image));
        let image = Arc::clone(&self.image);
        let changes = image.changes_since(&before);
        let removed = changes.topics.iter().filter_map(|change| match change {
            TopicChange::Removed(topic) => Some((topic.name().to_string(), topic.id())),
            TopicChange::Created(_) | TopicChange::Changed { .. } => None,
        });
        let removed: BTreeMap<String, TopicId> = removed.collect();
        if !removed.is_empty() {
            self.forget_topics(moment, |name, id| {
                removed.get(name).is_some_and(|gone| !id.is_some() || *gone == id)
            });
        }
    }

    /// Forgets the offsets of topics that are not there: their deletion was not written down here before a crash.
    fn forget_missing_topics(&mut self, moment: &mut Moment<'_>) {
        let image = Arc::clone(&moment.world.image);
        self.forget_topics(moment, |name, id| match image.topic(name) {
            None => true,
            Some(topic) => id.is_some() && topic.id() != id,
        });
    }

    fn schedule_expiry(&mut self, now: Now, world: &GroupWorld) {
        let interval = Duration::from_millis(world.config.offsets_retention_check_interval_ms);
        self.next_expiry = Some(now.monotonic.after(interval));
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
                    group.on_consumer_heartbeat(turn, ticket, &caller, &request, id_bytes);
                });
            }
            GroupRequest::ListGroups { states, types } => {
                let groups = self.list(&states, &types);
                moment.effects.answer(ticket, GroupAnswer::ListGroups(groups));
            }
            GroupRequest::ConsumerGroupDescribe { group_id } => {
                let row = match self.groups.get(&group_id) {
                    Some(group) => group.describe_consumer(moment.world, &group_id),
                    None => Group::default().describe_consumer(moment.world, &group_id),
                };
                moment.effects.answer(ticket, GroupAnswer::ConsumerGroupDescribe(row));
            }
            GroupRequest::OffsetCommit { version, request } => {
                self.on_offset_commit(moment, ticket, version, &request);
            }
            GroupRequest::OffsetFetch { group, require_stable } => {
                let answer = GroupAnswer::OffsetFetch(self.fetch(&group, require_stable));
                moment.effects.answer(ticket, answer);
            }
            GroupRequest::OffsetDelete { request } => self.on_offset_delete(moment, ticket, &request),
            GroupRequest::BeginTxnOffsetCommit { producer } => {
                let guard = self.transactions.guard_of(producer);
                moment.effects.answer(ticket, GroupAnswer::BeginTxnOffsetCommit(guard));
            }
            GroupRequest::TxnOffsetCommit { version, request, guard } => {
                self.on_txn_offset_commit(moment, ticket, version, (&request, guard));
            }
            GroupRequest::DeleteGroup { group_id } => self.on_delete_group(moment, ticket, &group_id),
            GroupRequest::WriteMarker { producer, coordinator_epoch, is_commit, transaction_version } => {
                let marker = Append::Marker { producer, coordinator_epoch, is_commit };
                self.on_marker(moment, ticket, marker, transaction_version);
            }
        }
    }

    fn on_time(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        for group_id in self.deadlines.due(now.monotonic) {
            self.with_group(&mut moment, &group_id, Group::on_time);
        }
        if self.next_expiry.is_some_and(|due| due <= now.monotonic) {
            self.expire(&mut moment);
            self.forget_missing_topics(&mut moment);
            self.transactions.forget_idle();
            self.schedule_expiry(now, world);
        }
    }

    fn on_world(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        self.follow_topics(&mut moment);
    }

    fn next_deadline(&self) -> Option<MonotonicTime> {
        match (self.deadlines.first(), self.next_expiry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn replay(&mut self, append: &Append<GroupRecord>) {
        match append {
            Append::Record(record) => self.replay_record(record),
            Append::Transactional { producer, record } => self.replay_transactional(*producer, record),
            Append::Marker { producer, coordinator_epoch, is_commit } => {
                self.replay_marker(*producer, *coordinator_epoch, *is_commit);
            }
        }
    }

    fn on_loaded(&mut self, now: Now, world: &GroupWorld, effects: &mut GroupEffects) {
        let mut moment = Moment { now, world, effects };
        let all: Vec<Str> = self.groups.keys().cloned().collect();
        for group_id in all {
            self.with_group(&mut moment, &group_id, Group::on_loaded);
        }
        self.image = Arc::clone(&world.image);
        self.forget_missing_topics(&mut moment);
        self.schedule_expiry(now, world);
    }
}
