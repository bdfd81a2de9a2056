//! One log on a simulated machine: what the shard does for a log, as little of it as a test needs.

use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::types::{LeaderEpoch, Offset, TopicId};
use ottla_runtime::disk::{DiskWait as _, FileWait as _};
use ottla_runtime::simulated::Machine;
use ottla_runtime::{Clock, Spawner};
use tokio::sync::mpsc;

use crate::config::{CompactionConfig, TopicConfig};
use crate::log::batch_validation::ValidatedBatch;
use crate::log::compaction::{Compaction, CompactionError, CompactionStart, LookError, Settings, look};
use crate::log::effect::{LogEffect, LogEvent, StorageFailure};
use crate::log::ends::UpperBound;
use crate::log::files::{DurableMark, EventSink, FileKeys, LogContext};
use crate::log::lookup::LookupError;
use crate::log::open::{LogPlace, OpenLog, open};
use crate::log::partition_log::{AppendError, AppendOutcome};
use crate::log::preallocation::PreallocationBudget;
use crate::log::reader::{ReadError, ReadRequest, Records, Slice, read};
use crate::log::recovery::{RecoverError, Recovered, recover};
use crate::log::safe_ends::PartitionEnds;
use crate::log::scrub::scrub_step;
use crate::log::sleeping::SleepingLog;
use crate::log::verification::Verification;
use crate::metrics::ReadMetrics;

/// Where the log lies on the machine's disk.
pub(in crate::log) const DIRECTORY: &str = "data/orders-0";

/// An open log.
pub(in crate::log) struct Rig {
    pub(in crate::log) log: OpenLog,
    pub(in crate::log) epoch: LeaderEpoch,
    context: LogContext,
    clock: Clock,
    sink: EventSink,
    events: mpsc::UnboundedReceiver<LogEvent>,
    /// Effects that have not been answered.
    outstanding: usize,
}

pub(in crate::log) fn place() -> LogPlace {
    LogPlace { directory: PathBuf::from(DIRECTORY), name: "orders-0".into(), topic_id: TopicId([7; 16]) }
}

/// Small segments and indexes, so that a test needs few batches.
pub(in crate::log) fn config() -> TopicConfig {
    TopicConfig { segment_bytes: 2_000, index_interval_bytes: 200, ..TopicConfig::default() }
}

pub(in crate::log) fn context(machine: &Machine) -> LogContext {
    let runtime = machine.runtime();
    LogContext {
        disk: runtime.disk,
        spawner: runtime.spawner,
        keys: FileKeys::default(),
        preallocation: Arc::new(PreallocationBudget::new(1 << 20)),
        reads: Arc::new(ReadMetrics::register()),
    }
}

/// Recovers the log on a machine that was started.
pub(in crate::log) async fn recovered(
    machine: &Machine,
    safe: Option<PartitionEnds>,
) -> Result<Recovered, RecoverError> {
    recover(&machine.runtime().disk, &place(), safe.as_ref()).await
}

impl Rig {
    /// A log that nothing was ever appended to.
    pub(in crate::log) async fn fresh(machine: &Machine, config: TopicConfig) -> Rig {
        Rig::open(machine, config, &SleepingLog::ABSENT).await.expect("nothing to be opened")
    }

    /// What a crash left of a log.
    pub(in crate::log) async fn after_crash(
        machine: &Machine,
        config: TopicConfig,
        safe: Option<PartitionEnds>,
    ) -> Result<Rig, RecoverError> {
        let recovered = recovered(machine, safe).await?;
        Rig::open(machine, config, &recovered.log).await
    }

    pub(in crate::log) async fn open(
        machine: &Machine,
        config: TopicConfig,
        sleeping: &SleepingLog,
    ) -> Result<Rig, RecoverError> {
        let (context, clock) = (context(machine), machine.runtime().clock);
        let log = open(&context, &place(), sleeping, Arc::new(config), clock.now()).await?;
        let (send, events) = mpsc::unbounded_channel();
        let sink: EventSink = Arc::new(move |event| {
            // The rig may have been dropped.
            let _unheard = send.send(event);
        });
        Ok(Rig { log, epoch: LeaderEpoch(0), context, clock, sink, events, outstanding: 0 })
    }

    pub(in crate::log) fn append(&mut self, batch: &ValidatedBatch) -> Result<AppendOutcome, AppendError> {
        self.log.core.append(self.clock.now(), batch, self.epoch, Verification::Exempt)
    }

    /// Carries out what the core wants done, without waiting.
    pub(in crate::log) fn carry_out(&mut self) {
        let mut effects = Vec::new();
        self.log.core.take_effects(&mut effects);
        for effect in effects {
            self.outstanding += usize::from(is_answered(&effect));
            if let Some(mark) = self.log.files.carry_out(effect, &self.sink) {
                sync(&self.context, mark, Arc::clone(&self.sink));
            }
        }
    }

    /// Waits for one event and tells the core. The high watermark is a sole replica's.
    pub(in crate::log) async fn next_event(&mut self) {
        let event = self.events.recv().await.expect("the rig has a sender too");
        if !matches!(event, LogEvent::IndexFull { .. }) {
            self.outstanding -= 1;
        }
        self.log.core.on_event(self.clock.now(), event);
        let high_watermark = self.log.core.sole_replica_high_watermark();
        self.log.core.advance_high_watermark(high_watermark);
    }

    /// Goes on until nothing is under way.
    pub(in crate::log) async fn settle(&mut self) {
        self.settle_watched(|_| ()).await;
    }

    /// Goes on for that many events, or until nothing is under way.
    pub(in crate::log) async fn settle_some(&mut self, events: u64) {
        self.carry_out();
        for _event in 0..events {
            if self.outstanding == 0 {
                return;
            }
            self.next_event().await;
            self.carry_out();
        }
    }

