//! `ottla bench compaction`: how fast a broker compacts a log, what memory that takes, and what it does to a reader of
//! another topic who has everything as soon as it is written.
//!
//! It starts a broker of its own. The log is written first, with a dirty ratio at which nothing is compacted; the tail is
//! measured beside an idle broker; then the ratio is changed, and the tail is measured until `cleaner-offset-checkpoint`
//! says that the log has been compacted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource,
};
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::wire::Str;
use serde_json::json;

use super::control::{Control, NewTopic};
use super::fetch::{look_through, records_in};
use super::frames::{self, FetchSize};
use super::latency::Latencies;
use super::options::OutputArguments;
use super::own_broker::{OwnBroker, Workspace};
use super::progress::Progress;
use super::report::{self, Table, number};
use super::server::{Cpu, Resident};
use super::wire::Wire;

const LOG: &str = "bench-compacted";
const TAIL: &str = "bench-tail";
const CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// Records of one batch of the log.
const RECORDS_PER_BATCH: u64 = 500;
/// Produce requests of the log that wait for their answers.
const IN_FLIGHT: usize = 8;
/// Between two records of the tail.
const TAIL_INTERVAL: Duration = Duration::from_millis(2);
/// The longest that a compaction may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What `ottla bench compaction` takes.
#[derive(Debug, Args)]
pub(crate) struct CompactionArguments {
    /// How many records the log has
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    records: u64,
    /// How many keys they have
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keys: u64,
    /// How many bytes each value has
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    value_size: usize,
    /// What else the broker is set to, such as log.cleaner.io.max.bytes.per.second=100000000
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How long the tail is measured beside an idle broker, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    idle_seconds: u64,
    /// Another build of `ottla` to measure [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &CompactionArguments) -> Result<()> {
    report::of_measuring(&arguments.output, |progress| measure(arguments, progress))
}

fn measure(arguments: &CompactionArguments, progress: &Progress) -> Result<(String, serde_json::Value)> {
    let workspace = Workspace::create(&arguments.output.directory)?;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("this program has no name")?,
    };
    let mut settings = vec!["log.cleaner.backoff.ms=50"];
    settings.extend(arguments.settings.iter().map(String::as_str));
    let broker = OwnBroker::start(&program, workspace.path(), &settings)?;
    let control = Control::connect(&broker.address.to_string())?;
    create(&control)?;
    progress.label("writing the log");
    write_log(arguments, &control, &broker, progress)?;
    let data = workspace.path().join("data");
    let bytes_before = bytes_of_log(&data)?;
    sync_log(&data)?;

    progress.label("the tail beside an idle broker");
    let mut tail = Tail::begin(&control, &broker)?;
    tail.measure(&|spent| Duration::from_secs(3) < spent, progress)?;
    let resident = Resident::of(broker.id())?.now;
    let idle_for = Duration::from_secs(arguments.idle_seconds);
    let idle = tail.measure(&|spent| idle_for < spent, progress)?;

    progress.label("the tail beside a compaction");
    let cpu = Cpu::of(broker.id())?;
    let (peak, took, busy) = {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| -> Result<(f64, Duration, Latencies)> {
            let (began, process, is_done, data) = (Instant::now(), broker.id(), &is_done, &data);
            compact_now(&control, &broker)?;
            let watching = scope.spawn(move || watch(data, process, is_done, began));
            let busy = tail.measure(&|_| is_done.load(Ordering::Relaxed), progress);
            is_done.store(true, Ordering::Relaxed);
            let (peak, took) = watching.join().map_err(|_| anyhow!("a thread panicked"))??;
            Ok((peak, took, busy?))
        })?
    };
    let cpu = Cpu::of(broker.id())? - cpu;
    let bytes_after = bytes_of_log(&data)?;
    let rate = bytes_before as f64 / took.as_secs_f64() / 1e6;
    let mut table = Table::new(["what", "value"]);
    let mut row = |what: &str, value: String| table.push(vec![what.to_owned(), value]);
    row("records, of keys", format!("{}, {}", arguments.records, arguments.keys));
    row("log before and after, MB", format!("{}, {}", bytes_before / 1_000_000, bytes_after / 1_000_000));
    row("compacted in, s", number(took.as_secs_f64()));
    row("rate, MB/s of the log before", number(rate));
    row("CPU of the broker meanwhile, s", number(cpu.total));
    row("memory beside idle, MiB", format!("{} beside {}", number(peak - resident), number(resident)));
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let (idle, busy) = (idle.quantile_ms(quantile), busy.quantile_ms(quantile));
        row(&format!("tail {name}, ms: idle, meanwhile"), format!("{}, {}", number(idle), number(busy)));
    }
    let json = json!({
        "records": arguments.records,
        "keys": arguments.keys,
        "bytesBefore": bytes_before,
        "bytesAfter": bytes_after,
        "seconds": report::finite(took.as_secs_f64()),
        "megabytesPerSecond": report::finite(rate),
        "cpuSeconds": report::finite(cpu.total),
        "idleMiB": report::finite(resident),
        "peakMiB": report::finite(peak),
        "idleTail": idle.to_json(),
        "busyTail": busy.to_json(),
    });
    Ok((table.render(), json))
}

