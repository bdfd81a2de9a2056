//! The data directories of brokers, and how much of which partition lies in them.

use std::collections::BTreeMap;

use ottla_protocol::api::describe_log_dirs::{
    DescribeLogDirsRequest, DescribeLogDirsRequestTopic, DescribeLogDirsResponse,
    DescribeLogDirsResponseResult,
};
use ottla_protocol::types::{BrokerId, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::error::{BrokerError, Error};
use crate::network::pool::Target;

/// A data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Why it is of no use, if it isn't.
    pub error: Option<BrokerError>,
    /// The bytes of its volume, where the broker tells.
    pub total_bytes: Option<u64>,
    /// Those of them that are free.
    pub usable_bytes: Option<u64>,
    /// Whether it takes no new partitions.
    pub is_cordoned: bool,
    /// The replicas in it, by topic and partition.
    pub replicas: BTreeMap<(String, PartitionIndex), LogDirReplica>,
}

/// A replica in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDirReplica {
    /// The bytes of its log files.
    pub bytes: u64,
    /// How far its end is behind the high watermark, or behind the replica that it is to replace.
    pub offset_lag: i64,
    /// Whether it is on its way into this directory.
    pub is_future: bool,
}

impl Admin {
    /// The data directories of each broker by their paths, with the partitions of these topics, or with `None` of all.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[BrokerId],
        topics: Option<&BTreeMap<String, Vec<PartitionIndex>>>,
    ) -> Outcomes<BrokerId, BTreeMap<String, LogDir>> {
        let topic = |(name, partitions): (&String, &Vec<PartitionIndex>)| DescribeLogDirsRequestTopic {
            topic: Str::copy_of(name),
            partitions: partitions.iter().map(|index| index.0).collect(),
        };
        let topics = topics.map(|topics| topics.iter().map(topic).collect());
        let request = DescribeLogDirsRequest { topics };
        let mut tries = Tries::new(&self.cluster, brokers.iter().copied());
        while let Some(left) = tries.next().await {
            for broker in left {
                match self.cluster.call_until(&tries.deadline, Target::Broker(broker), &request).await {
                    Ok(answer) => tries.on_outcome(&broker, told(&answer)),
                    Err(error) => tries.on_failure(&[broker], &error),
                }
            }
        }
        tries.into_outcomes()
    }
}

fn told(answer: &DescribeLogDirsResponse) -> Result<BTreeMap<String, LogDir>, Error> {
    let directories = answer.results.iter().map(|told| (told.log_dir.to_string(), directory(told)));
    outcome_of(answer.error_code, None, || directories.collect())
}

fn directory(told: &DescribeLogDirsResponseResult) -> LogDir {
    let rows = told.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |row| (topic, row)));
    let replicas = rows.map(|(topic, row)| {
        let replica = LogDirReplica {
            bytes: u64::try_from(row.partition_size).unwrap_or(0),
            offset_lag: row.offset_lag,
            is_future: row.is_future_key,
        };
        ((topic.name.to_string(), PartitionIndex(row.partition_index)), replica)
    });
    LogDir {
        error: BrokerError::check(told.error_code, None).err(),
        total_bytes: u64::try_from(told.total_bytes).ok(),
        usable_bytes: u64::try_from(told.usable_bytes).ok(),
        is_cordoned: told.is_cordoned,
        replicas: replicas.collect(),
    }
}
