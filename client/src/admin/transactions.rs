//! Transactions: list and describe them, and end those that nobody ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponseState,
};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use ottla_protocol::api::write_txn_markers::{
    WriteTxnMarkersRequest, WriteTxnMarkersRequestMarker, WriteTxnMarkersRequestTopic,
    WriteTxnMarkersResponse,
};
use ottla_protocol::types::{BrokerId, PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::wire::Str;

use super::Admin;
use super::coordinators::Coordinated;
use super::leaders::{Partition, Question, Told, by_topic};
use super::tries::{Outcomes, outcome_of};
use crate::error::Error;

/// Which transactional ids are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionFilter {
    /// Those in one of these states, such as `Ongoing`; empty for any.
    pub states: Vec<String>,
    /// Those with one of these producer ids; empty for any.
    pub producer_ids: Vec<ProducerId>,
    /// Those whose transaction has been running for longer; an older broker passes over it.
    pub running_longer_than: Option<Duration>,
}

/// A transactional id in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// Whose it is.
    pub producer_id: ProducerId,
    /// `Empty`, `Ongoing`, `CompleteCommit` and so on.
    pub state: String,
    /// Who coordinates it.
    pub coordinator: BrokerId,
}

/// Where a transactional id stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// Who coordinates it.
    pub coordinator: BrokerId,
    /// `Empty`, `Ongoing`, `CompleteCommit` and so on.
    pub state: String,
    /// Whose it is.
    pub producer_id: ProducerId,
    /// Which incarnation of that producer.
    pub producer_epoch: ProducerEpoch,
    /// How long a transaction may take.
    pub timeout: Duration,
    /// When the last transaction began, in milliseconds since the Unix epoch; `None` if there was none.
    pub started_at: Option<i64>,
    /// The partitions of the transaction; while it ends, those without a marker.
    pub partitions: BTreeSet<(String, PartitionIndex)>,
}

/// A transaction in a partition that no coordinator ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HangingTransaction {
    /// The partition's topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// Whose transaction it is.
    pub producer_id: ProducerId,
    /// Which incarnation of that producer.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator that last ended a transaction of it there; `None` if none did.
    pub coordinator_epoch: Option<i32>,
}

impl Admin {
    /// The transactional ids of all brokers.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<BTreeMap<String, TransactionListing>, Error> {
        let longer = filter.running_longer_than;
        let request = ListTransactionsRequest {
            state_filters: filter.states.iter().map(|state| Str::copy_of(state)).collect(),
            producer_id_filters: filter.producer_ids.iter().map(|id| id.0).collect(),
            duration_filter: longer
                .map_or(-1, |longer| i64::try_from(longer.as_millis()).unwrap_or(i64::MAX)),
            transactional_id_pattern: None,
        };
        let read = |broker, answer| listed(broker, &answer);
        let of_brokers = self.ask_every_broker(&request, read).await?;
        Ok(of_brokers.into_values().flatten().collect())
    }

    /// Where transactional ids stand, asked of their coordinators.
    pub async fn describe_transactions(&self, ids: &[&str]) -> Outcomes<String, TransactionDescription> {
        let names = ids.iter().map(|id| (*id).to_owned());
        let request = |names: &[String]| DescribeTransactionsRequest {
            transactional_ids: names.iter().map(|name| Str::copy_of(name)).collect(),
        };
        self.ask_coordinators(Coordinated::TransactionalIds, names, request, |coordinator, answer| {
            let states = answer.transaction_states.iter();
            let row = |it| outcome_of_state(coordinator, it);
            states.map(|it| (it.transactional_id.to_string(), row(it))).collect()
        })
        .await
    }

    /// Locks the producer out that has this transactional id, as if a new one came: its open transaction is aborted, and
    /// it can't go on. Tells the id and the epoch that count from now on.
    pub async fn fence_producer(&self, transactional_id: &str) -> Result<(ProducerId, ProducerEpoch), Error> {
        // Nobody uses the epoch that it gives, so the time-out is of no matter.
        let request = || InitProducerIdRequest {
            transactional_id: Some(Str::copy_of(transactional_id)),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        self.ask_coordinator(Coordinated::TransactionalIds, transactional_id, request, |answer| {
            let fenced = || (ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch));
            outcome_of(answer.error_code, None, fenced)
        })
        .await
    }

    /// Writes into the partition that the transaction was aborted, whatever its coordinator knows. For transactions that
    /// hang: where a coordinator still knows it, partitions of one transaction may end in different ways.
    pub async fn abort_transaction(&self, hanging: &HangingTransaction) -> Result<(), Error> {
        let key = (hanging.topic.clone(), hanging.partition);
        let request = |question: &Question, _timeout_ms| {
            let topic = |(name, partition_indexes)| WriteTxnMarkersRequestTopic {
                name: Str::copy_of(name),
                partition_indexes,
            };
            let topics = by_topic(question, |partition, _| partition.1.0);
            let marker = WriteTxnMarkersRequestMarker {
                producer_id: hanging.producer_id.0,
                producer_epoch: hanging.producer_epoch.0,
                transaction_result: false,
                topics: topics.into_iter().map(topic).collect(),
                coordinator_epoch: hanging.coordinator_epoch.unwrap_or(0),
                transaction_version: 0,
            };
            WriteTxnMarkersRequest { markers: vec![marker] }
        };
        let mut outcomes = self.ask_leaders([key.clone()], request, written).await;
        outcomes.remove(&key).unwrap_or(Err(Error::NotMentioned { api: "WriteTxnMarkers" }))
    }
}

fn listed(
    coordinator: BrokerId,
    answer: &ListTransactionsResponse,
) -> Result<BTreeMap<String, TransactionListing>, Error> {
    let rows = answer.transaction_states.iter().map(|row| {
        let listing = TransactionListing {
            producer_id: ProducerId(row.producer_id),
            state: row.transaction_state.to_string(),
            coordinator,
        };
        (row.transactional_id.to_string(), listing)
    });
    outcome_of(answer.error_code, None, || rows.collect())
}

fn outcome_of_state(
    coordinator: BrokerId,
    told: &DescribeTransactionsResponseState,
) -> Result<TransactionDescription, Error> {
    let topics = told.topics.iter();
    let partitions = topics.flat_map(|topic| {
        topic.partitions.iter().map(|index| (topic.topic.to_string(), PartitionIndex(*index)))
    });
    outcome_of(told.error_code, None, || TransactionDescription {
        coordinator,
        state: told.transaction_state.to_string(),
        producer_id: ProducerId(told.producer_id),
        producer_epoch: ProducerEpoch(told.producer_epoch),
        timeout: Duration::from_millis(u64::try_from(told.transaction_timeout_ms).unwrap_or(0)),
        started_at: Some(told.transaction_start_time_ms).filter(|at| *at >= 0),
        partitions: partitions.collect(),
    })
}

fn written(answer: WriteTxnMarkersResponse) -> Told<()> {
    let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
    let rows = topics.flat_map(|topic| topic.partitions.iter().map(|row| (topic.name.to_string(), row)));
    let told = rows.map(|(topic, row)| {
        let partition: Partition = (topic, PartitionIndex(row.partition_index));
        (partition, outcome_of(row.error_code, None, || ()))
    });
    told.collect()
}
