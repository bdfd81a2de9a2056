//! What a group's part is given for one event: the moment, the world, and where its effects go.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_protocol::wire::Str;

use super::super::core::{Append, Effects, Now, Ticket};
use super::record::GroupRecord;
use super::request::GroupAnswer;
use crate::config::GroupsConfig;
use crate::controller::{ConfigResource, MetadataImage};

/// What decisions about groups look at besides the groups.
#[derive(Debug, Clone)]
pub(crate) struct GroupWorld {
    pub(crate) image: Arc<MetadataImage>,
    /// With what was set at run time for brokers.
    pub(crate) config: Arc<GroupsConfig>,
    /// The largest record that the topic of the groups takes: its `max.message.bytes`.
    pub(crate) record_bytes_max: usize,
}

impl GroupWorld {
    /// The configs of a group, with its own.
    pub(crate) fn config_of(&self, group_id: &str) -> Cow<'_, GroupsConfig> {
        match self.image.configs(&ConfigResource::Group(group_id.to_owned())) {
            None => Cow::Borrowed(&self.config),
            Some(own) => Cow::Owned(GroupsConfig::clone(&self.config).of_group(own)),
        }
    }
}

/// What groups want done besides records and answers: nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupEffect {}

pub(crate) type GroupEffects = Effects<GroupRecord, GroupAnswer, GroupEffect>;

/// One event of one group.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) world: &'a GroupWorld,
    pub(crate) group_id: &'a Str,
    pub(crate) effects: &'a mut GroupEffects,
}

impl Turn<'_> {
    /// Appends a record. Whoever emits it has replayed it, or does so at once.
    pub(crate) fn append(&mut self, record: GroupRecord) {
        self.effects.append(Append::Record(record));
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: GroupAnswer) {
        self.effects.answer(ticket, answer);
    }
}

/// Whose commit it is, as the request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitIdentity<'a> {
    /// The version of the request: OffsetCommit's, or TxnOffsetCommit's.
    pub(crate) version: i16,
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a Str>,
    pub(crate) generation_or_epoch: i32,
    pub(crate) is_transactional: bool,
}

/// A partition that a commit names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitPlace<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}