    /// Like [`Rig::settle`]; `watch` sees the log after each event.
    pub(in crate::log) async fn settle_watched(&mut self, mut watch: impl FnMut(&Rig)) {
        self.carry_out();
        while self.outstanding > 0 {
            self.next_event().await;
            watch(self);
            self.carry_out();
        }
    }

    /// Appends, and waits until it is durable.
    pub(in crate::log) async fn append_durably(&mut self, batch: &ValidatedBatch) -> (Offset, Offset) {
        let outcome = self.append(batch).expect("it can be appended");
        self.settle().await;
        match outcome {
            AppendOutcome::Appended { base_offset, last_offset }
            | AppendOutcome::Duplicate { base_offset, last_offset, .. } => (base_offset, last_offset),
        }
    }

    /// Compacts what may be compacted, as of `now_ms`; says up to where. Nothing if nothing is new.
    pub(in crate::log) async fn compact(
        &mut self,
        config: TopicConfig,
        compaction: CompactionConfig,
        checkpoint: Option<Offset>,
        now_ms: i64,
    ) -> Result<Option<Offset>, CompactionError> {
        let OpenLog { core, files, published } = &self.log;
        let start = CompactionStart::of(core, files, published);
        let look = look(&start, checkpoint, &config, now_ms).await.map_err(|error| match error {
            LookError::Lookup(LookupError::Read(error)) => CompactionError::Read(error),
            other => panic!("{other}"),
        })?;
        if look.nothing_is_new() {
            return Ok(None);
        }
        let settings = Settings { compaction, clock: self.clock.clone(), seed: [5, 6], now_ms: Some(now_ms) };
        let mut compaction = Compaction::begin(start, &look, Arc::new(config), settings).await?;
        while let Some(replacement) = compaction.next().await? {
            self.log.core.replace_segments(replacement);
            self.settle().await;
            match self.log.core.take_replaced() {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return Err(CompactionError::Ended),
            }
        }
        Ok(Some(compaction.end()))
    }

    /// Puts the log to sleep.
    pub(in crate::log) async fn hibernate(mut self) -> SleepingLog {
        loop {
            if let Some(sleeping) = self.log.core.try_hibernate(self.clock.now()) {
                self.log.files.finished().await;
                return sleeping;
            }
            self.settle().await;
            self.log.core.on_time(self.log.core.next_deadline().unwrap_or(self.clock.now()));
        }
    }

    pub(in crate::log) async fn read(&self, from: i64, max_bytes: u64) -> Result<Slice, ReadError> {
        self.read_below(UpperBound::HighWatermark, from, max_bytes).await
    }

    pub(in crate::log) async fn read_below(
        &self,
        bound: UpperBound,
        from: i64,
        max_bytes: u64,
    ) -> Result<Slice, ReadError> {
        let request = ReadRequest { from: Offset(from), max_bytes, at_least_one_batch: true, bound };
        read(&self.log.published, &request).await
    }

    /// The scrubber finds nothing in it.
    pub(in crate::log) async fn assert_sound(&self) {
        let mut from = None;
        loop {
            let step = scrub_step(&self.log.published, from, 300).await.expect("it can be read");
            assert_eq!(step.damage, None);
            if step.next.is_none() {
                return;
            }
            from = step.next;
        }
    }

    /// Every byte from `from` to the high watermark, by reads of `max_bytes`.
    pub(in crate::log) async fn read_all(&self, from: i64, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let (mut bytes, mut from) = (Vec::new(), from);
        loop {
            let slice = self.read(from, max_bytes).await?;
            if slice.records.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(bytes_of(&slice.records).await);
            from = slice.next_offset.0;
        }
    }
}

pub(in crate::log) async fn bytes_of(records: &Records) -> Vec<u8> {
    match records {
        Records::Empty => Vec::new(),
        Records::Bytes(bytes) => bytes.to_vec(),
        Records::File(range) => {
            let len = usize::try_from(range.len).expect("small");
            range.file.read_at_wait(range.position, len).await.expect("it can be read").to_vec()
        }
    }
}

fn is_answered(effect: &LogEffect) -> bool {
    match effect {
        LogEffect::CreateSegment { .. }
        | LogEffect::Write { .. }
        | LogEffect::MakeDurable { .. }
        | LogEffect::Preallocate { .. }
        | LogEffect::Trim { .. }
        | LogEffect::FlushIndexes
        | LogEffect::WriteSnapshot { .. }
        | LogEffect::WriteEpochs { .. }
        | LogEffect::RetireSegment { .. }
        | LogEffect::ReplaceSegments(_) => true,
        LogEffect::NoteBatches { .. }
        | LogEffect::NoteAborted { .. }
        | LogEffect::Seal { .. }
        | LogEffect::RemoveSnapshots { .. }
        | LogEffect::RemoveRetired { .. }
        | LogEffect::ShowReplaced(_)
        | LogEffect::Publish(_)
        | LogEffect::PublishEpochs(_) => false,
    }
}

/// What the flusher does with a mark.
fn sync(context: &LogContext, mark: DurableMark, sink: EventSink) {
    let disk = Arc::clone(&context.disk);
    let spawner: &Spawner = &context.spawner;
    let _running = spawner.spawn("flusher", async move {
        let DurableMark { file, names, base, end, .. } = mark;
        let mut result = disk.sync_file_wait(&file).await;
        for directory in names {
            result = result.and(disk.sync_directory_wait(&directory).await);
        }
        sink(match result {
            Ok(()) => LogEvent::Synced { base, end },
            Err(error) => LogEvent::Failed(StorageFailure::of_sync("sync", &error)),
        });
    });
}
