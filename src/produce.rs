//! `ottla produce`: sends what it reads, a record for each line of standard input or for each file.
//!
//! Reading has a thread of its own, since standard input can't be waited for in any other way. What was read waits in a
//! short channel, so that a slow broker slows reading down instead of filling memory.

mod input;
mod lines;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;
use ottla_client::producer::{Acks, Delivery, Header, ProduceError, Record};
use ottla_client::{Client, Producer, ProducerConfig};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{Codec, Compression};
use ottla_protocol::types::PartitionIndex;
use ottla_runtime::Runtime;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::input::{Input, Piece};
use self::lines::{Lines, split_key};
use crate::Failure;
use crate::cluster::{ClusterArguments, topic_view};
use crate::output::{note, print_json};
use crate::progress::Progress;
use crate::table::grouped;
use crate::text::{parse_pair, parse_separator};

/// What `ottla produce` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES, after_long_help = LONG_HELP)]
pub(crate) struct ProduceArguments {
    /// The topic
    topic: String,
    /// Split each line into key and value at the first of these; \t, \n, \xNN and the like are understood
    #[arg(long, value_name = "SEP", value_parser = parse_separator, conflicts_with = "files")]
    key_separator: Option<Separator>,
    /// A header of every record; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    header: Vec<(String, String)>,
    /// The partition of every record [default: the key decides, and without a key the batch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed
    #[arg(long, value_enum, value_name = "CODEC", default_value_t = CodecName::None)]
    compression: CodecName,
    /// When a record counts as written: 0 when it is sent, 1 when the leader has it, all when every replica in sync has it
    #[arg(long, value_enum, value_name = "ACKS", default_value_t = AcksName::All, allow_hyphen_values = true)]
    acks: AcksName,
    /// Send each of these files as one record, instead of the lines of standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Print JSON when it is done
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The bytes of a separator.
type Separator = Vec<u8>;

const LONG_HELP: &str = "\
A line is a record without its line feed; nothing else is taken away, and an empty line is a record with an empty
value. With --key-separator a line without the separator is a record without a key.
The topic has to exist: a slip in its name would otherwise create another one.

Exit codes: 0 everything was written, 1 it failed or was interrupted (what was written is said), 2 the command line is
wrong.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcksName {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
    #[value(name = "all", alias = "-1")]
    All,
}

/// How many bytes of records, before compression, go into a batch: more than Kafka's default, since input usually comes
/// in masses.
const BATCH_BYTES: usize = 128 * 1024;

pub(crate) fn run(arguments: ProduceArguments) -> Result<(), Failure> {
    arguments.cluster.clone().run(|client, runtime| produce(client, runtime, arguments))
}

async fn produce(client: Client, runtime: Runtime, arguments: ProduceArguments) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::Failed(format!("signals can't be received: {error}")))?;
    let topic = topic_view(&client, &arguments.topic).await?;
    if let Some(index) = arguments.partition
        && !topic.partitions.contains_key(&PartitionIndex(index))
    {
        return Err(Failure::Failed(format!(
            "topic {:?} has no partition {index}; it has {}, counted from 0",
            arguments.topic,
            topic.partitions.len()
        )));
    }
    let producer = client.producer(arguments.config()).map_err(|error| Failure::Failed(error.to_string()))?;
    let input = if arguments.files.is_empty() {
        Input::standard_input(&runtime)
    } else {
        Input::files(&runtime, arguments.files.clone())
    };
    let progress = Progress::new(&runtime.clock, !Input::is_typed(&arguments.files));
    let mut sender = Sender::new(producer, &arguments, progress);
    let sent = unless_interrupted(&mut interrupt, sender.send_all(input)).await;
    // What was read is still sent; whoever has no time for that interrupts once more.
    let delivered = unless_interrupted(&mut interrupt, sender.finish()).await;
    sender.report(arguments.json)?;
    let outcome = sent.and(delivered);
    outcome.map_err(|failure| sender.with_count(failure))
}

/// The outcome of `work`, unless Ctrl-C comes first.
async fn unless_interrupted(
    interrupt: &mut Signal,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        biased;
        _ = interrupt.recv() => Err(Failure::Failed("interrupted".to_owned())),
        outcome = work => outcome,
    }
}

impl ProduceArguments {
    fn config(&self) -> ProducerConfig {
        let codec = match self.compression {
            CodecName::None => Codec::None,
            CodecName::Gzip => Codec::Gzip,
            CodecName::Snappy => Codec::Snappy,
            CodecName::Lz4 => Codec::Lz4,
            CodecName::Zstd => Codec::Zstd,
        };
        ProducerConfig {
            acks: match self.acks {
                AcksName::Zero => Acks::None,
                AcksName::One => Acks::Leader,
                AcksName::All => Acks::All,
            },
            compression: Compression::of(codec),
            batch_size: BATCH_BYTES,
            allow_auto_create_topics: false,
            ..ProducerConfig::default()
        }
    }
}

