//! A consumer group: its members, who is to have what, and who has what.
//!
//! The group epoch counts what the assignment depends on: members, subscriptions, topics. The target is what an assignor
//! made of one of those epochs. Each member has an epoch of its own, which becomes the target's as soon as it has given
//! up what the target takes from it.
//!
//! Invariant: a partition is in the hands of at most one member, in what it has or in what it has yet to give up
//! (`holders` says whose). Epochs never go back, but for a static member's that is away.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

use super::member::{CurrentAssignment, Member, MemberInfo};
use super::partitions::Partitions;
use super::record::{ConsumerGroupRecord, GroupEpoch, ResolvedRegex, TargetEpoch};
use super::rules::Context;
use super::timers::Timers;
use crate::controller::{MetadataImage, MetadataOffset};

/// A group of the consumer protocol.
#[derive(Debug, Default)]
pub(crate) struct ConsumerGroup {
    // What the log says.
    pub(super) epoch: Option<GroupEpoch>,
    pub(super) target_epoch: Option<TargetEpoch>,
    pub(super) members: BTreeMap<Str, Member>,
    pub(super) targets: BTreeMap<Str, Arc<Partitions>>,
    pub(super) regexes: BTreeMap<Str, ResolvedRegex>,

    // What follows from it.
    /// The member of each instance id.
    pub(super) instances: BTreeMap<Str, Str>,
    /// How many members name each topic.
    pub(super) names: BTreeMap<Str, usize>,
    /// How many members subscribe with each regular expression.
    pub(super) regex_counts: BTreeMap<Str, usize>,
    /// How many members ask for each assignor.
    pub(super) assignor_votes: BTreeMap<Str, usize>,
    /// How many members of the classic protocol support each of its protocols.
    pub(super) classic_protocols: BTreeMap<Str, usize>,
    pub(super) classic_count: usize,
    /// In whose hands each partition is.
    holders: BTreeMap<(TopicId, i32), Str>,
    /// The names that the last member came with: most members come with the same, and share them.
    last_names: Arc<[Str]>,

    // What a restart may forget.
    pub(super) timers: Timers,
    /// The metadata that the group's epoch was last compared with.
    pub(super) compared_with: Option<MetadataOffset>,
    /// When the regular expressions were last resolved, and with which metadata.
    pub(super) regexes_resolved: Option<(MonotonicTime, MetadataOffset)>,
    /// When the target was last made.
    pub(super) assigned_at: Option<MonotonicTime>,
    /// A member of this protocol has just left to those of the classic one.
    pub(super) is_to_become_classic: bool,
}

impl ConsumerGroup {
    /// Appends a record, and makes it true.
    pub(super) fn emit(&mut self, ctx: &mut Context<'_>, record: ConsumerGroupRecord) {
        self.replay(&record);
        ctx.records.push(record);
    }

    /// Makes a record true, while the log is read or as the group's own doing.
    pub(crate) fn replay(&mut self, record: &ConsumerGroupRecord) {
        match record {
            ConsumerGroupRecord::GroupEpoch { value, .. } => self.epoch = *value,
            ConsumerGroupRecord::PartitionMetadata { .. } => {}
            ConsumerGroupRecord::TargetEpoch { value, .. } => self.target_epoch = *value,
            ConsumerGroupRecord::Member { member_id, value: Some(info), .. } => {
                self.put_info(member_id, info)
            }
            ConsumerGroupRecord::Member { member_id, value: None, .. } => self.remove_member(member_id),
            ConsumerGroupRecord::TargetMember { member_id, value: Some(target), .. } => {
                self.targets.insert(member_id.clone(), Arc::clone(target));
            }
            ConsumerGroupRecord::TargetMember { member_id, value: None, .. } => {
                self.targets.remove(member_id);
            }
            ConsumerGroupRecord::Current { member_id, value: Some(current), .. } => {
                self.put_current(member_id, current.clone());
            }
            // Its end is the end of its member, whose own tombstone follows.
            ConsumerGroupRecord::Current { member_id, value: None, .. } => {
                if self.members.contains_key(member_id) {
                    self.put_current(member_id, CurrentAssignment::default());
                }
            }
            ConsumerGroupRecord::RegularExpression { regex, value: Some(resolved), .. } => {
                self.regexes.insert(regex.clone(), resolved.clone());
            }
            ConsumerGroupRecord::RegularExpression { regex, value: None, .. } => {
                self.regexes.remove(regex);
            }
        }
    }

