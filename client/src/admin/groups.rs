//! Groups: list, describe and delete them, whichever protocol their members speak.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponseAssignment,
    ConsumerGroupDescribeResponseGroup, ConsumerGroupDescribeResponseMember,
};
use ottla_protocol::api::delete_groups::DeleteGroupsRequest;
use ottla_protocol::api::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponseGroup, DescribeGroupsResponseMember,
};
use ottla_protocol::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::consumer_protocol::{partitions_of, topics_of};
use super::coordinators::{Coordinated, is_unsupported};
use super::tries::{Outcomes, outcome_of};
use crate::error::{BrokerError, Error};

/// The protocol type of groups whose members are consumers.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Which groups are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupFilter {
    /// Those in one of these states, such as `Stable` or `Empty`; empty for any. Upper and lower case are alike.
    pub states: Vec<String>,
    /// Those of one of these types, such as `classic` or `consumer`; empty for any. Upper and lower case are alike.
    pub types: Vec<String>,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// `consumer` for consumers; empty where nothing but offsets is there.
    pub protocol_type: String,
    /// Its state; `None` from a broker that doesn't tell.
    pub state: Option<String>,
    /// `classic`, `consumer` and the like, in Kafka in small letters; `None` from a broker that doesn't tell.
    pub group_type: Option<String>,
    /// Who coordinates it.
    pub coordinator: BrokerId,
}

