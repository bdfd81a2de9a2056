//! The task that owns the metadata log.
//!
//! The task takes all proposals that wait, decides them one after another, writes what they change as one frame,
//! makes it safe, shows the new image, and only then answers. While it waits for the disk the next proposals gather.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ottla_runtime::{Clock, Rng, Runtime, Spawner, watch};
use tokio::sync::{mpsc, oneshot};

use super::frame::TransactionGroup;
use super::ids::MetadataOffset;
use super::image::MetadataImage;
use super::metadata::{Metadata, MetadataFailure, ProposeError, Request};
use super::proposal::{DecisionContext, Outcome, Proposal, decide};
use super::store::{self, EPOCH_ALONE, Opened, Store, WriteError};
use crate::metrics::GaugeShare;
use crate::metrics::table::{
    METADATA_COMMIT_DURATION, METADATA_FAILED, METADATA_RECORDS, METADATA_SNAPSHOTS,
};

/// How many proposals may wait. One more waits outside, in its sender: clients' requests are bounded elsewhere.
const INBOX_LEN: usize = 1024;

/// A group takes no further proposal once it is this large.
const GROUP_BYTES_ENOUGH: usize = 4 << 20;

/// One proposal may not become larger than this. 10,000 partitions take about a megabyte.
const TRANSACTION_BYTES_MAX: usize = 32 << 20;

/// Owns the store. Nobody else writes to it.
pub(super) struct MetadataTask {
    store: Store,
    image: Arc<MetadataImage>,
    clock: Clock,
    rng: Rng,
    spawner: Spawner,
    inbox: mpsc::Receiver<Request>,
    waiting: VecDeque<Request>,
    shown: Arc<ArcSwap<MetadataImage>>,
    changed: watch::Sender<MetadataOffset>,
    failure: watch::Sender<Option<MetadataFailure>>,
    snapshots: Snapshots,
    /// Records that were decided and are not on disk yet.
    undurable_records: u64,
    has_failed: GaugeShare,
}

/// When the next snapshot is due, and the one that is being written.
struct Snapshots {
    after_bytes: u64,
    /// How much log there is behind the last snapshot.
    log_bytes: u64,
    /// How long the last snapshot was, as far as this process knows.
    last_bytes: u64,
    under_way: Option<oneshot::Receiver<SnapshotEnd>>,
}

struct SnapshotEnd {
    index: u64,
    result: std::io::Result<u64>,
}

impl MetadataTask {
    pub(super) fn start(runtime: &Runtime, opened: Opened, rng: Rng, snapshot_after_bytes: u64) -> Metadata {
        let (sender, inbox) = mpsc::channel(INBOX_LEN);
        let image = Arc::new(opened.image);
        let shown = Arc::new(ArcSwap::new(Arc::clone(&image)));
        let (changed, changes) = watch::channel(image.offset());
        let (failure, failures) = watch::channel(None);
        let task = MetadataTask {
            store: opened.store,
            image,
            clock: runtime.clock.clone(),
            rng,
            spawner: runtime.spawner.clone(),
            inbox,
            waiting: VecDeque::new(),
            shown: Arc::clone(&shown),
            changed,
            failure,
            snapshots: Snapshots {
                after_bytes: snapshot_after_bytes,
                log_bytes: opened.replayed_bytes,
                last_bytes: 0,
                under_way: None,
            },
            undurable_records: 0,
            has_failed: GaugeShare::new(METADATA_FAILED.gauge(&[])),
        };
        // The task's end shows in the channels that it holds.
        drop(runtime.spawner.spawn("metadata", task.run()));
        Metadata {
            inbox: sender,
            shown,
            changed: changes,
            failure: failures,
            identity: opened.identity,
            is_new: opened.is_new,
        }
    }

    async fn run(mut self) {
        let mut received = Vec::new();
        loop {
            if self.waiting.is_empty() {
                tokio::select! {
                    biased;
                    end = snapshot_end(&mut self.snapshots.under_way) => self.on_snapshot(end).await,
                    count = self.inbox.recv_many(&mut received, INBOX_LEN) => {
                        if count == 0 {
                            break;
                        }
                        self.waiting.extend(received.drain(..));
                    }
                }
            }
            if let Some(closing) = self.turn().await {
                self.finish_snapshot().await;
                let MetadataTask { store, .. } = self;
                drop(store);
                // The one who closes may have gone away.
                let _unheard = closing.send(());
                return;
            }
        }
        self.finish_snapshot().await;
    }

    /// Decides what waits, writes it, shows it and answers it. Answers whoever wants the log closed.
    async fn turn(&mut self) -> Option<oneshot::Sender<()>> {
        let mut next = MetadataImage::clone(&self.image);
        let mut group = TransactionGroup::new(EPOCH_ALONE);
        let mut answers = Vec::new();
        let mut closing = None;
        while let Some(request) = self.waiting.pop_front() {
            match request {
                Request::Propose(proposal, answer) => {
                    let result = self.decide(&mut next, *proposal, &mut group);
                    answers.push((answer, result));
                }
                Request::Close(done) => {
                    closing = Some(done);
                    break;
                }
            }
            if GROUP_BYTES_ENOUGH < group.len_bytes() {
                break;
            }
        }
        // Even an answer that changes nothing may rest on a change that is not safe yet.
        let written = self.commit(next, &group).await;
        for (answer, result) in answers {
            // Whoever asked may have gone away; what was decided stands.
            let _unheard = answer.send(written.clone().and(result));
        }
        if written.is_ok() && !group.is_empty() {
            self.snapshot_if_due().await;
        }
        closing
    }

