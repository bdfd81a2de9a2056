//! The producer: batches records by partition and sends them to the partitions' leaders.
//!
//! | file           | has                                                                             |
//! |----------------|---------------------------------------------------------------------------------|
//! | `config`       | what a producer can be told                                                     |
//! | `record`       | what is sent, and what becomes known of it                                      |
//! | `accumulator/` | what is sent to whom and when, and what answers mean                            |
//! | `partitioner`  | which partition a record goes to                                                |
//! | `sender`       | the task that carries that out                                                  |
//! | `link`         | the way to one broker: builds requests, reads answers                           |
//! | `delivery`     | what became of a record, as a future                                            |
//! | `error`        | why a record was not accepted, or not delivered                                 |
//!
//! Decisions: `accumulator`, `partitioner`, `record`, `config`.

mod accumulator;
mod config;
mod delivery;
mod error;
mod link;
pub mod partitioner;
mod record;
mod sender;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::record::NewRecord;
use ottla_runtime::MonotonicTime;
use smallvec::SmallVec;

use self::accumulator::NotAppended;
pub use self::config::{Acks, InvalidConfig, ProducerConfig};
pub use self::delivery::Delivery;
use self::delivery::{Completion, Settled};
pub use self::error::ProduceError;
pub use self::record::{Header, Record, RecordMetadata};
use self::sender::{Shared, WaitsForRoom};
use crate::client::Cluster;
use crate::error::{Error, RequestError};

/// Sends records. Cheap to clone; clones share batches and memory. When the last one goes, what was accepted is still
/// sent; [`Producer::close`] waits for that.
///
/// ```no_run
/// use ottla_client::producer::{ProduceError, Producer, Record};
///
/// async fn two_orders(producer: &Producer) -> Result<(), ProduceError> {
///     let apples = producer.send(Record::to("orders").key(b"customer-17").value(b"3 apples")).await?;
///     let pears = producer.send(Record::to("orders").key(b"customer-17").value(b"1 pear")).await?;
///     assert!(apples.await?.offset < pears.await?.offset);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// Closes the producer with its last clone.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.accumulator.lock().close(self.shared.now());
        self.shared.work.notify_one();
    }
}

impl Producer {
    pub(crate) fn new(cluster: &Cluster, config: ProducerConfig) -> Result<Producer, InvalidConfig> {
        config.check(&cluster.config)?;
        let cluster = cluster.apart(config.allow_auto_create_topics);
        let shared = Arc::new(Shared::new(cluster, config));
        let sending = sender::run(Arc::clone(&shared));
        drop(shared.cluster.runtime.spawner.spawn("client-producer", sending));
        Ok(Producer { handle: Arc::new(Handle { shared }) })
    }

