//! The metadata log as everybody but its task sees it: propose changes, follow images.

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_runtime::{Runtime, watch};
use tokio::sync::{mpsc, oneshot};

use super::configs::{AlterConfigs, AlterConfigsError};
use super::identity::Identity;
use super::ids::{ClusterId, DirectoryId, MetadataOffset, random_id};
use super::image::MetadataImage;
use super::metadata_task::MetadataTask;
use super::proposal::{
    CreatePartitions, CreateTopics, DeleteTopics, Outcome, ProducerIdBlock, Proposal, RegisterNode,
};
use super::store::{self, OpenError, OpenOptions};
use super::topics::{CreatePartitionsError, CreateTopicError, CreatedTopic, DeletedTopic};

/// The metadata log, as everybody but its task sees it. Cheap to clone; when the last clone is gone the log closes.
#[derive(Clone)]
pub struct Metadata {
    pub(super) inbox: mpsc::Sender<Request>,
    pub(super) shown: Arc<ArcSwap<MetadataImage>>,
    pub(super) changed: watch::Receiver<MetadataOffset>,
    pub(super) failure: watch::Receiver<Option<MetadataFailure>>,
    pub(super) identity: Identity,
    pub(super) is_new: bool,
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

/// What the task is asked.
pub(super) enum Request {
    Propose(Box<Proposal>, Answer),
    Close(oneshot::Sender<()>),
}

pub(super) type Answer = oneshot::Sender<Result<Outcome, ProposeError>>;

impl Metadata {
    /// Opens the metadata log in a data directory, makes both at the first start, and records that this node has
    /// started.
    pub async fn open(runtime: &Runtime, options: OpenOptions) -> Result<Metadata, OpenError> {
        let mut rng = runtime.rng.fork();
        let opened = store::open(&runtime.disk, &options, runtime.clock.wall(), &mut rng).await?;
        let (identity, image) = (opened.identity, &opened.image);
        tracing::debug!(
            cluster_id = %identity.cluster_id,
            offset = %image.offset(),
            topics = image.topic_count(),
            partitions = image.partition_count(),
            "metadata loaded"
        );
        let incarnation = random_id(&mut rng);
        let metadata = MetadataTask::start(runtime, opened, rng, options.snapshot_after_bytes);
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

    /// Why the log has failed, if it has.
    pub fn failure(&self) -> Option<MetadataFailure> {
        self.failure.borrow().clone()
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

    /// [`Proposal::CreatePartitions`], with its own outcome.
    pub async fn create_partitions(
        &self,
        request: CreatePartitions,
    ) -> Result<Vec<(String, Result<(), CreatePartitionsError>)>, ProposeError> {
        match self.propose(Proposal::CreatePartitions(request)).await? {
            Outcome::PartitionsCreated(rows) => Ok(rows),
            other => unreachable!("CreatePartitions was answered with {other:?}"),
        }
    }

    /// [`Proposal::AlterConfigs`], with its own outcome.
    pub async fn alter_configs(
        &self,
        request: AlterConfigs,
    ) -> Result<Vec<Result<(), AlterConfigsError>>, ProposeError> {
        match self.propose(Proposal::AlterConfigs(request)).await? {
            Outcome::ConfigsAltered(results) => Ok(results),
            other => unreachable!("AlterConfigs was answered with {other:?}"),
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
