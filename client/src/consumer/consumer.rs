//! The consumer itself: carries out what [`Fetcher`] decides.
//!
//! It has no task of its own. Questions are futures that it holds, and they move on while somebody waits for a batch; what
//! comes over the network meanwhile is read by the connections' tasks. So nothing that was fetched is lost when a
//! future of the consumer is dropped, and everything ends with the consumer.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};
use ottla_protocol::types::{BrokerId, Offset, PartitionIndex};
use ottla_runtime::clock::Sleep;
use ottla_runtime::net::BoxFuture;

use super::config::{ConsumerConfig, IsolationLevel};
use super::error::ConsumerError;
use super::fetcher::{Ask, FetchQuestion, Fetcher, Told};
use super::lookup::{self, AfterFirst};
use super::record::{ConsumerRecord, RecordBatch};
use super::{SeekTo, TopicPartition};
use crate::admin::{Admin, ListedOffset, OffsetSpec, Outcomes};
use crate::client::Cluster;
use crate::error::Error;
use crate::network::pool::{Pool, Target};

/// Reads the partitions that it is assigned. Everything here is cancel-safe: a future that is dropped takes no record
/// with it.
pub struct Consumer {
    cluster: Arc<Cluster>,
    /// Of its own: a fetch that waits at a broker holds up whatever stands behind it on its connection.
    pool: Arc<Pool>,
    fetcher: Fetcher,
    asked: FuturesUnordered<BoxFuture<Told>>,
    timer: Option<Sleep>,
}

/// The records of a consumer, one by one. It never ends by itself.
pub struct ConsumerStream<'a> {
    consumer: &'a mut Consumer,
    current: Option<TopicPartition>,
}

impl Consumer {
    pub(crate) fn new(cluster: Arc<Cluster>, config: ConsumerConfig) -> Consumer {
        let pool = Arc::new(Pool::new(&cluster.runtime, &cluster.config));
        let fetcher = Fetcher::new(config, &cluster.config, cluster.runtime.rng.fork());
        Consumer { cluster, pool, fetcher, asked: FuturesUnordered::new(), timer: None }
    }

    /// Reads these partitions from now on and no others. What was assigned before goes on where it is; a new one begins
    /// where `auto.offset.reset` says, unless [`Consumer::seek`] says otherwise.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.fetcher.assign(partitions);
    }

    /// What is assigned.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.fetcher.partitions.keys()
    }

    /// Goes on elsewhere in a partition. What was fetched ahead of the old position is forgotten.
    pub fn seek(&mut self, partition: &TopicPartition, to: SeekTo) -> Result<(), ConsumerError> {
        self.fetcher.seek(partition, to)
    }

    /// Gives nothing of this partition until it is resumed. What was fetched ahead is forgotten and fetched again then,
    /// so that what is paused takes no memory.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.fetcher.pause(partition)
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.fetcher.resume(partition)
    }

    /// The next batch of whichever partition's turn it is, and the position is behind it then. Waits until there is one.
    /// A batch borrows from the fetched bytes, and so do its records.
    pub async fn next_batch(&mut self) -> Result<RecordBatch<'_>, ConsumerError> {
        let name = poll_fn(|context| self.poll_ready(context)).await?;
        let batch = self.fetcher.partitions.get_mut(&name).and_then(|it| it.give_batch());
        Ok(batch.expect("the partition has an open batch"))
    }

    /// The records one by one. Dropped, it takes none with it: whoever asks next gets the next one.
    pub fn stream(&mut self) -> ConsumerStream<'_> {
        ConsumerStream { consumer: self, current: None }
    }

    /// The next record. Waits until there is one.
    pub async fn next_record(&mut self) -> Result<ConsumerRecord, ConsumerError> {
        self.stream().next().await.expect("it never ends")
    }

    /// The offset of the record that comes next in this partition, or a lower one where there are gaps. Where a seek
    /// has to be looked up first, waits until it was.
    pub async fn position(&mut self, partition: &TopicPartition) -> Result<Offset, ConsumerError> {
        poll_fn(|context| {
            loop {
                self.poll_progress(context);
                let found = match self.fetcher.assigned(partition) {
                    Ok(found) => found,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if let Some(position) = found.position() {
                    return Poll::Ready(Ok(position));
                }
                if let Some(error) = found.error.take() {
                    self.fetcher.changed = true;
                    return Poll::Ready(Err(error));
                }
                ready!(self.poll_timer(context));
            }
        })
        .await
    }

    /// The position, if it is known without asking anybody.
    pub fn known_position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.fetcher.partitions.get(partition)?.position()
    }

    /// Where these partitions end for this consumer now: at the high watermark, or at the last stable offset under
    /// `read_committed`.
    pub async fn end_offsets(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Outcomes<TopicPartition, Offset> {
        self.listed(partitions, OffsetSpec::Latest).await
    }

    /// Where these partitions begin now.
    pub async fn beginning_offsets(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Outcomes<TopicPartition, Offset> {
        self.listed(partitions, OffsetSpec::Earliest).await
    }

    async fn listed(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        spec: OffsetSpec,
    ) -> Outcomes<TopicPartition, Offset> {
        let asked: Vec<(TopicPartition, OffsetSpec)> = partitions.into_iter().map(|it| (it, spec)).collect();
        let mut listed = list(&self.cluster, &asked, self.fetcher.config.isolation_level).await;
        asked
            .into_iter()
            .filter_map(|(name, _)| {
                let offset = listed.remove(&(name.topic.to_string(), name.partition))?;
                Some((name, offset.map(|listed| listed.offset.unwrap_or(Offset(0)))))
            })
            .collect()
    }

    /// Ready when a partition's next batch is open, or when there is an error to tell.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<TopicPartition, ConsumerError>> {
        if self.fetcher.partitions.is_empty() {
            return Poll::Ready(Err(ConsumerError::NothingAssigned));
        }
        loop {
            self.poll_progress(context);
            if let Some(outcome) = self.fetcher.next(self.cluster.runtime.clock.now()) {
                return Poll::Ready(outcome);
            }
            if !self.fetcher.changed {
                ready!(self.poll_timer(context));
            }
        }
    }

    /// Takes in the answers that are there, and asks what there is to ask.
    fn poll_progress(&mut self, context: &mut Context<'_>) {
        loop {
            let now = self.cluster.runtime.clock.now();
            while let Poll::Ready(Some(told)) = self.asked.poll_next_unpin(context) {
                self.fetcher.on_told(now, told);
            }
            let asks = self.fetcher.plan(now);
            if asks.is_empty() {
                return;
            }
            for ask in asks {
                let answer = self.begin(ask);
                self.asked.push(answer);
            }
        }
    }

    /// Ready when it is time to look again. Without such a time only an answer helps.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.fetcher.wake_at() else { return Poll::Pending };
        let timer = match &mut self.timer {
            Some(timer) if timer.deadline() == at => timer,
            timer => timer.insert(self.cluster.runtime.clock.sleep_until(at)),
        };
        Pin::new(timer).poll(context)
    }

    fn begin(&self, ask: Ask) -> BoxFuture<Told> {
        let (cluster, pool) = (Arc::clone(&self.cluster), Arc::clone(&self.pool));
        match ask {
            Ask::Metadata { topics, stale } => Box::pin(async move {
                for topic in &stale {
                    cluster.metadata.on_topic_stale(topic);
                }
                let view = cluster.metadata.view(topics).await;
                if let Ok(view) = &view {
                    let servers: BTreeMap<BrokerId, String> =
                        view.brokers.values().map(|broker| (broker.id, broker.server())).collect();
                    pool.set_brokers(&servers);
                }
                Told::Metadata(view)
            }),
            Ask::Offsets(seeks) => {
                let isolation = self.fetcher.config.isolation_level;
                Box::pin(async move { Told::Offsets(look_up(&cluster, seeks, isolation).await) })
            }
            Ask::Fetch(question) => Box::pin(async move {
                let FetchQuestion { broker, request, asked } = question;
                let answer =
                    async { pool.connection_to(Target::Broker(broker)).await?.call(&request).await }.await;
                if answer.as_ref().is_err_and(crate::RequestError::is_retriable) {
                    // It may have moved, or left.
                    cluster.metadata.on_brokers_stale();
                }
                Told::Fetched { broker, asked, answer }
            }),
        }
    }
}

