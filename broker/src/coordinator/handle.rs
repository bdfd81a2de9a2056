//! The handle to one kind of coordinator: finds the task that owns an id, and asks it.
//!
//! The tasks follow the metadata: there is one for each partition of the internal topic from the moment that this broker
//! has the partition until the topic is gone. The topic is made when somebody first asks for an id.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, TopicId};
use ottla_runtime::{Clock, Spawner, TaskEnd, TaskHandle, watch};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::kind::{AnswerOf, Kind, RequestOf, WorldOf};
use super::task::{Asked, INBOX_LENGTH, Task, TaskParts};
use crate::controller::topics::{AutoCreation, InternalTopicSettings, TopicDefaults, auto_creation};
use crate::controller::{CreateTopics, ImageFollower, Metadata};
use crate::replication::{Partitions, Shards, TopicEntry};

/// How many cores are loaded at a time, over all partitions of one kind: more would only share the processors.
const LOADS_AT_A_TIME: usize = 4;
/// How long a request waits until the internal topic, which was just made, has its tasks.
const TOPIC_WITHIN: Duration = Duration::from_secs(5);

/// What coordinators are started with.
#[derive(Clone)]
pub(crate) struct CoordinatorParts {
    pub(crate) metadata: Metadata,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) shards: Shards,
    pub(crate) clock: Clock,
    pub(crate) spawner: Spawner,
    /// How the internal topics are made.
    pub(crate) internal_topics: InternalTopicSettings,
    pub(crate) topic_defaults: TopicDefaults,
}

/// One kind of coordinator. Cheap to clone.
pub(crate) struct Coordinator<K: Kind> {
    shared: Arc<Shared<K>>,
}