    /// Takes a record into its batch, and gives a future of what becomes of it. It waits, for at most `max.block.ms`,
    /// where nothing is known of the topic yet and where `buffer.memory` is full. Dropped before it is done, it has
    /// accepted nothing; records that one task sends to a partition keep their order.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, ProduceError> {
        let shared = &*self.handle.shared;
        let headers = record.headers.iter().map(|header| (header.key.as_bytes(), header.value));
        // Few records have more headers than this, and these cost no allocation.
        let headers: SmallVec<[_; 4]> = headers.collect();
        let timestamp = record.timestamp.unwrap_or_else(|| shared.cluster.runtime.clock.wall().0);
        let Record { key, value, .. } = record;
        let sent = NewRecord { timestamp, key, value, headers: &headers };
        if shared.waiting_for_room.load(Ordering::Acquire) == 0 {
            match self.append(&record, sent) {
                Ok(delivery) => return Ok(delivery),
                Err(NotAppended::Refused(error)) => return Err(error),
                Err(NotAppended::TopicUnknown | NotAppended::NoRoom) => {}
            }
        }
        self.append_in_time(&record, sent).await
    }

    /// Sends what was accepted before, without lingering, and waits until each record is delivered or given up.
    /// [`Delivery`] tells which.
    pub async fn flush(&self) {
        let shared = &self.handle.shared;
        let pending = shared.accumulator.lock().flush(shared.now());
        shared.work.notify_one();
        for (completion, part) in pending {
            Settled { completion, part }.await;
        }
    }

    /// Accepts no more, from any clone, and waits until everything is delivered or given up. Dropped early, it goes
    /// on without anybody waiting.
    pub async fn close(&self) {
        let shared = &self.handle.shared;
        shared.accumulator.lock().close(shared.now());
        // Those who wait for something hear that they need not.
        shared.news.notify_waiters();
        shared.room.notify_one();
        self.flush().await;
    }

    fn append(&self, record: &Record<'_>, sent: NewRecord<'_>) -> Result<Delivery, NotAppended> {
        let shared = &self.handle.shared;
        let now = shared.now();
        let appended = shared.accumulator.lock().append(
            now,
            record.topic,
            record.partition,
            sent,
            |topic, partition| Arc::new(Completion::new(Arc::clone(topic), partition)),
        );
        match appended {
            Ok(appended) => {
                if appended.wakes {
                    shared.work.notify_one();
                }
                Ok(Completion::delivery(appended.delivery, appended.place, sent.timestamp))
            }
            Err(refused) => {
                // There may be a topic to ask about, or batches that need linger no longer.
                shared.work.notify_one();
                Err(refused)
            }
        }
    }

    /// Waits for news of the topic, and for room, as often as that takes.
    async fn append_in_time(
        &self,
        record: &Record<'_>,
        sent: NewRecord<'_>,
    ) -> Result<Delivery, ProduceError> {
        let shared = &*self.handle.shared;
        let deadline = shared.now().after(shared.config.max_block);
        loop {
            // News that come between the attempt and the waiting count.
            let mut news = pin!(shared.news.notified());
            news.as_mut().enable();
            match self.append_in_turn(record, sent, deadline).await {
                Ok(delivery) => return Ok(delivery),
                Err(NotAppended::Refused(error)) => return Err(error),
                Err(NotAppended::NoRoom) => {
                    let bytes = shared.config.buffer_memory;
                    return Err(ProduceError::NoRoom { bytes, after: shared.config.max_block });
                }
                Err(NotAppended::TopicUnknown) => {
                    tokio::select! {
                        biased;
                        () = news => {}
                        () = shared.cluster.runtime.clock.sleep_until(deadline) => {
                            return Err(self.topic_not_found(record.topic));
                        }
                    }
                }
            }
        }
    }

    /// Waits for room behind those who came before, if there is none.
    async fn append_in_turn(
        &self,
        record: &Record<'_>,
        sent: NewRecord<'_>,
        deadline: MonotonicTime,
    ) -> Result<Delivery, NotAppended> {
        let shared = &*self.handle.shared;
        let clock = &shared.cluster.runtime.clock;
        let _waits = WaitsForRoom::new(&shared.waiting_for_room);
        let turn = tokio::select! {
            biased;
            turn = shared.turns.acquire() => turn,
            () = clock.sleep_until(deadline) => return Err(NotAppended::NoRoom),
        };
        // Room that was made while nobody waited is there to be found.
        let _turn = turn.map_err(|_closed| NotAppended::Refused(ProduceError::Closed))?;
        loop {
            match self.append(record, sent) {
                Err(NotAppended::NoRoom) => {}
                other => return other,
            }
            tokio::select! {
                biased;
                () = shared.room.notified() => {}
                () = clock.sleep_until(deadline) => return Err(NotAppended::NoRoom),
            }
        }
    }

    fn topic_not_found(&self, topic: &str) -> ProduceError {
        let shared = &self.handle.shared;
        let timed_out = || Error::Request(RequestError::TimedOut { after: shared.config.max_block });
        let cause = shared.accumulator.lock().cause_of_missing(topic).unwrap_or_else(timed_out);
        ProduceError::TopicNotFound { topic: topic.to_owned(), cause }
    }
}
