//! One assigned partition: where it stands, what waits to be taken, and when it may be asked for more. Pure.
//!
//! Invariants: `position` is the next offset to be given, `fetch_from` the next one to be asked for, and what lies between
//! them waits in `chunks` and `open`. Whoever moves the position on purpose raises the `generation`, and answers to
//! what was asked before that are thrown away.

use std::collections::VecDeque;

use bytes::Bytes;
use ottla_protocol::record::{Batch, BatchHeader, Batches, NextBatch, Records};
use ottla_protocol::types::{BrokerId, Offset};
use ottla_runtime::MonotonicTime;

use super::aborted::AbortedTransactions;
use super::config::{ConsumerConfig, IsolationLevel};
use super::error::ConsumerError;
use super::record::{ConsumerRecord, offset_of};
use super::{SeekTo, TopicPartition};

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Changes with each seek.
    pub(super) generation: u64,
    pub(super) place: Place,
    pub(super) paused: bool,
    /// Whom it was asked of, while there is no answer.
    pub(super) fetching_from: Option<BrokerId>,
    /// Whether its leader may be another one than the metadata says.
    pub(super) leader_stale: bool,
    pub(super) retry: Retry,
    /// To be told once everything before it was taken; until then nothing more is asked for.
    pub(super) error: Option<ConsumerError>,
    /// Whether it is in the queue of those that have something to give.
    pub(super) in_turn: bool,
    chunks: VecDeque<Chunk>,
    queued_bytes: usize,
    open: Option<OpenBatch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Offsets have to be looked up first; `asked` while somebody does.
    Sought { to: SeekTo, asked: bool },
    /// Nobody sought, and `auto.offset.reset` is `none`.
    Nowhere,
    /// Where it stands.
    Known { position: Offset, fetch_from: Offset },
}

/// Failures in a row, of the kind that may pass.
#[derive(Debug, Default)]
pub(super) struct Retry {
    pub(super) failures: u32,
    pub(super) since: Option<MonotonicTime>,
    pub(super) not_before: MonotonicTime,
}

/// The whole batches of one answer that were not taken yet.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    aborted: AbortedTransactions,
}

/// The batch that is being taken.
#[derive(Debug)]
struct OpenBatch {
    header: BatchHeader,
    from: Offset,
    /// None where the batch is not for consumers.
    records: Option<Records>,
    /// It was given as a whole and is done with.
    given: bool,
}

/// What an answer's bytes come to.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) chunk: Chunk,
    /// Behind the last whole batch, if there is one.
    pub(super) next_offset: Option<Offset>,
    /// How the bytes end behind it.
    pub(super) end: ArrivedEnd,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArrivedEnd {
    Complete,
    /// Cut within a batch that takes so many bytes.
    Partial(usize),
    Corrupt(ottla_protocol::record::BatchError),
}

impl Arrived {
    /// Looks where the batches end. Their CRCs are looked at when they are taken.
    pub(super) fn of(mut bytes: Bytes, aborted: AbortedTransactions) -> Arrived {
        let mut batches = Batches::new(&bytes, 0);
        let mut next_offset: Option<Offset> = None;
        let end = loop {
            match batches.next_batch() {
                NextBatch::Batch(batch) => {
                    let next = batch.header.next_offset();
                    next_offset = Some(next_offset.map_or(next, |known| known.max(next)));
                }
                NextBatch::Complete => break ArrivedEnd::Complete,
                NextBatch::Partial { needed, .. } => break ArrivedEnd::Partial(needed),
                NextBatch::Corrupt(cause) => break ArrivedEnd::Corrupt(cause),
            }
        };
        bytes.truncate(usize::try_from(batches.position()).unwrap_or(0));
        Arrived { chunk: Chunk { bytes, aborted }, next_offset, end }
    }
}

impl Partition {
    pub(super) fn new(name: TopicPartition, generation: u64) -> Partition {
        Partition {
            name,
            generation,
            place: Place::Nowhere,
            paused: false,
            fetching_from: None,
            leader_stale: false,
            retry: Retry::default(),
            error: None,
            in_turn: false,
            chunks: VecDeque::new(),
            queued_bytes: 0,
            open: None,
        }
    }

    /// Moves the position, and forgets what was fetched for the old one.
    pub(super) fn seek(&mut self, generation: u64, to: SeekTo) {
        self.generation = generation;
        self.place = Place::of(to);
        self.fetching_from = None;
        self.error = None;
        self.retry = Retry::default();
        self.forget_chunks();
    }

    /// Forgets what was fetched ahead; it will be fetched again.
    pub(super) fn drop_prefetched(&mut self, generation: u64) {
        // Where a seek is being looked up nothing was fetched, and the answer shall still be believed.
        let Place::Known { position, fetch_from } = &mut self.place else { return };
        *fetch_from = *position;
        self.generation = generation;
        self.fetching_from = None;
        self.forget_chunks();
    }

    fn forget_chunks(&mut self) {
        self.chunks.clear();
        self.open = None;
        self.queued_bytes = 0;
    }

    pub(super) fn position(&self) -> Option<Offset> {
        match self.place {
            Place::Sought { .. } | Place::Nowhere => None,
            Place::Known { position, .. } => Some(position),
        }
    }