impl<K: Kind> Clone for Coordinator<K> {
    fn clone(&self) -> Coordinator<K> {
        Coordinator { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<K: Kind> {
    kind: Arc<K>,
    parts: CoordinatorParts,
    /// The tasks, as soon as there is a topic.
    tasks: watch::Sender<Option<Tasks<K>>>,
    /// Held while the topic is made, so that one request makes it and the others wait.
    creation: tokio::sync::Mutex<()>,
    running: Mutex<Vec<TaskHandle>>,
    stop: CancellationToken,
    failure: watch::Sender<Option<String>>,
}

/// The tasks of one topic; the place is the partition's index.
struct Tasks<K: Kind> {
    topic: TopicId,
    inboxes: Vec<mpsc::Sender<Asked<K>>>,
    /// Ends them when the topic goes.
    stop: CancellationToken,
}

impl<K: Kind> Coordinator<K> {
    /// Starts the tasks of all partitions that there are. Completes at once: they load while requests may already come.
    pub(super) fn start(kind: Arc<K>, parts: CoordinatorParts) -> Coordinator<K> {
        let mut images = parts.metadata.follow();
        let image = Arc::clone(images.current());
        let (world, _) = watch::channel(Arc::new(kind.world(&image)));
        let shared = Arc::new(Shared {
            kind,
            parts,
            tasks: watch::Sender::new(None),
            creation: tokio::sync::Mutex::new(()),
            running: Mutex::default(),
            stop: CancellationToken::new(),
            failure: watch::Sender::new(None),
        });
        let loads = Arc::new(Semaphore::new(LOADS_AT_A_TIME));
        let mut follower = Follower { shared: Arc::clone(&shared), images, world, loads };
        follower.take_topic();
        let stop = shared.stop.clone();
        let spawner = shared.parts.spawner.clone();
        let following = spawner.spawn("coordinators", async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = follower.run() => {}
            }
        });
        shared.watch(following);
        Coordinator { shared }
    }

    /// Asks the owner of `id`. The answer may take long: a JoinGroup waits for its round.
    ///
    /// Errors, besides those of an answer: NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE and COORDINATOR_LOAD_IN_PROGRESS
    /// ask for another try; UNKNOWN_SERVER_ERROR if what would have to be written is too large.
    pub(crate) async fn ask(&self, id: &str, request: RequestOf<K>) -> Result<AnswerOf<K>, ErrorCode> {
        self.ensure_topic().await?;
        let inbox = self.with_tasks(|tasks| {
            let partition = partition_of(id, tasks.inboxes.len());
            tasks.inboxes.get(partition).cloned()
        });
        send(inbox, request).await
    }

    /// Asks the owner of a partition. Errors as for [`Coordinator::ask`]; NOT_COORDINATOR if there is no such partition.
    pub(crate) async fn ask_partition(
        &self,
        partition: PartitionIndex,
        request: RequestOf<K>,
    ) -> Result<AnswerOf<K>, ErrorCode> {
        let index = usize::try_from(partition.0).map_err(|_| ErrorCode::NotCoordinator)?;
        let inbox = self.with_tasks(|tasks| tasks.inboxes.get(index).cloned());
        if inbox.is_none() {
            return Err(ErrorCode::NotCoordinator);
        }
        send(inbox, request).await
    }

    /// Asks the owners of all partitions, and gives their answers in the partitions' order. Without a topic there are none.
    pub(crate) async fn ask_all(
        &self,
        mut request: impl FnMut() -> RequestOf<K>,
    ) -> Vec<Result<AnswerOf<K>, ErrorCode>> {
        let inboxes = self.with_tasks(|tasks| Some(tasks.inboxes.clone())).unwrap_or_default();
        let asked = inboxes.into_iter().map(|inbox| send(Some(inbox), request()));
        futures_util::future::join_all(asked).await
    }

    /// The partition that keeps what there is of `id`; nothing before there is a topic.
    pub(crate) fn partition_of(&self, id: &str) -> Option<PartitionIndex> {
        self.with_tasks(|tasks| {
            let index = partition_of(id, tasks.inboxes.len());
            i32::try_from(index).ok().map(PartitionIndex)
        })
    }

    /// Makes the internal topic unless it is there. COORDINATOR_NOT_AVAILABLE if that can't be done now.
    pub(crate) async fn ensure_topic(&self) -> Result<(), ErrorCode> {
        let shared = &self.shared;
        if shared.tasks.borrow().is_some() {
            return Ok(());
        }
        if shared.stop.is_cancelled() {
            return Err(ErrorCode::NotCoordinator);
        }
        let _only_one = shared.creation.lock().await;
        let mut tasks = shared.tasks.subscribe();
        if tasks.borrow_and_update().is_some() {
            return Ok(());
        }
        let image = shared.parts.metadata.image();
        let settings = &shared.parts.internal_topics;
        if let AutoCreation::Create(topic) = auto_creation(&image, K::TOPIC, true, settings) {
            let proposal = CreateTopics {
                topics: vec![*topic],
                validate_only: false,
                timeout_ms: i32::MAX,
                defaults: shared.parts.topic_defaults,
            };
            let created = shared.parts.metadata.create_topics(proposal).await;
            let error = match created {
                Ok(rows) => rows.into_iter().find_map(|(_, row)| row.err()).map(|error| error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = error {
                warn!(topic = K::TOPIC, %error, "an internal topic can't be created");
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
        }
        tokio::select! {
            biased;
            there = tasks.wait_for(Option::is_some) => there.map(|_| ()).map_err(|_| ErrorCode::NotCoordinator),
            () = shared.parts.clock.sleep(TOPIC_WITHIN) => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    fn with_tasks<T>(&self, look: impl FnOnce(&Tasks<K>) -> Option<T>) -> Option<T> {
        self.shared.tasks.borrow().as_ref().and_then(look)
    }

    /// Answers what is under way, refuses what waits, and ends the tasks. The shards have to be there still.
    pub(super) async fn stop(&self) {
        self.shared.stop.cancel();
        let running = std::mem::take(&mut *self.shared.running.lock());
        for task in running {
            let _end = task.await;
        }
    }

    /// Completes when a task has met a bug, and says which.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|failure| (*failure).clone()) {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// Asks the task behind `inbox`; one that is gone is no coordinator any more.
async fn send<K: Kind>(
    inbox: Option<mpsc::Sender<Asked<K>>>,
    request: RequestOf<K>,
) -> Result<AnswerOf<K>, ErrorCode> {
    let inbox = inbox.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let (answer, answered) = oneshot::channel();
    inbox.send(Asked { request, answer }).await.map_err(|_| ErrorCode::NotCoordinator)?;
    answered.await.unwrap_or(Err(ErrorCode::NotCoordinator))
}

/// The partition of an id: Java's hash of the string, whose sign bit is cleared, as in Kafka.
pub(crate) fn partition_of(id: &str, partition_count: usize) -> usize {
    let hash =
        id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The smallest number has no positive counterpart, and counts as 0.
    let positive = hash.checked_abs().unwrap_or(0);
    usize::try_from(positive).unwrap_or(0) % partition_count.max(1)
}

impl<K: Kind> Shared<K> {
    /// Keeps a task's handle, and says so if it meets a bug.
    fn watch(self: &Arc<Self>, task: TaskHandle) {
        let shared = Arc::downgrade(self);
        let watching = self.parts.spawner.spawn("watch", async move {
            if let TaskEnd::Panicked(message) = task.await
                && let Some(shared) = shared.upgrade()
            {
                let text = format!("a bug in a coordinator ({}): {message}", K::TOPIC);
                shared.failure.send_replace(Some(text));
            }
        });
        self.running.lock().push(watching);
    }
}

/// Follows the metadata: starts and ends tasks, and tells them what their world is.
struct Follower<K: Kind> {
    shared: Arc<Shared<K>>,
    images: ImageFollower,
    world: watch::Sender<Arc<WorldOf<K>>>,
    loads: Arc<Semaphore>,
}

impl<K: Kind> Follower<K> {
    async fn run(mut self) {
        while let Ok(image) = self.images.next().await {
            let image = Arc::clone(image);
            self.world.send_replace(Arc::new(self.shared.kind.world(&image)));
            self.shared.parts.partitions.wait_for(image.offset()).await;
            self.take_topic();
        }
    }

    /// Brings the tasks in line with the topic as it is.
    fn take_topic(&mut self) {
        let topic = self.shared.parts.partitions.topic(K::TOPIC);
        let current = self.shared.tasks.borrow();
        let is_the_same = match (&*current, &topic) {
            (None, None) => true,
            (Some(tasks), Some(topic)) => {
                tasks.topic == topic.id() && tasks.inboxes.len() == topic.partitions().len()
            }
            _ => false,
        };
        drop(current);
        if is_the_same {
            return;
        }
        self.shared.tasks.send_modify(|tasks| {
            let same_topic =
                tasks.take_if(|tasks| topic.as_ref().is_some_and(|topic| topic.id() == tasks.topic));
            if let Some(gone) = tasks.take() {
                gone.stop.cancel();
            }
            *tasks = topic.as_deref().map(|topic| self.tasks_of(topic, same_topic));
        });
    }

    /// The tasks of a topic, of which some may run already.
    fn tasks_of(&self, topic: &TopicEntry, before: Option<Tasks<K>>) -> Tasks<K> {
        let mut tasks = before.unwrap_or_else(|| Tasks {
            topic: topic.id(),
            inboxes: Vec::new(),
            stop: self.shared.stop.child_token(),
        });
        for partition in topic.partitions().iter().skip(tasks.inboxes.len()) {
            let (inbox, requests) = mpsc::channel(INBOX_LENGTH);
            let task = Task::new(TaskParts {
                kind: Arc::clone(&self.shared.kind),
                partition: Arc::clone(partition),
                shards: self.shared.parts.shards.clone(),
                clock: self.shared.parts.clock.clone(),
                world: self.world.subscribe(),
                loads: Arc::clone(&self.loads),
                inbox: requests,
                stop: tasks.stop.clone(),
            });
            self.shared.watch(self.shared.parts.spawner.spawn("coordinator", task.run()));
            tasks.inboxes.push(inbox);
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_partition_that_kafka_gives_it() {
        for (id, hash) in [("", 0), ("a", 97), ("group", 98_629_247)] {
            assert_eq!(partition_of(id, 50), hash % 50, "{id}");
        }
        // "polygenelubricants" hashes to the smallest number there is.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("anything", 0), 0);
    }
}
