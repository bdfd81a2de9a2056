//! Writes the markers of ended transactions, and tells the core when every partition has its own.
//!
//! Partitions of `__consumer_offsets` get theirs through the owners of the groups, which write there alone; others through
//! their shards. A partition that can't take its marker is asked again until it does, or until its topic is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::PartitionIndex;
use ottla_runtime::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::core::{EndedTransaction, MarkerEffect};
use super::kind::TransactionCoordinator;
use super::markers::{AfterError, MarkersUnderWay, after};
use super::request::TransactionRequest;
use super::state::TransactionVersion;
use super::value::TopicPartition;
use crate::controller::Metadata;
use crate::coordinator::group::{GroupAnswer, GroupCoordinator, GroupRequest};
use crate::coordinator::handle::Coordinator;
use crate::coordinator::kind::Kind as _;
use crate::log::marker::TransactionMarker;
use crate::metrics::GaugeShare;
use crate::metrics::table::{TRANSACTION_MARKERS, TRANSACTIONS_ENDED, TRANSACTIONS_ENDING};
use crate::replication::{Partitions, Shards};

/// The pause before a marker is written again, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How often a marker fails before that is worth a line in the log, and after how many tries the next.
const TRIES_PER_WARNING: u32 = 30;

/// What the core of a partition wants done.
#[derive(Debug)]
pub(crate) struct MarkerWanted {
    pub(super) partition: PartitionIndex,
    pub(super) effect: MarkerEffect,
}

/// What markers are written with.
#[derive(Clone)]
pub(crate) struct MarkerParts {
    pub(crate) metadata: Metadata,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) shards: Shards,
    pub(crate) clock: Clock,
    pub(crate) groups: Coordinator<GroupCoordinator>,
    pub(crate) transactions: Coordinator<TransactionCoordinator>,
}

/// Owns the jobs under way.
pub(crate) struct MarkersTask {
    wanted: mpsc::UnboundedReceiver<MarkerWanted>,
    under_way: MarkersUnderWay,
    jobs: FuturesUnordered<BoxFuture<'static, ()>>,
    parts: MarkerParts,
    stop: CancellationToken,
    ending: GaugeShare,
}

impl MarkersTask {
    pub(crate) fn new(
        wanted: mpsc::UnboundedReceiver<MarkerWanted>,
        parts: MarkerParts,
        stop: CancellationToken,
    ) -> MarkersTask {
        MarkersTask {
            wanted,
            under_way: MarkersUnderWay::default(),
            jobs: FuturesUnordered::new(),
            parts,
            stop,
            ending: GaugeShare::new(TRANSACTIONS_ENDING.gauge(&[])),
        }
    }

    /// Runs until it is stopped. Markers that are missing then are written after the next start.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                wanted = self.wanted.recv() => {
                    let Some(MarkerWanted { partition, effect }) = wanted else { return };
                    if let Some(ended) = self.under_way.on_effect(partition, effect) {
                        TRANSACTIONS_ENDED.count(&[if ended.is_commit { "commit" } else { "abort" }], 1);
                        let job = Job { partition, ended, parts: self.parts.clone() };
                        self.jobs.push(Box::pin(job.run()));
                    }
                    self.ending.set_count(self.under_way.count() as u64);
                }
                Some(()) = self.jobs.next(), if !self.jobs.is_empty() => {}
            }
        }
    }
}

/// The markers of one transaction.
struct Job {
    /// The coordinator's partition, whose core decided.
    partition: PartitionIndex,
    ended: EndedTransaction,
    parts: MarkerParts,
}

impl Job {
    async fn run(self) {
        join_all(self.ended.partitions.iter().map(|partition| self.write_until_done(partition))).await;
        self.tell_core().await;
    }

    async fn write_until_done(&self, to: &TopicPartition) {
        let mut tries = 0;
        loop {
            let error = match self.write(to).await {
                Ok(()) => {
                    TRANSACTION_MARKERS.count(&["written"], 1);
                    return;
                }
                Err(error) => error,
            };
            if self.is_gone(to) || after(error) == AfterError::Dropped {
                let EndedTransaction { transactional_id, .. } = &self.ended;
                TRANSACTION_MARKERS.count(&["dropped"], 1);
                debug!(%transactional_id, partition = ?to, %error, "a partition needs no marker any more");
                return;
            }
            TRANSACTION_MARKERS.count(&["failed"], 1);
            tries += 1;
            if tries % TRIES_PER_WARNING == 0 {
                let EndedTransaction { transactional_id, .. } = &self.ended;
                warn!(%transactional_id, partition = ?to, %error, tries, "a transaction's marker can't be written");
            }
            self.parts.clock.sleep(pause(tries)).await;
        }
    }

    async fn write(&self, to: &TopicPartition) -> Result<(), ErrorCode> {
        let coordinator_epoch = self.coordinator_epoch()?;
        let EndedTransaction { producer, is_commit, version, .. } = self.ended;
        if to.topic == GroupCoordinator::TOPIC {
            let transaction_version = match version {
                TransactionVersion::V1 => 1,
                TransactionVersion::V2 => 2,
            };
            let request =
                GroupRequest::WriteMarker { producer, coordinator_epoch, is_commit, transaction_version };
            return match self.parts.groups.ask_partition(to.partition, request).await? {
                GroupAnswer::WriteMarker(ErrorCode::None) => Ok(()),
                GroupAnswer::WriteMarker(error) => Err(error),
                _ => Err(ErrorCode::UnknownServerError),
            };
        }
        let topic = self.parts.partitions.topic(&to.topic);
        let partition = topic.as_ref().and_then(|topic| topic.partition(to.partition.0));
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let marker = TransactionMarker {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            coordinator_epoch,
            committed: is_commit,
        };
        self.parts.shards.append_marker(partition, &marker, self.parts.clock.wall().0).await
    }

    /// The leader epoch of the coordinator's partition: a partition refuses the markers of an older one.
    fn coordinator_epoch(&self) -> Result<i32, ErrorCode> {
        let topic = self.parts.partitions.topic(TransactionCoordinator::TOPIC);
        let partition = topic.as_ref().and_then(|topic| topic.partition(self.partition.0));
        partition.map(|partition| partition.leader_epoch().0).ok_or(ErrorCode::NotCoordinator)
    }

    /// Whether there is no such partition, as far as the metadata knows.
    fn is_gone(&self, to: &TopicPartition) -> bool {
        let image = self.parts.metadata.image();
        let topic = image.topic(&to.topic);
        topic.is_none_or(|topic| topic.partition(to.partition).is_none())
    }

    /// Until the core has taken it in: one that is loaded again meanwhile has to hear it too.
    async fn tell_core(&self) {
        let mut tries = 0;
        loop {
            let request = TransactionRequest::MarkersWritten {
                transactional_id: self.ended.transactional_id.clone(),
                producer: self.ended.producer,
            };
            if self.parts.transactions.ask_partition(self.partition, request).await.is_ok() {
                return;
            }
            tries += 1;
            self.parts.clock.sleep(pause(tries)).await;
        }
    }
}

fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        let millis: Vec<u128> = (1..9).map(|tries| pause(tries).as_millis()).collect();
        assert_eq!(millis, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause(u32::MAX), LAST_PAUSE);
    }
}