/// The partitions of topics.
pub type PartitionsByTopic = BTreeMap<String, BTreeSet<PartitionIndex>>;

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// `Empty`, `Stable` and so on.
    pub state: String,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// Who assigns: the assignor for consumers; empty where nothing is assigned.
    pub assignor: String,
    /// The epochs of the group and of its assignment; `None` for a classic group.
    pub epochs: Option<(i32, i32)>,
    /// Who coordinates it.
    pub coordinator: BrokerId,
    /// By their member ids.
    pub members: BTreeMap<String, GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMember {
    /// What makes it a static member, if it is one.
    pub instance_id: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it is, as the broker sees it.
    pub host: String,
    /// Its rack, if it told.
    pub rack: Option<String>,
    /// Its epoch; `None` in a classic group.
    pub epoch: Option<i32>,
    /// The topics that it names.
    pub subscribed_topics: BTreeSet<String>,
    /// The regular expression for more of them.
    pub subscribed_regex: Option<String>,
    /// What it has now. Empty where the group's protocol is not that of consumers.
    pub assignment: PartitionsByTopic,
    /// What it is to have; in a classic group the same.
    pub target_assignment: PartitionsByTopic,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

impl GroupDescription {
    /// Whether it speaks the classic protocol.
    pub fn is_classic(&self) -> bool {
        self.epochs.is_none()
    }
}

impl Admin {
    /// The groups of all brokers, by their ids.
    pub async fn list_groups(&self, filter: &GroupFilter) -> Result<BTreeMap<String, GroupListing>, Error> {
        let words = |words: &[String]| words.iter().map(|word| Str::copy_of(word)).collect();
        let request =
            ListGroupsRequest { states_filter: words(&filter.states), types_filter: words(&filter.types) };
        let read = |broker, answer| listed(broker, &answer);
        let mut groups = BTreeMap::new();
        for of_broker in self.ask_every_broker(&request, read).await?.into_values() {
            groups.extend(of_broker);
        }
        groups.retain(|_, group| filter.takes(group));
        Ok(groups)
    }

    /// Groups with their members, of either protocol.
    pub async fn describe_groups(&self, groups: &[&str]) -> Outcomes<String, GroupDescription> {
        let names = groups.iter().map(|group| (*group).to_owned());
        let request = |names: &[String]| ConsumerGroupDescribeRequest {
            group_ids: names.iter().map(|name| Str::copy_of(name)).collect(),
            include_authorized_operations: false,
        };
        let mut told = self
            .ask_coordinators(Coordinated::Groups, names, request, |coordinator, answer| {
                let groups = answer.groups.iter();
                groups.map(|it| (it.group_id.to_string(), consumer_group(coordinator, it))).collect()
            })
            .await;
        // A classic group is not found there; an older broker doesn't know the other kind.
        let is_elsewhere = |outcome: &Result<GroupDescription, Error>| match outcome {
            Ok(_) => false,
            Err(error) => {
                let code = error.error_code();
                is_unsupported(error)
                    || matches!(code, Some(ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion))
            }
        };
        let elsewhere: Vec<String> =
            told.iter().filter(|(_, it)| is_elsewhere(it)).map(|(name, _)| name.clone()).collect();
        if !elsewhere.is_empty() {
            told.extend(self.describe_classic_groups(elsewhere).await);
        }
        told
    }

    async fn describe_classic_groups(&self, names: Vec<String>) -> Outcomes<String, GroupDescription> {
        let request = |names: &[String]| DescribeGroupsRequest {
            groups: names.iter().map(|name| Str::copy_of(name)).collect(),
            include_authorized_operations: false,
        };
        self.ask_coordinators(Coordinated::Groups, names, request, |coordinator, answer| {
            let groups = answer.groups.iter();
            groups.map(|it| (it.group_id.to_string(), classic_group(coordinator, it))).collect()
        })
        .await
    }

    /// Deletes groups that have no members, with the offsets that they have committed.
    pub async fn delete_groups(&self, groups: &[&str]) -> Outcomes<String, ()> {
        let names = groups.iter().map(|group| (*group).to_owned());
        let request = |names: &[String]| DeleteGroupsRequest {
            groups_names: names.iter().map(|name| Str::copy_of(name)).collect(),
        };
        self.ask_coordinators(Coordinated::Groups, names, request, |_, answer| {
            let rows = answer.results.iter();
            rows.map(|row| (row.group_id.to_string(), outcome_of(row.error_code, None, || ()))).collect()
        })
        .await
    }
}

impl GroupFilter {
    /// Once more here: an older broker passes over what it doesn't know.
    fn takes(&self, group: &GroupListing) -> bool {
        let is_among = |words: &[String], told: &Option<String>| {
            words.is_empty()
                || told.as_ref().is_some_and(|told| words.iter().any(|word| word.eq_ignore_ascii_case(told)))
        };
        is_among(&self.states, &group.state) && is_among(&self.types, &group.group_type)
    }
}

fn listed(
    coordinator: BrokerId,
    answer: &ListGroupsResponse,
) -> Result<BTreeMap<String, GroupListing>, Error> {
    let told = |text: &Str| Some(text.to_string()).filter(|text| !text.is_empty());
    let rows = answer.groups.iter().map(|row| {
        let listing = GroupListing {
            protocol_type: row.protocol_type.to_string(),
            state: told(&row.group_state),
            group_type: told(&row.group_type),
            coordinator,
        };
        (row.group_id.to_string(), listing)
    });
    outcome_of(answer.error_code, None, || rows.collect())
}

fn consumer_group(
    coordinator: BrokerId,
    told: &ConsumerGroupDescribeResponseGroup,
) -> Result<GroupDescription, Error> {
    let members =
        || told.members.iter().map(|it| (it.member_id.to_string(), GroupMember::from(it))).collect();
    outcome_of(told.error_code, told.error_message.as_deref(), || GroupDescription {
        state: told.group_state.to_string(),
        protocol_type: CONSUMER_PROTOCOL_TYPE.to_owned(),
        assignor: told.assignor_name.to_string(),
        epochs: Some((told.group_epoch, told.assignment_epoch)),
        coordinator,
        members: members(),
    })
}

/// On the wire: a member that speaks the classic protocol.
const CLASSIC_MEMBER: i8 = 0;

impl From<&ConsumerGroupDescribeResponseMember> for GroupMember {
    fn from(told: &ConsumerGroupDescribeResponseMember) -> GroupMember {
        let text =
            |text: &Option<Str>| text.as_ref().map(ToString::to_string).filter(|text| !text.is_empty());
        GroupMember {
            instance_id: text(&told.instance_id),
            client_id: told.client_id.to_string(),
            host: told.client_host.to_string(),
            rack: text(&told.rack_id),
            epoch: Some(told.member_epoch),
            subscribed_topics: told.subscribed_topic_names.iter().map(ToString::to_string).collect(),
            subscribed_regex: text(&told.subscribed_topic_regex),
            assignment: partitions(&told.assignment),
            target_assignment: partitions(&told.target_assignment),
            is_classic: told.member_type == CLASSIC_MEMBER,
        }
    }
}

fn partitions(told: &ConsumerGroupDescribeResponseAssignment) -> PartitionsByTopic {
    let topics = told.topic_partitions.iter();
    let row = |indexes: &[i32]| indexes.iter().copied().map(PartitionIndex).collect();
    topics.map(|topic| (topic.topic_name.to_string(), row(&topic.partitions))).collect()
}

/// What a broker before version 6 of DescribeGroups says of a group that isn't there.
const DEAD: &str = "Dead";

fn classic_group(
    coordinator: BrokerId,
    told: &DescribeGroupsResponseGroup,
) -> Result<GroupDescription, Error> {
    outcome_of(told.error_code, told.error_message.as_deref(), || ())?;
    if told.group_state == DEAD {
        let code = ErrorCode::GroupIdNotFound.code();
        return Err(Error::Broker(BrokerError { code, message: None }));
    }
    let is_of_consumers = told.protocol_type == CONSUMER_PROTOCOL_TYPE;
    let members = told.members.iter();
    Ok(GroupDescription {
        state: told.group_state.to_string(),
        protocol_type: told.protocol_type.to_string(),
        assignor: told.protocol_data.to_string(),
        epochs: None,
        coordinator,
        members: members.map(|it| (it.member_id.to_string(), classic_member(it, is_of_consumers))).collect(),
    })
}

/// What members say to each other is theirs: where it can't be read nothing is told of it.
fn classic_member(told: &DescribeGroupsResponseMember, is_of_consumers: bool) -> GroupMember {
    let assignment = is_of_consumers.then(|| partitions_of(told.member_assignment.clone()).ok()).flatten();
    let topics = is_of_consumers.then(|| topics_of(told.member_metadata.clone()).ok()).flatten();
    let assignment = assignment.unwrap_or_default();
    GroupMember {
        instance_id: told.group_instance_id.as_ref().map(ToString::to_string),
        client_id: told.client_id.to_string(),
        host: told.client_host.to_string(),
        subscribed_topics: topics.unwrap_or_default(),
        target_assignment: assignment.clone(),
        assignment,
        is_classic: true,
        ..GroupMember::default()
    }
}