    fn put_info(&mut self, member_id: &Str, info: &Arc<MemberInfo>) {
        let mut info = Arc::clone(info);
        if info.subscribed_topic_names == self.last_names {
            if !Arc::ptr_eq(&info.subscribed_topic_names, &self.last_names) {
                let shared = Arc::clone(&self.last_names);
                Arc::make_mut(&mut info).subscribed_topic_names = shared;
            }
        } else {
            self.last_names = Arc::clone(&info.subscribed_topic_names);
        }
        let before = self.members.get(member_id).map(|member| Arc::clone(&member.info));
        self.count(&info, 1);
        if let Some(before) = &before {
            self.count(before, -1);
            self.forget_instance(before, member_id);
        }
        if let Some(instance) = &info.instance_id {
            self.instances.insert(instance.clone(), member_id.clone());
        }
        self.members.entry(member_id.clone()).or_default().info = info;
    }

    fn forget_instance(&mut self, info: &MemberInfo, member_id: &Str) {
        // Its successor may stand there already.
        if let Some(instance) = &info.instance_id
            && self.instances.get(instance) == Some(member_id)
        {
            self.instances.remove(instance);
        }
    }

    fn remove_member(&mut self, member_id: &Str) {
        let Some(member) = self.members.get(member_id) else { return };
        let info = Arc::clone(&member.info);
        self.put_current(member_id, CurrentAssignment::default());
        self.members.remove(member_id);
        self.count(&info, -1);
        self.forget_instance(&info, member_id);
        self.timers.stop_all(member_id);
    }

    fn put_current(&mut self, member_id: &Str, current: CurrentAssignment) {
        let member = self.members.entry(member_id.clone()).or_default();
        let before = std::mem::replace(&mut member.current, current);
        for (topic, partition, _) in before.assigned.iter().chain(before.revoking.iter()) {
            if self.holders.get(&(topic, partition)) == Some(member_id) {
                self.holders.remove(&(topic, partition));
            }
        }
        let current = &member.current;
        for (topic, partition, _) in current.assigned.iter().chain(current.revoking.iter()) {
            self.holders.insert((topic, partition), member_id.clone());
        }
    }

    /// Counts a member's wishes in, or out.
    fn count(&mut self, info: &MemberInfo, by: isize) {
        for name in info.subscribed_topic_names.iter() {
            add(&mut self.names, name, by);
        }
        if let Some(regex) = info.regex() {
            add(&mut self.regex_counts, regex, by);
        }
        if let Some(assignor) = &info.server_assignor {
            add(&mut self.assignor_votes, assignor, by);
        }
        if let Some(classic) = &info.classic {
            for (name, _) in &classic.protocols {
                add(&mut self.classic_protocols, name, by);
            }
            self.classic_count = self.classic_count.saturating_add_signed(by);
        }
    }