    /// Decides one proposal on top of all those before it.
    fn decide(
        &mut self,
        next: &mut MetadataImage,
        proposal: Proposal,
        group: &mut TransactionGroup,
    ) -> Result<Outcome, ProposeError> {
        if let Some(failure) = self.failure.borrow().clone() {
            return Err(failure.into());
        }
        let mut context = DecisionContext { now: self.clock.wall(), rng: &mut self.rng };
        let decision = decide(next, proposal, &mut context);
        if decision.records.is_empty() {
            return Ok(decision.outcome);
        }
        let index = next.offset().index + 1;
        let length = group.push_at_most(index, &decision.records, TRANSACTION_BYTES_MAX);
        if TRANSACTION_BYTES_MAX < length {
            return Err(ProposeError::TooLarge(length));
        }
        self.undurable_records += decision.records.len() as u64;
        for record in &decision.records {
            next.apply(record).expect("what was decided on an image can be applied to it");
        }
        next.advance_to(MetadataOffset { epoch: EPOCH_ALONE, index });
        Ok(decision.outcome)
    }

    /// Makes a group safe and shows the image that holds it.
    async fn commit(&mut self, next: MetadataImage, group: &TransactionGroup) -> Result<(), ProposeError> {
        if group.is_empty() {
            return Ok(());
        }
        let frame = Bytes::from(group.to_frame());
        self.snapshots.log_bytes += frame.len() as u64;
        let (began, records) = (self.clock.now(), std::mem::take(&mut self.undurable_records));
        self.store.append(frame).await.map_err(|error| self.on_write_error(error))?;
        METADATA_COMMIT_DURATION.histogram(&[]).record(self.clock.now().since(began));
        METADATA_RECORDS.count(&[], records);
        self.image = Arc::new(next);
        // The image first: whoever hears of the change finds it there.
        self.shown.store(Arc::clone(&self.image));
        self.changed.send_replace(self.image.offset());
        Ok(())
    }

    fn on_write_error(&mut self, error: WriteError) -> ProposeError {
        match error {
            WriteError::Full => {
                tracing::warn!("the disk is full: metadata can't be changed until there is room");
                ProposeError::DiskFull
            }
            WriteError::Final(reason) => {
                tracing::error!(%reason, "the metadata log has failed and takes no further change");
                self.has_failed.set(1.0);
                let failure = MetadataFailure(reason);
                self.failure.send_replace(Some(failure.clone()));
                failure.into()
            }
        }
    }

    /// Begins a snapshot once there is much log behind the last one. The log goes on in a new segment, so that the
    /// old ones can go when the snapshot is safe.
    async fn snapshot_if_due(&mut self) {
        let due_at = self.snapshots.after_bytes.max(self.snapshots.last_bytes);
        if self.snapshots.under_way.is_some() || self.snapshots.log_bytes < due_at {
            return;
        }
        self.snapshots.log_bytes = 0;
        let index = self.image.offset().index;
        if let Err(error) = self.store.roll(index + 1).await {
            // When full, it is tried again after as much log; a failure is final and has been noted.
            self.on_write_error(error);
            return;
        }
        let (done, end) = oneshot::channel();
        let image = Arc::clone(&self.image);
        let (disk, directory) = (self.store.disk().clone(), self.store.directory().to_owned());
        let write = async move {
            let result = store::write_snapshot(&disk, &directory, &image).await;
            // The task waits for it unless the whole process is ending.
            let _unheard = done.send(SnapshotEnd { index, result });
        };
        drop(self.spawner.spawn("metadata-snapshot", write));
        self.snapshots.under_way = Some(end);
    }

    async fn on_snapshot(&mut self, end: Option<SnapshotEnd>) {
        let Some(SnapshotEnd { index, result }) = end else { return };
        match result {
            Ok(bytes) => {
                METADATA_SNAPSHOTS.count(&[], 1);
                tracing::debug!(index, bytes, "metadata snapshot written");
                self.snapshots.last_bytes = bytes;
                self.store.on_snapshot(index).await;
            }
            Err(error) if store::is_full(&error) => {
                tracing::warn!("the disk is full: the metadata snapshot is tried again later");
            }
            Err(error) => {
                self.on_write_error(store::failed("writing a snapshot in", self.store.directory(), &error));
            }
        }
    }

    /// The directory is not left while something writes into it.
    async fn finish_snapshot(&mut self) {
        if self.snapshots.under_way.is_some() {
            let end = snapshot_end(&mut self.snapshots.under_way).await;
            self.on_snapshot(end).await;
        }
    }
}

/// The end of the snapshot under way; never, if there is none.
async fn snapshot_end(under_way: &mut Option<oneshot::Receiver<SnapshotEnd>>) -> Option<SnapshotEnd> {
    match under_way {
        None => std::future::pending().await,
        Some(end) => {
            let ended = end.await.ok();
            *under_way = None;
            ended
        }
    }
}
