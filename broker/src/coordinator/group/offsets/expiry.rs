//! Offsets that nobody has used for too long, and groups that nothing is left of.
//!
//! | group                                   | its offsets expire                                                   |
//! |-----------------------------------------|----------------------------------------------------------------------|
//! | without members, which it once had      | all, a retention time after the last has left                        |
//! | that never had members                  | each, a retention time after its commit                              |
//! | with members that are consumers         | the same, of topics that no member subscribes to, in a stable group  |
//! | with members of other kinds             | not                                                                  |
//!
//! An offset whose client asked for a time of its own expires then. What an open transaction is about to change stays. A
//! group without members goes with its last offset.

use ottla_protocol::wire::Str;

use super::super::classic::OffsetExpiry;
use super::super::core::{GroupCore, Moment};
use super::super::group::{Group, GroupKind};
use super::super::record::{CommittedOffset, GroupRecord};
use super::delete::tombstone;

impl Group {
    fn offset_expiry(&self) -> OffsetExpiry {
        match &self.kind {
            GroupKind::Simple => OffsetExpiry::SinceCommit,
            GroupKind::Classic(group) => group.offset_expiry(),
            GroupKind::Consumer(_) => OffsetExpiry::SinceCommitUnlessSubscribed,
        }
    }

    /// The tombstones of what has expired by `now_ms`; and whether nothing else is left.
    fn expired(&self, group_id: &Str, now_ms: i64, retention_ms: i64) -> (Vec<GroupRecord>, bool) {
        let rule = self.offset_expiry();
        let mut expired = Vec::new();
        let mut is_all = self.offsets.pending().next().is_none();
        for (topic, partitions) in self.offsets.committed().topics() {
            let is_used =
                matches!(rule, OffsetExpiry::SinceCommitUnlessSubscribed) && self.kind.is_subscribed(topic);
            for (partition, stored) in partitions {
                let is_old = has_expired(rule, &stored.committed, now_ms, retention_ms);
                if !is_used && is_old && !self.offsets.is_pending(topic, *partition) {
                    expired.push(tombstone(group_id, topic, *partition));
                } else {
                    is_all = false;
                }
            }
        }
        (expired, is_all)
    }
}

fn has_expired(rule: OffsetExpiry, offset: &CommittedOffset, now_ms: i64, retention_ms: i64) -> bool {
    let since = match rule {
        OffsetExpiry::Never => return false,
        OffsetExpiry::Since(at) => at.0,
        OffsetExpiry::SinceCommit | OffsetExpiry::SinceCommitUnlessSubscribed => offset.commit_timestamp,
    };
    match offset.expire_timestamp {
        Some(at) => at <= now_ms,
        None => retention_ms <= now_ms.saturating_sub(since),
    }
}

impl GroupCore {
    /// Looks at everything.
    pub(in super::super) fn expire(&mut self, moment: &mut Moment<'_>) {
        let now_ms = moment.now.wall.0;
        let retention_ms = i64::try_from(moment.world.config.offsets_retention_ms).unwrap_or(i64::MAX);
        let all: Vec<Str> = self.groups.keys().cloned().collect();
        for group_id in all {
            let Some(group) = self.groups.get(&group_id) else { continue };
            let (expired, is_all) = group.expired(&group_id, now_ms, retention_ms);
            let is_over = is_all && group.kind.is_empty();
            for record in expired {
                self.emit(moment, record);
            }
            if is_over {
                self.delete_group(moment, &group_id);
            }
        }
    }
}
