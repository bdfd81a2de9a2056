//! The task that owns the metadata log, and the handle that everybody else holds.
//!
//! The task takes all proposals that wait, decides them one after another, writes what they change as one frame,
//! makes it safe, shows the new image, and only then answers. While it waits for the disk the next proposals gather.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_runtime::{Clock, Rng, Runtime, Spawner};
use tokio::sync::{mpsc, oneshot, watch};

use super::frame::TransactionGroup;
use super::identity::Identity;
use super::ids::{ClusterId, DirectoryId, MetadataOffset, random_id};
use super::image::MetadataImage;
use super::proposal::{
    ConfigChange, CreateTopics, DecisionContext, DeleteTopics, Outcome, ProducerIdBlock, Proposal,
    RegisterNode, SetConfigsError, decide,
};
use super::store::{self, EPOCH_ALONE, OpenError, OpenOptions, Opened, Store, WriteError};
use super::topics::{CreateTopicError, CreatedTopic, DeletedTopic};

/// How many proposals may wait. One more waits outside, in its sender: clients' requests are bounded elsewhere.
const INBOX_LEN: usize = 1024;

/// A group takes no further proposal once it is this large.
const GROUP_BYTES_ENOUGH: usize = 4 << 20;

/// One proposal may not become larger than this. 10,000 partitions take about a megabyte.
const TRANSACTION_BYTES_MAX: usize = 32 << 20;

/// The metadata log, as everybody but its task sees it. Cheap to clone; when the last clone is gone the log closes.
#[derive(Clone)]
pub struct Metadata {
    inbox: mpsc::Sender<Request>,
    shown: Arc<ArcSwap<MetadataImage>>,
    changed: watch::Receiver<MetadataOffset>,
    failure: watch::Receiver<Option<MetadataFailure>>,
    identity: Identity,
    is_new: bool,
}

/// Why the log takes no further change. It is final: a new start has to look at what the disk really holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metadata log has failed: {0}")]
pub struct MetadataFailure(pub String);

/// Why a proposal was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The log has failed. Whether this proposal is on disk is not known; a new start will tell.
    #[error(transparent)]
    Failed(#[from] MetadataFailure),
    /// The disk is full. Nothing was changed, and it may be tried again.
    #[error("the disk is full")]
    DiskFull,
    /// The change is too large to be made at once. Nothing was changed.
    #[error("the change takes {0} bytes, which is too much at once")]
    TooLarge(usize),
    /// The log is closed.
    #[error("the metadata log is closed")]
    Closed,
}

impl ProposeError {
    /// What the wire says of every row of a request whose proposal came to this.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ProposeError::Failed(_) | ProposeError::DiskFull => ErrorCode::KafkaStorageError,
            ProposeError::TooLarge(_) => ErrorCode::PolicyViolation,
            // The broker is stopping: another one, or this one started again, can do it.
            ProposeError::Closed => ErrorCode::NotController,
        }
    }
}

enum Request {
    Propose(Box<Proposal>, Answer),
    Close(oneshot::Sender<()>),
}

type Answer = oneshot::Sender<Result<Outcome, ProposeError>>;

impl Metadata {
    /// Opens the metadata log in a data directory, makes both at the first start, and records that this node has
    /// started.
    pub async fn open(runtime: &Runtime, options: OpenOptions) -> Result<Metadata, OpenError> {
        let mut rng = runtime.rng.fork();
        let opened = store::open(&runtime.disk, &options, runtime.clock.wall(), &mut rng).await?;
        let Opened { store, image, identity, is_new, replayed_bytes } = opened;
        tracing::debug!(
            cluster_id = %identity.cluster_id,
            offset = %image.offset(),
            topics = image.topic_count(),
            partitions = image.partition_count(),
            "metadata loaded"
        );
        let incarnation = random_id(&mut rng);
        let metadata = MetadataTask::start(
            runtime,
            Opened { store, image, identity, is_new, replayed_bytes },
            rng,
            options.snapshot_after_bytes,
        );
        let node = RegisterNode {
            broker: options.node_id,
            incarnation,
            directories: vec![identity.directory_id],
            endpoints: options.endpoints,
            rack: options.rack,
        };
        metadata.propose(Proposal::RegisterNode(node)).await?;
        Ok(metadata)
    }

    /// Changes something. Answers once the change is safe on disk and every later look at the image shows it.
    pub async fn propose(&self, proposal: Proposal) -> Result<Outcome, ProposeError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Propose(Box::new(proposal), answer);
        self.inbox.send(request).await.map_err(|_| self.closed())?;
        answered.await.unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> ProposeError {
        self.failure.borrow().clone().map_or(ProposeError::Closed, ProposeError::Failed)
    }

