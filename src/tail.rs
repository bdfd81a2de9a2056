//! `ottla tail`: prints the records of a topic, and follows it.
//!
//! What is written waits in a buffer while more is there to be written, and leaves as soon as nothing is: a busy topic
//! costs few system calls, and of a quiet one nobody waits for a record.

mod format;
pub(crate) mod from;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _, Write};
use std::pin::pin;
use std::task::Poll;

use clap::Args;
use futures_util::FutureExt as _;
use ottla_client::admin::Outcomes;
use ottla_client::consumer::{Consumer, RecordBatch};
use ottla_client::{Client, ConsumerConfig, ConsumerError, SeekTo, TopicPartition};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::format::Format;
use self::from::{From, parse_from};
use crate::Failure;
use crate::cluster::{ClusterArguments, topic_view};
use crate::output::{note, stdout, unwritable};
use crate::progress::Progress;
use crate::text::parse_separator;

/// What `ottla tail` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES, after_long_help = LONG_HELP)]
pub(crate) struct TailArguments {
    /// The topic
    topic: String,
    /// Where to begin: beginning, end, an offset, a time such as 2026-11-21T09:30 (UTC) or -10m (s, m, h, d ago), or
    /// -N for the last N records of each partition [default: end; with --exit: beginning]
    #[arg(long, value_name = "WHERE", value_parser = parse_from, allow_hyphen_values = true)]
    from: Option<From>,
    /// Stop at the end as it is now, instead of following
    #[arg(long)]
    exit: bool,
    /// Stop after N records
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Only this partition; may be given many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Print the key and this in front of the value; \t, \n, \xNN and the like are understood
    #[arg(long, value_name = "SEP", value_parser = parse_separator, conflicts_with = "json")]
    key_separator: Option<Separator>,
    /// Print the headers in front, as KEY=VALUE,KEY=VALUE and a tab
    #[arg(long)]
    headers: bool,
    /// Print the timestamp in front, in UTC, and a tab
    #[arg(long)]
    timestamps: bool,
    /// Print each record as one JSON object, with everything that it has
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The bytes of a separator.
type Separator = Vec<u8>;

const LONG_HELP: &str = "\
A record is printed as its value and a line feed, so that a value with line feeds of its own takes several lines: use
--json where that matters. There, text that is not UTF-8 appears in base64 under key_base64 and value_base64.
With --key-separator a record without a key is printed as its value alone, and what
`ottla produce --key-separator` read comes back byte for byte.
Partitions take turns; the order within each is kept.

Exit codes: 0 it went well (also when ended by Ctrl-C or by whoever reads the output), 1 it failed, 2 the command line
is wrong.";

pub(crate) fn run(arguments: TailArguments) -> Result<(), Failure> {
    arguments.cluster.clone().run(|client, runtime| tail(client, runtime, arguments))
}

async fn tail(client: Client, runtime: Runtime, arguments: TailArguments) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::Failed(format!("signals can't be received: {error}")))?;
    tokio::select! {
        biased;
        // Before the first record there is nothing to be finished.
        _ = interrupt.recv() => return Ok(()),
        printer = Printer::start(&client, &runtime, &arguments) => printer?,
    }
    .run(&mut interrupt)
    .await
}

/// Prints records until it has reason to stop.
struct Printer {
    consumer: Consumer,
    format: Format,
    /// Where to stop in each partition; those that are there are taken out. `None` to follow.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    /// How many records may still be printed.
    left: u64,
    records: u64,
    bytes: u64,
    progress: Progress,
}

impl Printer {
    async fn start(
        client: &Client,
        runtime: &Runtime,
        arguments: &TailArguments,
    ) -> Result<Printer, Failure> {
        let partitions = partitions(client, arguments).await?;
        let mut consumer = client.consumer(ConsumerConfig::default());
        consumer.assign(partitions.iter().cloned());
        let default = if arguments.exit { From::Beginning } else { From::End };
        let from = arguments.from.unwrap_or(default);
        let ends = offsets(consumer.end_offsets(partitions.iter().cloned()).await)?;
        match from.seek_to(runtime.clock.wall().0) {
            SeekTo::Offset(offset) => seek_offset(&mut consumer, &ends, offset).await?,
            to => partitions.iter().try_for_each(|partition| consumer.seek(partition, to)).map_err(told)?,
        }
        if !arguments.exit && io::stderr().is_terminal() && arguments.from.is_none() {
            note(&format!(
                "waiting for new records of {}; --from beginning shows what is there, Ctrl-C ends",
                arguments.topic
            ));
        }
        let is_piped = !io::stdout().is_terminal();
        let mut printer = Printer {
            consumer,
            format: Format::of(arguments),
            ends: None,
            left: arguments.count.unwrap_or(u64::MAX),
            records: 0,
            bytes: 0,
            progress: Progress::new(&runtime.clock, arguments.exit && is_piped),
        };
        if arguments.exit {
            printer.stop_at(ends).await?;
        }
        Ok(printer)
    }

    /// Stops when every partition is at its end.
    async fn stop_at(&mut self, ends: BTreeMap<TopicPartition, Offset>) -> Result<(), Failure> {
        let mut total = 0;
        let mut left = BTreeMap::new();
        for (partition, end) in ends {
            let position = self.consumer.position(&partition).await.map_err(told)?;
            if position < end {
                total += u64::try_from(end.0 - position.0).unwrap_or(0);
                left.insert(partition, end);
            } else {
                self.consumer.pause(&partition).map_err(told)?;
            }
        }
        self.progress.total = Some(total);
        self.ends = Some(left);
        Ok(())
    }

