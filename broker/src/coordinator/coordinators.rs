//! Every kind of coordinator of a broker.

use std::sync::Arc;

use ottla_runtime::{Spawner, TaskEnd, TaskHandle};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::group::GroupCoordinator;
use super::handle::{Coordinator, CoordinatorParts};
use super::transaction::{MarkerParts, MarkerWanted, MarkersTask, TransactionCoordinator};

/// Every kind of coordinator of a broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Coordinators {
    groups: Coordinator<GroupCoordinator>,
    transactions: Coordinator<TransactionCoordinator>,
    markers: Arc<Markers>,
}

/// The task that writes transactions' markers.
struct Markers {
    task: Mutex<Option<TaskHandle>>,
    stop: CancellationToken,
    failure: watch::Sender<Option<String>>,
}

impl Coordinators {
    /// Starts them. They load while requests may already come. What the cores of transactions want done comes in by
    /// `wanted`.
    pub(crate) fn start(
        groups: GroupCoordinator,
        transactions: TransactionCoordinator,
        wanted: mpsc::UnboundedReceiver<MarkerWanted>,
        parts: CoordinatorParts,
    ) -> Coordinators {
        let groups = Coordinator::start(Arc::new(groups), parts.clone());
        let transactions = Coordinator::start(Arc::new(transactions), parts.clone());
        let CoordinatorParts { metadata, partitions, shards, clock, spawner, .. } = parts;
        let (groups_too, transactions_too) = (groups.clone(), transactions.clone());
        let marker_parts = MarkerParts {
            metadata,
            partitions,
            shards,
            clock,
            groups: groups_too,
            transactions: transactions_too,
        };
        let markers = Markers::start(&spawner, wanted, marker_parts);
        Coordinators { groups, transactions, markers }
    }

    /// Groups.
    pub(crate) fn groups(&self) -> &Coordinator<GroupCoordinator> {
        &self.groups
    }

    /// Transactions.
    pub(crate) fn transactions(&self) -> &Coordinator<TransactionCoordinator> {
        &self.transactions
    }

    /// Completes when one of them has met a bug, and says so.
    pub(crate) async fn failed(&self) -> String {
        tokio::select! {
            biased;
            reason = self.groups.failed() => reason,
            reason = self.transactions.failed() => reason,
            reason = self.markers.failed() => reason,
        }
    }

    /// Answers what is under way, refuses what waits, and ends. The shards have to be there still.
    pub(crate) async fn stop(&self) {
        self.markers.stop().await;
        self.transactions.stop().await;
        self.groups.stop().await;
    }
}

impl Markers {
    fn start(
        spawner: &Spawner,
        wanted: mpsc::UnboundedReceiver<MarkerWanted>,
        parts: MarkerParts,
    ) -> Arc<Markers> {
        let stop = CancellationToken::new();
        let running = spawner.spawn("markers", MarkersTask::new(wanted, parts, stop.clone()).run());
        let markers = Arc::new(Markers { task: Mutex::default(), stop, failure: watch::Sender::new(None) });
        let watched = Arc::downgrade(&markers);
        let watching = spawner.spawn("watch", async move {
            if let TaskEnd::Panicked(message) = running.await
                && let Some(markers) = watched.upgrade()
            {
                markers.failure.send_replace(Some(format!("a bug in the writer of markers: {message}")));
            }
        });
        *markers.task.lock() = Some(watching);
        markers
    }

    async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|failure| (*failure).clone()) {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _end = task.await;
        }
    }
}
