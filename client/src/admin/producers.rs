//! The producers whose state partitions keep: what is there to tell repeats and gaps by, and which transaction hangs.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersRequestTopic, DescribeProducersResponse,
    DescribeProducersResponseProducer,
};
use ottla_protocol::types::{Offset, PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;

use super::Admin;
use super::leaders::{Partition, Question, Told, by_topic};
use super::tries::{Outcomes, outcome_of};

/// What a partition knows of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of its last record; `None` if only the end of a transaction is known.
    pub last_sequence: Option<i32>,
    /// The timestamp of its last batch, in milliseconds since the Unix epoch.
    pub last_timestamp: Option<i64>,
    /// The epoch of the coordinator that last ended a transaction of it; `None` if none did.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins, if it has one.
    pub current_txn_start_offset: Option<Offset>,
}

impl Admin {
    /// The producers of each partition, by id, asked of its leader.
    pub async fn describe_producers(
        &self,
        partitions: &[(&str, PartitionIndex)],
    ) -> Outcomes<(String, PartitionIndex), BTreeMap<ProducerId, ActiveProducer>> {
        let asked: BTreeSet<Partition> =
            partitions.iter().map(|(topic, index)| ((*topic).to_owned(), *index)).collect();
        let request = |question: &Question, _timeout_ms| {
            let topic = |(name, partition_indexes)| DescribeProducersRequestTopic {
                name: Str::copy_of(name),
                partition_indexes,
            };
            let topics = by_topic(question, |partition, _| partition.1.0);
            DescribeProducersRequest { topics: topics.into_iter().map(topic).collect() }
        };
        self.ask_leaders(asked, request, told).await
    }
}

fn told(answer: DescribeProducersResponse) -> Told<BTreeMap<ProducerId, ActiveProducer>> {
    let topics = answer.topics.iter();
    let rows = topics.flat_map(|topic| topic.partitions.iter().map(|row| (topic.name.to_string(), row)));
    let told = rows.map(|(topic, row)| {
        let producers = || row.active_producers.iter().map(producer).collect();
        let outcome = outcome_of(row.error_code, row.error_message.as_deref(), producers);
        ((topic, PartitionIndex(row.partition_index)), outcome)
    });
    told.collect()
}

fn producer(told: &DescribeProducersResponseProducer) -> (ProducerId, ActiveProducer) {
    let producer = ActiveProducer {
        // On the wire it has room for more than an epoch.
        epoch: ProducerEpoch(i16::try_from(told.producer_epoch).unwrap_or(-1)),
        last_sequence: Some(told.last_sequence).filter(|sequence| *sequence >= 0),
        last_timestamp: Some(told.last_timestamp).filter(|timestamp| *timestamp >= 0),
        coordinator_epoch: Some(told.coordinator_epoch).filter(|epoch| *epoch >= 0),
        current_txn_start_offset: (told.current_txn_start_offset >= 0)
            .then_some(Offset(told.current_txn_start_offset)),
    };
    (ProducerId(told.producer_id), producer)
}