    async fn run(mut self, interrupt: &mut Signal) -> Result<(), Failure> {
        let mut output = stdout();
        let outcome = self.print(&mut output, interrupt).await;
        self.progress.clear();
        // What was printed before a failure is good.
        output.flush().map_err(unwritable).and(outcome)
    }

    async fn print(&mut self, output: &mut impl Write, interrupt: &mut Signal) -> Result<(), Failure> {
        let Printer { consumer, format, ends, left, records, bytes, progress } = self;
        while *left > 0 && ends.as_ref().is_none_or(|ends| !ends.is_empty()) {
            if interrupt.recv().now_or_never().is_some() {
                return Ok(());
            }
            let batch = {
                let mut waiting = pin!(consumer.next_batch());
                match poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await {
                    Poll::Ready(batch) => batch,
                    Poll::Pending => {
                        output.flush().map_err(unwritable)?;
                        tokio::select! {
                            biased;
                            _ = interrupt.recv() => return Ok(()),
                            batch = waiting => batch,
                        }
                    }
                }
            };
            let batch = batch.map_err(told)?;
            let end = ends.as_ref().and_then(|ends| ends.get(batch.partition()).copied());
            let printed = print_batch(output, format, &batch, end, *left)?;
            *left -= printed.records;
            *records += printed.records;
            *bytes += printed.bytes;
            progress.on_done(*records, *bytes);
            let (partition, position) = (batch.partition().clone(), batch.next_offset());
            if let Some(ends) = ends
                && end.is_some_and(|end| end <= position)
            {
                ends.remove(&partition);
                consumer.pause(&partition).map_err(told)?;
            }
        }
        Ok(())
    }
}

/// How much was printed.
#[derive(Debug, Default)]
struct Printed {
    records: u64,
    bytes: u64,
}

/// Prints a batch's records, at most so many, and none from `end` on.
fn print_batch(
    output: &mut impl Write,
    format: &Format,
    batch: &RecordBatch<'_>,
    end: Option<Offset>,
    records_max: u64,
) -> Result<Printed, Failure> {
    let mut printed = Printed::default();
    for record in batch {
        if printed.records == records_max {
            break;
        }
        let partition = batch.partition();
        let record = record.map_err(|error| Failure::Failed(format!("{partition}: {error}")))?;
        if end.is_some_and(|end| end <= record.offset) {
            break;
        }
        format.write(output, partition, &record).map_err(unwritable)?;
        printed.records += 1;
        printed.bytes += (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
    }
    Ok(printed)
}

/// The topic's partitions, or those that were asked for.
async fn partitions(client: &Client, arguments: &TailArguments) -> Result<Vec<TopicPartition>, Failure> {
    let topic = topic_view(client, &arguments.topic).await?;
    let count = topic.partitions.len();
    if let Some(wrong) =
        arguments.partition.iter().find(|index| !topic.partitions.contains_key(&PartitionIndex(**index)))
    {
        return Err(Failure::Failed(format!(
            "topic {:?} has no partition {wrong}; it has {count}, counted from 0",
            arguments.topic
        )));
    }
    let wanted =
        |index: &&PartitionIndex| arguments.partition.is_empty() || arguments.partition.contains(&index.0);
    let name: std::sync::Arc<str> = arguments.topic.as_str().into();
    let partition = |index: &PartitionIndex| TopicPartition::new(name.clone(), *index);
    Ok(topic.partitions.keys().filter(wanted).map(partition).collect())
}

/// Goes to an offset in each partition that has it, and to the nearest end in the others.
async fn seek_offset(
    consumer: &mut Consumer,
    ends: &BTreeMap<TopicPartition, Offset>,
    offset: Offset,
) -> Result<(), Failure> {
    let begins = offsets(consumer.beginning_offsets(ends.keys().cloned()).await)?;
    let range = |partition: &TopicPartition, end: &Offset| {
        let begin = begins.get(partition).copied().unwrap_or(Offset(0));
        (begin, (*end).max(begin))
    };
    let has_it = |(begin, end): (Offset, Offset)| (begin..=end).contains(&offset);
    if !ends.iter().any(|(partition, end)| has_it(range(partition, end))) {
        let all = || ends.iter().map(|(partition, end)| range(partition, end));
        let begin = all().map(|(begin, _)| begin).min().unwrap_or(Offset(0));
        let end = all().map(|(_, end)| end).max().unwrap_or(Offset(0));
        let where_to = match ends.len() {
            1 => "the partition reaches".to_owned(),
            count => format!("its {count} partitions reach"),
        };
        return Err(Failure::Failed(format!(
            "there is no offset {offset}: {where_to} from {begin} to {end}, which is where the next record will be"
        )));
    }
    for (partition, end) in ends {
        let (begin, end) = range(partition, end);
        consumer.seek(partition, SeekTo::Offset(offset.clamp(begin, end))).map_err(told)?;
    }
    Ok(())
}

fn offsets(found: Outcomes<TopicPartition, Offset>) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let tell = |(partition, offset): (TopicPartition, Result<Offset, ottla_client::Error>)| match offset {
        Ok(offset) => Ok((partition, offset)),
        Err(error) => Err(Failure::Failed(format!("{partition}: {error}"))),
    };
    found.into_iter().map(tell).collect()
}

fn told(error: ConsumerError) -> Failure {
    let gone = [ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicId];
    Failure::Failed(match &error {
        ConsumerError::Partition { partition, error: cause }
            if cause.error_code().is_some_and(|code| gone.contains(&code)) =>
        {
            format!("{partition} is no longer there: was its topic deleted?")
        }
        _ => error.to_string(),
    })
}