    /// Images from now on.
    pub fn follow(&self) -> ImageFollower {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        ImageFollower { current: self.shown.load_full(), shown: Arc::clone(&self.shown), changed }
    }

    /// The cluster as of now. Whoever looks often holds an [`ImageFollower`].
    pub fn image(&self) -> Arc<MetadataImage> {
        self.shown.load_full()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> ClusterId {
        self.identity.cluster_id
    }

    /// This node's id.
    pub fn node_id(&self) -> BrokerId {
        self.identity.node_id
    }

    /// The data directory's id.
    pub fn directory_id(&self) -> DirectoryId {
        self.identity.directory_id
    }

    /// Whether the cluster was created by this start.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Completes when the log fails, which it may never do.
    pub fn failed(&self) -> impl Future<Output = MetadataFailure> + Send + 'static {
        let mut failure = self.failure.clone();
        async move {
            match failure.wait_for(Option::is_some).await.map(|failure| (*failure).clone()) {
                Ok(Some(failure)) => failure,
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Stops taking proposals and completes once the data directory is free. Those made before are answered.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inbox.send(Request::Close(done)).await.is_ok() {
            // An error means that the task ended on its own.
            let _ended = closed.await;
        }
    }

    /// [`Proposal::CreateTopics`], with its own outcome.
    pub async fn create_topics(
        &self,
        request: CreateTopics,
    ) -> Result<Vec<(String, Result<CreatedTopic, CreateTopicError>)>, ProposeError> {
        match self.propose(Proposal::CreateTopics(request)).await? {
            Outcome::TopicsCreated(rows) => Ok(rows),
            other => unreachable!("CreateTopics was answered with {other:?}"),
        }
    }

    /// [`Proposal::DeleteTopics`], with its own outcome.
    pub async fn delete_topics(&self, request: DeleteTopics) -> Result<Vec<DeletedTopic>, ProposeError> {
        match self.propose(Proposal::DeleteTopics(request)).await? {
            Outcome::TopicsDeleted(rows) => Ok(rows),
            other => unreachable!("DeleteTopics was answered with {other:?}"),
        }
    }

    /// [`Proposal::AllocateProducerIds`] for this node; none once all ids are given away.
    pub async fn allocate_producer_ids(&self) -> Result<Option<ProducerIdBlock>, ProposeError> {
        match self.propose(Proposal::AllocateProducerIds { broker: self.node_id() }).await? {
            Outcome::ProducerIds(block) => Ok(block),
            other => unreachable!("AllocateProducerIds was answered with {other:?}"),
        }
    }

    /// [`Proposal::SetConfigs`], with its own outcome.
    pub async fn set_configs(
        &self,
        changes: Vec<ConfigChange>,
    ) -> Result<Vec<Result<(), SetConfigsError>>, ProposeError> {
        match self.propose(Proposal::SetConfigs { changes }).await? {
            Outcome::ConfigsSet(results) => Ok(results),
            other => unreachable!("SetConfigs was answered with {other:?}"),
        }
    }
}

/// Looks at the newest image without waiting for anybody, and waits for the next.
#[derive(Clone)]
pub struct ImageFollower {
    current: Arc<MetadataImage>,
    shown: Arc<ArcSwap<MetadataImage>>,
    changed: watch::Receiver<MetadataOffset>,
}

/// The log is closed; there will be no further image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the metadata log is closed")]
pub struct FollowEnd;

impl ImageFollower {
    /// The newest image.
    pub fn current(&mut self) -> &Arc<MetadataImage> {
        if self.changed.has_changed().unwrap_or(false) {
            self.changed.mark_unchanged();
            self.current = self.shown.load_full();
        }
        &self.current
    }

    /// The image that was looked at last.
    pub fn seen(&self) -> &Arc<MetadataImage> {
        &self.current
    }

    /// Waits for an image that was not looked at yet. Several changes may have gone into it:
    /// [`MetadataImage::changes_since`] says which.
    pub async fn next(&mut self) -> Result<&Arc<MetadataImage>, FollowEnd> {
        self.changed.changed().await.map_err(|_| FollowEnd)?;
        self.current = self.shown.load_full();
        Ok(&self.current)
    }
}

/// Owns the store. Nobody else writes to it.
struct MetadataTask {
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
    fn start(runtime: &Runtime, opened: Opened, rng: Rng, snapshot_after_bytes: u64) -> Metadata {
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
        self.store.append(frame).await.map_err(|error| self.on_write_error(error))?;
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