fn create(control: &Control) -> Result<()> {
    let configs = vec![
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "1"),
        ("segment.bytes", "67108864"),
        ("ottla.flush.policy", "os"),
    ];
    control.create_topic(&NewTopic { name: LOG, partitions: 1, configs, ..NewTopic::default() })?;
    control.create_topic(&NewTopic { name: TAIL, partitions: 1, ..NewTopic::default() })?;
    Ok(())
}

/// Writes the log: keys in an order that looks random, each as often as the others.
fn write_log(
    arguments: &CompactionArguments,
    control: &Control,
    broker: &OwnBroker,
    progress: &Progress,
) -> Result<()> {
    let version = control.produce_version()?;
    let mut wire = Wire::connect(broker.address)?;
    let value = vec![b'v'; arguments.value_size];
    let (mut written, mut waiting) = (0, 0);
    while written < arguments.records {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for number in written..(written + RECORDS_PER_BATCH).min(arguments.records) {
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % arguments.keys.max(1);
            let key = format!("key-{key:012}");
            builder.push(NewRecord {
                timestamp: 1_700_000_000_000,
                key: Some(key.as_bytes()),
                value: Some(&value),
                ..NewRecord::default()
            });
        }
        written += RECORDS_PER_BATCH;
        let batch = builder.build_bytes()?;
        progress.count(batch.len() as u64);
        wire.send(&frames::produce(version, LOG, &[0], 1, &batch)?)?;
        waiting += 1;
        if waiting == IN_FLIGHT {
            wire.receive_produced(version)?;
            waiting -= 1;
            progress.check_interrupted()?;
        }
    }
    for _ in 0..waiting {
        wire.receive_produced(version)?;
    }
    Ok(())
}

fn compact_now(control: &Control, broker: &OwnBroker) -> Result<()> {
    let config = IncrementalAlterConfigsRequestConfig {
        name: Str::from_static("min.cleanable.dirty.ratio"),
        config_operation: 0,
        value: Some(Str::from_static("0")),
    };
    let resource = IncrementalAlterConfigsRequestResource {
        resource_type: 2,
        resource_name: Str::from_static(LOG),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..IncrementalAlterConfigsRequest::default()
    };
    let _known = control.leaders(LOG)?;
    let answer = Wire::connect(broker.address)?.call(&request, 1)?;
    ensure!(answer.responses.iter().all(|row| row.error_code == 0), "the config can't be changed");
    Ok(())
}

/// Until the checkpoint speaks of the log: the most memory that the broker had, and how long it took.
fn watch(data: &Path, process: u32, is_done: &AtomicBool, began: Instant) -> Result<(f64, Duration)> {
    let mut peak = 0_f64;
    while !is_done.load(Ordering::Relaxed) {
        peak = peak.max(Resident::of(process)?.now);
        let text = std::fs::read_to_string(data.join(CHECKPOINT)).unwrap_or_default();
        if text.contains(LOG) {
            let took = began.elapsed();
            is_done.store(true, Ordering::Relaxed);
            return Ok((peak, took));
        }
        ensure!(began.elapsed() < PATIENCE, "not compacted after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
    Err(anyhow!("the tail ended before the compaction"))
}

fn bytes_of_log(data: &Path) -> Result<u64> {
    segments(data)?.iter().map(|path| Ok(path.metadata()?.len())).sum()
}

/// Has the log on the disk, so that the system doesn't write it while the tail is measured.
fn sync_log(data: &Path) -> Result<()> {
    for path in segments(data)? {
        std::fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn segments(data: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data.join(format!("{LOG}-0")))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    Ok(found)
}

/// A producer and a consumer of one topic: a fetch waits whenever something is sent.
struct Tail {
    producer: Wire,
    consumer: Wire,
    produce: Vec<u8>,
    versions: (i16, i16),
    offset: i64,
}

impl Tail {
    fn begin(control: &Control, broker: &OwnBroker) -> Result<Tail> {
        let versions = (control.produce_version()?, control.fetch_version()?);
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.push(NewRecord {
            timestamp: 1_700_000_000_000,
            value: Some(&[b't'; 200]),
            ..NewRecord::default()
        });
        let produce = frames::produce(versions.0, TAIL, &[0], -1, &builder.build_bytes()?)?;
        let (_, offset) = control.offsets(TAIL, 0, broker.address)?;
        let (producer, consumer) = (Wire::connect(broker.address)?, Wire::connect(broker.address)?);
        Ok(Tail { producer, consumer, produce, versions, offset })
    }

    /// From the sending of a record until the consumer has it, until `is_over` says so.
    fn measure(&mut self, is_over: &dyn Fn(Duration) -> bool, progress: &Progress) -> Result<Latencies> {
        let size = FetchSize { bytes_max: 1 << 20, wait_ms: 30_000 };
        let mut latencies = Latencies::default();
        let began = Instant::now();
        let mut due = began;
        while !is_over(began.elapsed()) {
            self.consumer.send(&frames::fetch(self.versions.1, TAIL, &[(0, self.offset)], size)?)?;
            super::load::wait_until(due);
            let sent = Instant::now();
            self.producer.send(&self.produce)?;
            let answer = records_in(self.consumer.receive()?, self.versions.1)?;
            latencies.record(sent.elapsed());
            self.producer.receive_produced(self.versions.0)?;
            let found = answer.iter().find_map(|(_, records)| look_through(records));
            self.offset = found.context("a fetch that waited has no records")?.next_offset;
            due = (due + TAIL_INTERVAL).max(Instant::now());
            progress.check_interrupted()?;
        }
        Ok(latencies)
    }
}
