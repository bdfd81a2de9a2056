//! DescribeLogDirs: the data directory, its volume, and the sizes of the logs in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::api::describe_log_dirs::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResponsePartition,
    DescribeLogDirsResponseResult, DescribeLogDirsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::disk::Space;
use tokio::sync::oneshot;

use super::Handlers;
use crate::log::disk_state::DiskState;
use crate::replication::Partition;

impl Handlers {
    /// Topics and partitions that are not there are left out without a word, as Kafka does.
    pub(super) async fn describe_log_dirs(&self, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
        let log_dir = Str::from(self.log_directory.to_string_lossy().into_owned());
        if matches!(self.signs.disk_state(), DiskState::Failed(_)) {
            let failed = DescribeLogDirsResponseResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir,
                ..DescribeLogDirsResponseResult::default()
            };
            return DescribeLogDirsResponse { results: vec![failed], ..DescribeLogDirsResponse::default() };
        }
        let wanted = self.partitions_of(&request);
        let sizes = self.sizes_of(&wanted).await;
        let mut topics: BTreeMap<Str, Vec<DescribeLogDirsResponsePartition>> = BTreeMap::new();
        for (partition, size) in wanted.iter().zip(sizes) {
            let rows = topics.entry(Str::copy_of(&partition.topic.name)).or_default();
            rows.push(DescribeLogDirsResponsePartition {
                partition_index: partition.index.0,
                partition_size: i64::try_from(size).unwrap_or(i64::MAX),
                // The one replica that there is leads, and lags behind nobody.
                offset_lag: 0,
                is_future_key: false,
            });
        }
        let space = self.space().await;
        let bytes =
            |of: fn(Space) -> u64| space.map_or(-1, |space| i64::try_from(of(space)).unwrap_or(i64::MAX));
        let topics =
            topics.into_iter().map(|(name, partitions)| DescribeLogDirsResponseTopic { name, partitions });
        DescribeLogDirsResponse {
            results: vec![DescribeLogDirsResponseResult {
                log_dir,
                topics: topics.collect(),
                total_bytes: bytes(|space| space.total),
                usable_bytes: bytes(|space| space.free),
                ..DescribeLogDirsResponseResult::default()
            }],
            ..DescribeLogDirsResponse::default()
        }
    }

    /// The partitions asked for that are there, each once.
    fn partitions_of(&self, request: &DescribeLogDirsRequest) -> Vec<Arc<Partition>> {
        let Some(topics) = &request.topics else { return self.signs.partitions() };
        let named: BTreeSet<(&str, i32)> = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|index| (&*topic.topic, *index)))
            .collect();
        let found = named.into_iter().filter_map(|(name, index)| {
            self.partitions.topic(name).and_then(|entry| entry.partition(index).map(Arc::clone))
        });
        found.collect()
    }

    async fn sizes_of(&self, partitions: &[Arc<Partition>]) -> Vec<u64> {
        let known = self.shards.sizes(partitions).await;
        let mut sizes = Vec::with_capacity(partitions.len());
        for (partition, known) in partitions.iter().zip(known) {
            sizes.push(match known {
                Some(size) => size,
                None => self.look_up_size(partition).await,
            });
        }
        sizes
    }

    /// The size of a log that has not been looked at as a whole yet; 0 if it can't be.
    async fn look_up_size(&self, partition: &Arc<Partition>) -> u64 {
        match self.shards.log_of(partition).await {
            Ok(log) => log.size_on_disk().await.unwrap_or(0),
            Err(_) => 0,
        }
    }

    async fn space(&self) -> Option<Space> {
        let (answer, answered) = oneshot::channel();
        self.signs.ask_space(Box::new(move |space| {
            // Whoever asked may have left meanwhile.
            let _ = answer.send(space);
        }));
        answered.await.ok()?.ok()
    }
}
