//! When the group's epoch grows, and the target that is made for it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ottla_protocol::wire::Str;

use super::assignor::{Assignor, MemberToAssign, Problem, TopicToAssign};
use super::group::ConsumerGroup;
use super::metadata_hash::{group_hash, racks_of, topic_hash};
use super::partitions::Partitions;
use super::record::{ConsumerGroupRecord, GroupEpoch, TargetEpoch};
use super::rules::{ConsumerRules, Context};
use crate::controller::MetadataImage;

/// What a member subscribes to, and the topics that this comes to.
type Alike<'a> = (*const [Str], Option<&'a Str>, Rc<[usize]>);

impl ConsumerGroup {
    /// Raises the group's epoch if what it depends on has changed: `has_changed` says that members or subscriptions have;
    /// whether topics have is found out here, if the metadata is newer than when it was last looked at.
    pub(super) fn raise_epoch_if_due(&mut self, ctx: &mut Context<'_>, has_changed: bool) {
        let offset = ctx.image.offset();
        if !has_changed && self.epoch.is_some() && self.compared_with == Some(offset) {
            return;
        }
        self.compared_with = Some(offset);
        let metadata_hash = self.hash_of_topics(ctx.image);
        if self.epoch.is_some() && !has_changed && metadata_hash == self.metadata_hash() {
            return;
        }
        // A new group is at 1 before anything has changed, as in Kafka.
        let before = self.epoch().max(i32::from(has_changed || metadata_hash != 0));
        let value = Some(GroupEpoch { epoch: before + 1, metadata_hash });
        self.emit(ctx, ConsumerGroupRecord::GroupEpoch { group_id: ctx.group_id.detached(), value });
    }

    fn hash_of_topics(&self, image: &MetadataImage) -> i64 {
        let names = self.subscribed_names();
        group_hash(names.into_iter().filter_map(|name| Some((name, topic_hash(image, image.topic(name)?)))))
    }

    /// Makes a target for the group's epoch if there is none and enough time has passed since the last.
    pub(super) fn assign_if_due(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.monotonic;
        let is_early = self.assigned_at.is_some_and(|at| now.since(at) < ctx.rules.assignment_interval);
        if self.epoch() <= self.target_epoch() || is_early {
            return;
        }
        let targets = self.solve(ctx);
        for (member_id, target) in self.members.keys().cloned().zip(targets).collect::<Vec<_>>() {
            if self.targets.get(&member_id).is_some_and(|before| **before == target) {
                continue;
            }
            let (group_id, value) = (ctx.group_id.detached(), Some(Arc::new(target)));
            self.emit(ctx, ConsumerGroupRecord::TargetMember { group_id, member_id, value });
        }
        let value = Some(TargetEpoch { epoch: self.epoch(), made_at: ctx.now.wall.0 });
        self.emit(ctx, ConsumerGroupRecord::TargetEpoch { group_id: ctx.group_id.detached(), value });
        self.assigned_at = Some(now);
    }

    /// The new target of each member, in their order.
    fn solve(&self, ctx: &Context<'_>) -> Vec<Partitions> {
        let names = self.subscribed_names();
        let existing: Vec<(&Str, _)> =
            names.into_iter().filter_map(|name| Some((name, ctx.image.topic(name)?))).collect();
        let places: BTreeMap<&[u8], usize> =
            existing.iter().enumerate().map(|(place, (name, _))| (name.as_bytes(), place)).collect();
        let topics = existing.iter().map(|(_, topic)| TopicToAssign {
            id: topic.id(),
            partition_count: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            racks: racks_of(ctx.image, topic),
        });
        let mut last: Option<Alike<'_>> = None;
        let mut members = Vec::with_capacity(self.members.len());
        for (member_id, member) in &self.members {
            let info = &*member.info;
            let names = Arc::as_ptr(&info.subscribed_topic_names);
            // Members that subscribe alike share their names, and so their topics.
            let topics = match &last {
                Some((known, regex, topics))
                    if std::ptr::addr_eq(*known, names) && *regex == info.regex() =>
                {
                    Rc::clone(topics)
                }
                _ => self.places_of(info, &places),
            };
            last = Some((names, info.regex(), Rc::clone(&topics)));
            members.push(MemberToAssign {
                member_id,
                instance_id: info.instance_id.as_deref(),
                rack_id: info.rack_id.as_deref(),
                topics,
                current: self.target_of(member_id),
            });
        }
        self.assignor(ctx.rules).assign(&Problem { topics: topics.collect(), members })
    }

    fn places_of(&self, info: &super::member::MemberInfo, places: &BTreeMap<&[u8], usize>) -> Rc<[usize]> {
        let resolved = info.regex().and_then(|regex| self.regexes.get(regex));
        let by_regex = resolved.into_iter().flat_map(|resolved| resolved.topics.iter());
        let names = info.subscribed_topic_names.iter().chain(by_regex);
        let mut found: Vec<usize> = names.filter_map(|name| places.get(name.as_bytes()).copied()).collect();
        found.sort_unstable();
        found.dedup();
        found.into()
    }

    /// The assignor that most members ask for, the earlier one of the configuration if there are two; the default if
    /// nobody asks.
    pub(crate) fn assignor(&self, rules: &ConsumerRules) -> Assignor {
        let votes = |assignor: &Assignor| self.assignor_votes.get(assignor.name()).copied().unwrap_or(0);
        let most = rules.assignors.iter().rev().max_by_key(|assignor| votes(assignor));
        most.copied().unwrap_or(Assignor::Uniform)
    }
}