    /// How much waits to be taken, as it was fetched.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether there is something to give.
    pub(super) fn has_something(&self) -> bool {
        let open = self.open.as_ref().is_some_and(|open| !open.given);
        !self.paused && (open || !self.chunks.is_empty() || self.error.is_some())
    }

    /// Whether everything that was fetched has been taken.
    pub(super) fn is_drained(&self) -> bool {
        self.queued_bytes == 0 && self.open.as_ref().is_none_or(|open| open.given)
    }

    /// Takes in what was fetched from `fetch_from` on.
    pub(super) fn on_chunk(&mut self, chunk: Chunk, next_offset: Offset) {
        self.queued_bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
        if let Place::Known { fetch_from, .. } = &mut self.place {
            *fetch_from = next_offset;
        }
    }

    /// Makes sure that a batch is open. `Ok(false)` when there is none; with it, whether a chunk came to its end.
    pub(super) fn open_next(&mut self, config: &ConsumerConfig) -> Result<Opened, ConsumerError> {
        if self.open.as_ref().is_some_and(|open| !open.given) {
            return Ok(Opened::Batch);
        }
        self.open = None;
        let Place::Known { position, .. } = self.place else { return Ok(Opened::Nothing) };
        while let Some(chunk) = self.chunks.front_mut() {
            let before = chunk.bytes.len();
            let batch = match Batch::split_from(&mut chunk.bytes, 0) {
                Ok(Some(batch)) => batch,
                Ok(None) => {
                    self.chunks.pop_front();
                    return Ok(Opened::ChunkEnded);
                }
                Err(cause) => return Err(self.corrupt(position, cause)),
            };
            self.queued_bytes -= before - chunk.bytes.len();
            if config.check_crcs
                && let Err(cause) = batch.verify_crc()
            {
                return Err(self.corrupt(position, cause));
            }
            let header = batch.header;
            let hidden = chunk.hides(&header, config.isolation_level);
            if header.next_offset() <= position {
                continue;
            }
            let records = match hidden {
                true => None,
                false => match batch.records(config.decompressed_batch_bytes_max) {
                    Ok(records) => Some(records),
                    Err(cause) => return Err(self.unreadable(position, &header, cause)),
                },
            };
            self.open = Some(OpenBatch { header, from: position, records, given: false });
            return Ok(Opened::Batch);
        }
        Ok(Opened::Nothing)
    }

    /// Gives the open batch as a whole; the position is behind it then.
    pub(super) fn give_batch(&mut self) -> Option<super::RecordBatch<'_>> {
        let open = self.open.as_mut()?;
        open.given = true;
        if let Place::Known { position, .. } = &mut self.place {
            *position = open.header.next_offset();
        }
        Some(super::RecordBatch {
            partition: &self.name,
            header: &open.header,
            from: open.from,
            records: open.records.as_ref().map(Records::views),
        })
    }

    /// Gives the next record of the open batch; `None` at its end, where the position is behind it.
    pub(super) fn give_record(&mut self) -> Option<Result<ConsumerRecord, ConsumerError>> {
        let open = self.open.as_mut()?;
        let Place::Known { position, .. } = &mut self.place else { return None };
        while let Some(record) = open.records.as_mut().and_then(Iterator::next) {
            match record {
                Ok(record) => {
                    let offset = offset_of(&open.header, record.offset_delta);
                    if offset < *position {
                        continue;
                    }
                    *position = Offset(offset.0.saturating_add(1));
                    open.from = *position;
                    return Some(Ok(ConsumerRecord::of(&self.name, &open.header, record)));
                }
                Err(cause) => {
                    let (position, header) = (*position, open.header);
                    return Some(Err(self.unreadable(position, &header, cause)));
                }
            }
        }
        *position = open.header.next_offset();
        self.open = None;
        None
    }

    fn corrupt(&self, offset: Offset, cause: ottla_protocol::record::BatchError) -> ConsumerError {
        ConsumerError::CorruptBatch { partition: self.name.clone(), offset, cause }
    }

    fn unreadable(
        &self,
        offset: Offset,
        header: &BatchHeader,
        cause: ottla_protocol::record::RecordsError,
    ) -> ConsumerError {
        let (partition, next_offset) = (self.name.clone(), header.next_offset());
        ConsumerError::UnreadableRecords { partition, offset, next_offset, cause }
    }
}

/// What [`Partition::open_next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Batch,
    /// Nothing of this answer is left; there may be another one.
    ChunkEnded,
    Nothing,
}

impl Place {
    fn of(to: SeekTo) -> Place {
        match to {
            SeekTo::Offset(offset) => Place::Known { position: offset, fetch_from: offset },
            to => Place::Sought { to, asked: false },
        }
    }
}

impl Chunk {
    /// Whether the batch is not for consumers. To be asked of each batch in turn.
    fn hides(&mut self, header: &BatchHeader, isolation: IsolationLevel) -> bool {
        let is_control = header.attributes.is_control();
        if isolation == IsolationLevel::ReadUncommitted {
            return is_control;
        }
        if is_control {
            self.aborted.on_control(header);
            return true;
        }
        self.aborted.has(header)
    }
}
