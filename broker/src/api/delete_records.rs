//! DeleteRecords: moves the log start of partitions forward, durably before the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsResponsePartition, DeleteRecordsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::topics::is_internal;
use crate::planted;
use crate::replication::Partition;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// The checkpoint gets so long to become durable, however little time the client gives: what was moved is moved.
const SYNC_TIME_MIN: Duration = Duration::from_secs(5);

type Outcome = Result<Offset, ErrorCode>;

impl Handlers {
    /// One row for each partition, however often it is named: of several offsets the last counts, as in Kafka.
    pub(super) async fn delete_records(&self, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        let mut wanted: BTreeMap<Str, BTreeMap<i32, i64>> = BTreeMap::new();
        for topic in request.topics {
            let rows = topic.partitions.iter().map(|row| (row.partition_index, row.offset));
            wanted.entry(topic.name).or_default().extend(rows);
        }
        let rows: Vec<(&Str, i32, i64)> = wanted
            .iter()
            .flat_map(|(name, rows)| rows.iter().map(move |(index, offset)| (name, *index, *offset)))
            .collect();
        // All shards work at the same time, and one sync serves every partition.
        let moves = rows.iter().map(|(name, index, offset)| self.move_log_start(name, *index, *offset));
        let mut outcomes: Vec<Outcome> = join_all(moves).await;
        if outcomes.iter().any(Result::is_ok)
            && !planted::LOG_START_ANSWERED_EARLY
            && let Err(error) = self.log_starts_are_durable(request.timeout_ms).await
        {
            outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|outcome| *outcome = Err(error));
        }
        let mut topics: Vec<DeleteRecordsResponseTopic> = Vec::new();
        for ((name, index, _), outcome) in rows.into_iter().zip(outcomes) {
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(DeleteRecordsResponseTopic { name: name.clone(), partitions: Vec::new() });
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(row(index, outcome));
            }
        }
        DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
    }

    async fn move_log_start(&self, name: &str, index: i32, offset: i64) -> Outcome {
        let partition = self.partition_to_shorten(name, index)?;
        let before = match offset {
            HIGH_WATERMARK => None,
            offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
            offset => Some(Offset(offset)),
        };
        self.shards.delete_records(&partition, before).await
    }

    /// The partition, if records may be deleted from it at all.
    fn partition_to_shorten(&self, name: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let entry = self.partitions.topic(name);
        let partition = entry.as_ref().and_then(|entry| entry.partition(index));
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if is_internal(name) {
            return Err(ErrorCode::InvalidTopicException);
        }
        let policy = partition.topic.config.load().cleanup_policy;
        if policy.compact && !policy.delete {
            // The newest record of each key would go too, against what compaction promises.
            return Err(ErrorCode::PolicyViolation);
        }
        Ok(Arc::clone(partition))
    }

    async fn log_starts_are_durable(&self, timeout_ms: i32) -> Result<(), ErrorCode> {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).max(SYNC_TIME_MIN);
        tokio::select! {
            biased;
            durable = self.safe_ends.durable() => durable.map_err(|_| ErrorCode::KafkaStorageError),
            () = self.clock.sleep(timeout) => Err(ErrorCode::RequestTimedOut),
        }
    }
}

fn row(partition_index: i32, outcome: Outcome) -> DeleteRecordsResponsePartition {
    let (low_watermark, error) = match outcome {
        Ok(log_start) => (log_start, ErrorCode::None),
        Err(error) => (Offset::UNKNOWN, error),
    };
    DeleteRecordsResponsePartition {
        partition_index,
        low_watermark: low_watermark.0,
        error_code: error.code(),
    }
}
