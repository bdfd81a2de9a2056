//! Whose offsets are whose: what a member has to say when it commits or fetches offsets.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;

use super::group::ConsumerGroup;
use super::member::Member;

/// From this version on OffsetCommit carries member epochs.
const EPOCHS_FROM: i16 = 9;

/// Whose commit it is, as the request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberCommit<'a> {
    pub(crate) version: i16,
    pub(crate) member_id: &'a str,
    pub(crate) has_instance_id: bool,
    pub(crate) epoch: i32,
    pub(crate) is_transactional: bool,
}

impl MemberCommit<'_> {
    /// A producer need not know whose offsets it commits; then it answers for them by itself.
    fn is_of_nobody_in_particular(self) -> bool {
        self.is_transactional && self.epoch == -1 && self.member_id.is_empty() && !self.has_instance_id
    }
}

impl ConsumerGroup {
    /// Whether a commit may be made. An epoch that is over is good for a partition that the member has had since then,
    /// and for the whole commit if it is for every partition. `places` are the partitions that it names, without an id
    /// where there is no such topic.
    pub(crate) fn check_member_commit(
        &self,
        commit: MemberCommit<'_>,
        mut places: impl Iterator<Item = (Option<TopicId>, i32)>,
    ) -> Result<(), ErrorCode> {
        if commit.epoch < 0 && self.members.is_empty() || commit.is_of_nobody_in_particular() {
            return Ok(());
        }
        let member = self.members.get(commit.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !commit.is_transactional && !member.is_classic() && commit.version < EPOCHS_FROM {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let has_had = |(topic, partition): (Option<TopicId>, i32)| {
            let current = &member.current;
            let since = topic.and_then(|topic| {
                current.assigned.since(topic, partition).or_else(|| current.revoking.since(topic, partition))
            });
            since.is_some_and(|since| since <= commit.epoch)
        };
        let mut is_late = || commit.epoch < member.current.epoch && places.all(has_had);
        if commit.epoch == member.current.epoch || is_late() {
            return Ok(());
        }
        Err(match commit.is_transactional {
            true => ErrorCode::IllegalGeneration,
            false => stale(member),
        })
    }

    /// Whether offsets may be fetched; without a member id and with a negative epoch nobody in particular asks.
    pub(crate) fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        let Some(member_id) = member_id else {
            return if epoch < 0 { Ok(()) } else { Err(ErrorCode::UnknownMemberId) };
        };
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.current.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }
}

fn stale(member: &Member) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
