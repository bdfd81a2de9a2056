//! The group as ConsumerGroupDescribe shows it.

use ottla_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeResponseAssignment, ConsumerGroupDescribeResponseGroup,
    ConsumerGroupDescribeResponseMember, ConsumerGroupDescribeResponseTopicPartitions,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::group::{ConsumerGroup, topic_name};
use super::member::{Member, MemberInfo};
use super::partitions::Held;
use super::rules::ConsumerRules;
use crate::controller::MetadataImage;

/// As DescribeTopics shows operations that nobody asked for.
const NOT_ASKED_FOR: i32 = i32::MIN;

impl ConsumerGroup {
    pub(crate) fn describe(
        &self,
        group_id: &Str,
        image: &MetadataImage,
        rules: &ConsumerRules,
    ) -> ConsumerGroupDescribeResponseGroup {
        ConsumerGroupDescribeResponseGroup {
            group_id: group_id.clone(),
            group_state: Str::from_static(self.state()),
            group_epoch: self.epoch(),
            assignment_epoch: self.target_epoch(),
            assignor_name: Str::from_static(self.assignor(rules).name()),
            members: self
                .members
                .iter()
                .map(|(id, member)| self.describe_member(id, member, image))
                .collect(),
            authorized_operations: NOT_ASKED_FOR,
            ..ConsumerGroupDescribeResponseGroup::default()
        }
    }

    fn describe_member(
        &self,
        member_id: &Str,
        member: &Member,
        image: &MetadataImage,
    ) -> ConsumerGroupDescribeResponseMember {
        let MemberInfo { instance_id, rack_id, client_id, client_host, .. } = &*member.info;
        // What it is giving up is still its own.
        let current = &member.current;
        let held: Held = current.assigned.iter().chain(current.revoking.iter()).collect();
        let target = self.target_of(member_id).topics();
        ConsumerGroupDescribeResponseMember {
            member_id: member_id.clone(),
            instance_id: instance_id.clone(),
            rack_id: rack_id.clone(),
            member_epoch: member.current.epoch,
            client_id: client_id.clone(),
            client_host: client_host.clone(),
            subscribed_topic_names: member.info.subscribed_topic_names.to_vec(),
            subscribed_topic_regex: Some(member.info.subscribed_topic_regex.clone().unwrap_or_default()),
            assignment: shown(
                image,
                held.topics().map(|(topic, held)| (topic, held.iter().map(|(index, _)| *index).collect())),
            ),
            target_assignment: shown(image, target.map(|(topic, partitions)| (topic, partitions.to_vec()))),
            member_type: i8::from(!member.is_classic()),
        }
    }
}

/// Topics that are gone have no name to be shown by.
fn shown(
    image: &MetadataImage,
    topics: impl Iterator<Item = (TopicId, Vec<i32>)>,
) -> ConsumerGroupDescribeResponseAssignment {
    let rows = topics.filter_map(|(topic_id, partitions)| {
        let topic_name = Str::copy_of(topic_name(image, topic_id)?);
        Some(ConsumerGroupDescribeResponseTopicPartitions { topic_id, topic_name, partitions })
    });
    ConsumerGroupDescribeResponseAssignment { topic_partitions: rows.collect() }
}