/// Sends records and hears what becomes of them.
struct Sender<'a> {
    producer: Producer,
    arguments: &'a ProduceArguments,
    headers: Vec<Header<'a>>,
    /// Of which nothing was heard yet, in the order in which they were sent.
    unheard: VecDeque<Delivery>,
    records: u64,
    bytes: u64,
    written: u64,
    /// The first failure, with the number of its record, from 1.
    failure: Option<(u64, ProduceError)>,
    progress: Progress,
}

impl<'a> Sender<'a> {
    fn new(producer: Producer, arguments: &'a ProduceArguments, progress: Progress) -> Sender<'a> {
        let header = |(key, value): &'a (String, String)| Header { key, value: Some(value.as_bytes()) };
        Sender {
            producer,
            arguments,
            headers: arguments.header.iter().map(header).collect(),
            unheard: VecDeque::new(),
            records: 0,
            bytes: 0,
            written: 0,
            failure: None,
            progress,
        }
    }

    /// Sends everything there is to read, until something fails.
    async fn send_all(&mut self, mut input: Input) -> Result<(), Failure> {
        let mut lines = Lines::default();
        while let Some(piece) = input.next().await {
            match piece {
                Piece::Bytes(bytes) => {
                    let mut rest = bytes.as_slice();
                    while let Some(line) = lines.next(&mut rest) {
                        self.send_line(&line).await?;
                    }
                }
                Piece::File(bytes) => self.send(None, &bytes).await?,
                Piece::Failed(text) => return Err(Failure::Failed(text)),
            }
            if let Some((number, error)) = &self.failure {
                return Err(self.refused(*number, error));
            }
        }
        match lines.last() {
            Some(line) => self.send_line(&line).await,
            None => Ok(()),
        }
    }

    async fn send_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let (key, value) = split_key(line, self.arguments.key_separator.as_deref());
        self.send(key, value).await
    }

    async fn send(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<(), Failure> {
        let record = Record {
            topic: &self.arguments.topic,
            partition: self.arguments.partition.map(PartitionIndex),
            key,
            value: Some(value),
            headers: &self.headers,
            timestamp: None,
        };
        let accepted = self.producer.send(record).await;
        self.records += 1;
        self.bytes += (key.map_or(0, <[u8]>::len) + value.len()) as u64;
        match accepted {
            Ok(delivery) => self.unheard.push_back(delivery),
            Err(error) => return Err(self.refused(self.records, &error)),
        }
        while let Some(outcome) = self.unheard.front_mut().and_then(|first| first.now_or_never()) {
            self.unheard.pop_front();
            self.on_outcome(outcome.map(drop));
        }
        self.progress.on_done(self.written, self.bytes);
        Ok(())
    }

    fn on_outcome(&mut self, outcome: Result<(), ProduceError>) {
        let number = self.records - self.unheard.len() as u64;
        match outcome {
            Ok(()) => self.written += 1,
            Err(error) => {
                self.failure.get_or_insert((number, error));
            }
        }
    }

    /// Waits until everything that was accepted is written or given up.
    async fn finish(&mut self) -> Result<(), Failure> {
        self.producer.flush().await;
        while let Some(delivery) = self.unheard.pop_front() {
            let outcome = delivery.await;
            self.on_outcome(outcome.map(drop));
        }
        self.producer.close().await;
        match &self.failure {
            Some((number, error)) => Err(self.refused(*number, error)),
            None => Ok(()),
        }
    }

    /// What a producer's error means to whoever typed the command.
    fn refused(&self, number: u64, error: &ProduceError) -> Failure {
        let topic = &self.arguments.topic;
        let too_large = format!(
            "; `ottla topic create {topic} --config max.message.bytes=BYTES` makes a topic that takes larger ones"
        );
        let advice = match error {
            ProduceError::Refused(cause) if cause.error_code() == Some(ErrorCode::MessageTooLarge) => {
                &too_large
            }
            _ => "",
        };
        Failure::Failed(format!("record {number}: {error}{advice}"))
    }

    fn with_count(&self, failure: Failure) -> Failure {
        let (written, records) = (grouped(self.written), grouped(self.records));
        match failure {
            Failure::Failed(text) => Failure::Failed(format!(
                "{text}. {written} of the {records} records that were read are written"
            )),
            other => other,
        }
    }

    /// Says what was done: as JSON, or to a person.
    fn report(&mut self, as_json: bool) -> Result<(), Failure> {
        self.progress.clear();
        let topic = &self.arguments.topic;
        if as_json {
            return print_json(&json!({
                "topic": topic,
                "records": self.records,
                "written": self.written,
                "bytes": self.bytes,
            }));
        }
        if io::IsTerminal::is_terminal(&io::stderr()) && self.failure.is_none() {
            let plural = if self.written == 1 { "" } else { "s" };
            let (written, pace) = (grouped(self.written), self.progress.pace(self.bytes));
            note(&format!("{written} record{plural} written to {topic}: {pace}"));
        }
        Ok(())
    }
}