impl Stream for ConsumerStream<'_> {
    type Item = Result<ConsumerRecord, ConsumerError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ConsumerRecord, ConsumerError>>> {
        let ConsumerStream { consumer, current } = &mut *self;
        loop {
            if let Some(name) = current {
                match consumer.fetcher.partitions.get_mut(name).and_then(|it| it.give_record()) {
                    Some(Ok(record)) => return Poll::Ready(Some(Ok(record))),
                    Some(Err(error)) => {
                        let now = consumer.cluster.runtime.clock.now();
                        consumer.fetcher.fetch_again(now, name);
                        *current = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => *current = None,
                }
            }
            match ready!(consumer.poll_ready(context)) {
                Ok(name) => *current = Some(name),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

/// Where these seeks lead.
async fn look_up(
    cluster: &Arc<Cluster>,
    seeks: Vec<(TopicPartition, u64, SeekTo)>,
    isolation: IsolationLevel,
) -> Vec<(TopicPartition, u64, Result<Offset, Error>)> {
    let key = |name: &TopicPartition| (name.topic.to_string(), name.partition);
    let first: Vec<_> =
        seeks.iter().filter_map(|(name, _, to)| Some((name.clone(), lookup::first_question(*to)?))).collect();
    let first = list(cluster, &first, isolation).await;
    let answer_of = |name: &TopicPartition| match first.get(&key(name)) {
        Some(Ok(listed)) => Ok(listed.offset),
        Some(Err(error)) => Err(error.clone()),
        None => Ok(None),
    };
    let second: Vec<_> = seeks
        .iter()
        .filter_map(|(name, _, to)| match lookup::on_first_answer(*to, answer_of(name).ok()?) {
            AfterFirst::Found(_) => None,
            AfterFirst::Ask(spec) => Some((name.clone(), spec)),
        })
        .collect();
    let second = list(cluster, &second, isolation).await;
    let found = |name: &TopicPartition, to| {
        let first = answer_of(name)?;
        match lookup::on_first_answer(to, first) {
            AfterFirst::Found(offset) => Ok(offset),
            AfterFirst::Ask(_) => match second.get(&key(name)) {
                Some(Ok(listed)) => Ok(lookup::on_second_answer(to, first, listed.offset)),
                Some(Err(error)) => Err(error.clone()),
                None => Ok(lookup::on_second_answer(to, first, None)),
            },
        }
    };
    seeks.iter().map(|(name, generation, to)| (name.clone(), *generation, found(name, *to))).collect()
}

async fn list(
    cluster: &Arc<Cluster>,
    asked: &[(TopicPartition, OffsetSpec)],
    isolation: IsolationLevel,
) -> Outcomes<(String, PartitionIndex), ListedOffset> {
    if asked.is_empty() {
        return Outcomes::new();
    }
    let asked: Vec<_> = asked.iter().map(|(name, spec)| (&*name.topic, name.partition, *spec)).collect();
    Admin::new(Arc::clone(cluster)).list_offsets_under(&asked, isolation.on_wire()).await
}