    /// The group's epoch; 0 before its first.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch.map_or(0, |epoch| epoch.epoch)
    }

    pub(super) fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |epoch| epoch.metadata_hash)
    }

    /// The group epoch that the target is for; 0 before the first.
    pub(crate) fn target_epoch(&self) -> i32 {
        self.target_epoch.map_or(0, |target| target.epoch)
    }

    pub(super) fn target_of(&self, member_id: &Str) -> &Partitions {
        self.targets.get(member_id).map_or(Partitions::NONE, |target| target)
    }

    /// Whether a partition is in anybody's hands.
    pub(super) fn is_held(&self, topic: TopicId, partition: i32) -> bool {
        self.holders.contains_key(&(topic, partition))
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether no record of it is left.
    pub(crate) fn is_vacant(&self) -> bool {
        self.epoch.is_none()
            && self.target_epoch.is_none()
            && self.members.is_empty()
            && self.targets.is_empty()
            && self.regexes.is_empty()
    }

    /// The name of its state.
    pub(crate) fn state(&self) -> &'static str {
        let target = self.target_epoch();
        if self.members.is_empty() {
            "Empty"
        } else if target < self.epoch() {
            "Assigning"
        } else if self.members.values().any(|member| !member.is_reconciled_to(target)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// Whether a member is subscribed to the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.names.contains_key(topic) || self.regexes.values().any(|resolved| resolved.has(topic))
    }

    /// Whether this member is.
    pub(super) fn member_subscribes(&self, info: &MemberInfo, topic: &str) -> bool {
        let by_name =
            info.subscribed_topic_names.binary_search_by(|name| name.as_bytes().cmp(topic.as_bytes()));
        let resolved = info.regex().and_then(|regex| self.regexes.get(regex));
        by_name.is_ok() || resolved.is_some_and(|resolved| resolved.has(topic))
    }

    /// Every name that members subscribe to, sorted; the topics need not exist.
    pub(super) fn subscribed_names(&self) -> Vec<&Str> {
        let mut names: Vec<&Str> = self.names.keys().collect();
        if !self.regexes.is_empty() {
            names.extend(self.regexes.values().flat_map(|resolved| resolved.topics.iter()));
            names.sort_unstable();
            names.dedup();
        }
        names
    }

    /// When `on_time` is wanted next.
    pub(crate) fn next_deadline(&self) -> Option<MonotonicTime> {
        self.timers.next()
    }

    /// The records that forget it, which the caller appends and replays.
    pub(crate) fn tombstone_records(&self, group_id: &Str) -> Vec<ConsumerGroupRecord> {
        let group_id = group_id.detached();
        let group = || group_id.clone();
        let mut records = Vec::new();
        for member_id in self.members.keys().cloned() {
            records.push(ConsumerGroupRecord::Current { group_id: group(), member_id, value: None });
        }
        for member_id in self.targets.keys().cloned() {
            records.push(ConsumerGroupRecord::TargetMember { group_id: group(), member_id, value: None });
        }
        records.push(ConsumerGroupRecord::TargetEpoch { group_id: group(), value: None });
        for member_id in self.members.keys().cloned() {
            records.push(ConsumerGroupRecord::Member { group_id: group(), member_id, value: None });
        }
        for regex in self.regexes.keys().cloned() {
            records.push(ConsumerGroupRecord::RegularExpression { group_id: group(), regex, value: None });
        }
        // A Kafka before 4.1 may have left one.
        records.push(ConsumerGroupRecord::PartitionMetadata { group_id: group() });
        records.push(ConsumerGroupRecord::GroupEpoch { group_id: group(), value: None });
        records
    }

    /// What has to hold between any two events; for tests.
    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) {
        let mut holders = BTreeMap::new();
        for (member_id, member) in &self.members {
            for (topic, partition, _) in member.current.assigned.iter().chain(member.current.revoking.iter())
            {
                let other = holders.insert((topic, partition), member_id.clone());
                assert_eq!(other, None, "{topic}-{partition} is also {member_id}'s");
            }
        }
        assert_eq!(holders, self.holders);
        assert!(self.target_epoch() <= self.epoch());
        assert!(self.members.values().all(|member| member.current.epoch <= self.target_epoch()));
    }
}

impl ResolvedRegex {
    fn has(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|name| name.as_bytes().cmp(topic.as_bytes())).is_ok()
    }
}

/// The name of the topic with this id.
pub(super) fn topic_name(image: &MetadataImage, id: TopicId) -> Option<&str> {
    image.topic_by_id(id).map(|topic| &**topic.name())
}

fn add(counts: &mut BTreeMap<Str, usize>, key: &Str, by: isize) {
    let count = counts.entry(key.clone()).or_default();
    *count = count.saturating_add_signed(by);
    if *count == 0 {
        counts.remove(key);
    }
}
