//! `ottla txn`: list, describe and abort transactions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use ottla_client::admin::{
    ActiveProducer, HangingTransaction, TransactionDescription, TransactionFilter, TransactionListing,
};
use ottla_client::{Client, Error};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{PartitionIndex, ProducerId};
use ottla_runtime::Clock;
use serde_json::{Value, json};

use crate::Failure;
use crate::cluster::{ClusterArguments, failed, topic_failure};
use crate::moment::Moment;
use crate::output::{note, print, print_json};
use crate::similar::similar_names;
use crate::table::Table;
use crate::tail::from::{From, parse_from};

/// What `ottla txn` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct TxnArguments {
    #[command(subcommand)]
    command: TxnCommand,
}

#[derive(Debug, Subcommand)]
enum TxnCommand {
    /// List the transactional ids
    #[command(after_help = crate::EXIT_CODES)]
    List(ListArguments),
    /// Show where transactional ids stand
    #[command(after_help = crate::EXIT_CODES)]
    Describe(DescribeArguments),
    /// Abort the transaction of a transactional id, or one that hangs in a partition
    #[command(after_help = crate::EXIT_CODES)]
    Abort(AbortArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only those in this state; may be given many times
    #[arg(long, value_name = "STATE", ignore_case = true)]
    state: Vec<State>,
    /// Only those whose transaction has been running for longer, such as 90s, 15m, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    longer_than: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The states that a transactional id can be in, in Kafka's words.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
    PrepareEpochFence,
    Dead,
}

#[derive(Debug, Args)]
struct DescribeArguments {
    /// The transactional ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["id", "topic"]))]
struct AbortArguments {
    /// The transactional id; its producer can't go on
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The topic in which a transaction hangs that its coordinator does not know any more
    #[arg(long, value_name = "TOPIC", requires = "partition")]
    topic: Option<String>,
    /// The partition in which it hangs
    #[arg(long, value_name = "N", requires = "topic", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Whose transaction it is, where the partition has several
    #[arg(long, value_name = "ID", requires = "topic")]
    producer_id: Option<i64>,
    /// Only show what would be aborted
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// A number with its unit: `90s`, `15m`, `2h`, `1d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_from(&format!("-{text}")) {
        Ok(From::Ago(duration)) => Ok(duration),
        _ => Err("expected a number with s, m, h or d, as in 15m".to_owned()),
    }
}

pub(crate) fn run(arguments: TxnArguments) -> Result<(), Failure> {
    match arguments.command {
        TxnCommand::List(it) => it.cluster.clone().run(|client, _| list(client, it)),
        TxnCommand::Describe(it) => {
            it.cluster.clone().run(|client, runtime| describe(client, runtime.clock, it))
        }
        TxnCommand::Abort(AbortArguments {
            topic: Some(topic),
            partition: Some(index),
            producer_id,
            dry_run,
            json,
            cluster,
            ..
        }) => cluster.run(|client, _| async move {
            let place = (topic, PartitionIndex(index));
            abort_hanging(&client, &place, producer_id.map(ProducerId), dry_run, json).await
        }),
        TxnCommand::Abort(AbortArguments { id, dry_run, json, cluster, .. }) => cluster
            .run(|client, _| async move { abort(&client, &id.unwrap_or_default(), dry_run, json).await }),
    }
}

async fn list(client: Client, arguments: ListArguments) -> Result<(), Failure> {
    let filter = TransactionFilter {
        states: arguments.state.iter().map(|state| format!("{state:?}")).collect(),
        running_longer_than: arguments.longer_than,
        ..TransactionFilter::default()
    };
    let listed = client.admin().list_transactions(&filter).await.map_err(|error| failed(&error))?;
    if arguments.json {
        let row = |(id, it): (&String, &TransactionListing)| {
            json!({
                "transactional_id": id,
                "state": it.state,
                "producer_id": it.producer_id.0,
                "coordinator": it.coordinator.0,
            })
        };
        return print_json(&Value::Array(listed.iter().map(row).collect()));
    }
    if listed.is_empty() {
        let is_filtered = filter != TransactionFilter::default();
        note(if is_filtered {
            "there are no such transactional ids"
        } else {
            "there are no transactional ids"
        });
        return Ok(());
    }
    let mut table = Table::new(&["ID", "STATE", "PRODUCER", "COORDINATOR"]);
    for (id, it) in listed {
        table.row([id, it.state, it.producer_id.to_string(), it.coordinator.to_string()]);
    }
    print(|output| table.write(output))
}

async fn describe(client: Client, clock: Clock, arguments: DescribeArguments) -> Result<(), Failure> {
    let ids: Vec<&str> = arguments.ids.iter().map(String::as_str).collect();
    let (mut found, mut failures) = (BTreeMap::new(), Vec::new());
    for (id, outcome) in client.admin().describe_transactions(&ids).await {
        match outcome {
            Ok(it) => drop(found.insert(id, it)),
            Err(error) => failures.push(id_failure(&client, &id, &error).await.into_text()),
        }
    }
    if arguments.json {
        print_json(&Value::Array(found.iter().map(|(id, it)| description(id, it)).collect()))?;
    } else {
        print(|output| write_descriptions(output, &found, clock.wall().0))?;
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("\nottla: "))) }
}

fn description(id: &str, it: &TransactionDescription) -> Value {
    let partition =
        |(topic, index): &(String, PartitionIndex)| json!({ "topic": topic, "partition": index.0 });
    json!({
        "transactional_id": id,
        "state": it.state,
        "producer_id": it.producer_id.0,
        "producer_epoch": it.producer_epoch.0,
        "coordinator": it.coordinator.0,
        "timeout_ms": u64::try_from(it.timeout.as_millis()).unwrap_or(u64::MAX),
        "started_at": it.started_at,
        "partitions": it.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}

/// The state in which a transaction is open.
const ONGOING: &str = "Ongoing";

fn write_descriptions(
    output: &mut dyn Write,
    found: &BTreeMap<String, TransactionDescription>,
    now: i64,
) -> io::Result<()> {
    for (number, (id, it)) in found.iter().enumerate() {
        if number > 0 {
            writeln!(output)?;
        }
        writeln!(output, "id           {id}")?;
        writeln!(output, "state        {}", it.state)?;
        writeln!(output, "producer     {}, epoch {}", it.producer_id, it.producer_epoch)?;
        writeln!(output, "coordinator  {}", it.coordinator)?;
        writeln!(output, "time-out     {} ms", it.timeout.as_millis())?;
        if let Some(at) = it.started_at {
            let running = if it.state == ONGOING {
                format!(", {} s ago", now.saturating_sub(at).max(0) / 1000)
            } else {
                String::new()
            };
            writeln!(output, "started      {}{running}", Moment(at))?;
        }
        for (topic, index) in &it.partitions {
            writeln!(output, "partition    {topic}-{index}")?;
        }
    }
    Ok(())
}

/// Locks its producer out, which aborts what is open.
async fn abort(client: &Client, id: &str, dry_run: bool, json: bool) -> Result<(), Failure> {
    let before = match client.admin().describe_transactions(&[id]).await.remove(id) {
        Some(Ok(it)) => it,
        Some(Err(error)) => return Err(id_failure(client, id, &error).await),
        None => return Err(Failure::Failed(format!("{id:?}: the broker says nothing of it"))),
    };
    if before.state != ONGOING {
        return Err(Failure::Failed(format!(
            "transactional id {id:?} has no open transaction (its state is {}): there is nothing to abort",
            before.state
        )));
    }
    if !dry_run {
        let fenced = client.admin().fence_producer(id).await;
        fenced.map_err(|error| Failure::Failed(format!("transactional id {id:?}: {error}")))?;
    }
    if json {
        return print_json(
            &json!({ "transactional_id": id, "dry_run": dry_run, "aborted": description(id, &before) }),
        );
    }
    let done = if dry_run { "would abort" } else { "aborted" };
    let count = before.partitions.len();
    let partitions = if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") };
    print(|output| {
        let (producer, epoch) = (before.producer_id, before.producer_epoch);
        writeln!(
            output,
            "{done} the transaction of {id} in {partitions} (producer {producer}, epoch {epoch})"
        )
    })
}

/// Writes the end of a transaction into one partition.
async fn abort_hanging(
    client: &Client,
    place: &(String, PartitionIndex),
    producer_id: Option<ProducerId>,
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    let (topic, index) = place;
    let producers = match client.admin().describe_producers(&[(topic, *index)]).await.remove(place) {
        Some(Ok(producers)) => producers,
        Some(Err(error)) => return Err(topic_failure(client, topic, &error).await),
        None => return Err(Failure::Failed(format!("{topic}-{index}: the broker says nothing of it"))),
    };
    let (producer_id, producer) = the_one(place, &producers, producer_id)?;
    let hanging = HangingTransaction {
        topic: topic.clone(),
        partition: *index,
        producer_id,
        producer_epoch: producer.epoch,
        coordinator_epoch: producer.coordinator_epoch,
    };
    if !dry_run {
        let ended = client.admin().abort_transaction(&hanging).await;
        ended
            .map_err(|error| Failure::Failed(format!("{topic}-{index}, producer {producer_id}: {error}")))?;
    }
    let start = producer.current_txn_start_offset.map(|offset| offset.0);
    if json {
        return print_json(&json!({
            "topic": topic,
            "partition": index.0,
            "producer_id": producer_id.0,
            "producer_epoch": producer.epoch.0,
            "start_offset": start,
            "dry_run": dry_run,
        }));
    }
    let done = if dry_run { "would abort" } else { "aborted" };
    let (epoch, from) = (producer.epoch, start.unwrap_or(0));
    print(|output| {
        writeln!(
            output,
            "{done} the transaction from offset {from} on in {topic}-{index} (producer {producer_id}, epoch {epoch})"
        )
    })
}

/// The producer whose open transaction is meant.
fn the_one(
    (topic, index): &(String, PartitionIndex),
    producers: &BTreeMap<ProducerId, ActiveProducer>,
    meant: Option<ProducerId>,
) -> Result<(ProducerId, ActiveProducer), Failure> {
    let open = producers.iter().filter(|(_, producer)| producer.current_txn_start_offset.is_some());
    let open: Vec<(ProducerId, ActiveProducer)> = open.map(|(id, producer)| (*id, *producer)).collect();
    let ids = || open.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(", ");
    match (open.as_slice(), meant) {
        ([], _) => Err(Failure::Failed(format!("no transaction is open in {topic}-{index}"))),
        ([only], None) => Ok(*only),
        (open, Some(meant)) => open.iter().find(|(id, _)| *id == meant).copied().ok_or_else(|| {
            let ids = ids();
            Failure::Failed(format!(
                "producer {meant} has no open transaction in {topic}-{index}; these have: {ids}"
            ))
        }),
        (_, None) => Err(Failure::Failed(format!(
            "several transactions are open in {topic}-{index}, of the producers {}: name one with --producer-id",
            ids()
        ))),
    }
}

/// What a broker's error about a transactional id means to whoever named it.
async fn id_failure(client: &Client, id: &str, error: &Error) -> Failure {
    if error.error_code() != Some(ErrorCode::TransactionalIdNotFound) {
        return Failure::Failed(format!("transactional id {id:?}: {error}"));
    }
    let known = client.admin().list_transactions(&TransactionFilter::default()).await.unwrap_or_default();
    let similar = similar_names(id, known.keys().map(String::as_str));
    let hint = match similar.as_slice() {
        [] if known.is_empty() => "the cluster has none yet".to_owned(),
        [] => "`ottla txn list` shows those there are".to_owned(),
        ids => format!("did you mean {}?", ids.join(" or ")),
    };
    Failure::Failed(format!("there is no transactional id {id:?}: {hint}"))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::types::{Offset, ProducerEpoch};

    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "5", "-5m", "5x", "m", "beginning"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_producer_is_named_where_there_are_several() {
        let producer = |start: Option<i64>| ActiveProducer {
            epoch: ProducerEpoch(0),
            last_sequence: None,
            last_timestamp: None,
            coordinator_epoch: None,
            current_txn_start_offset: start.map(Offset),
        };
        let check = |producers: &[(i64, Option<i64>)], meant: Option<i64>, expected: Result<i64, &str>| {
            let producers = producers.iter().map(|(id, start)| (ProducerId(*id), producer(*start))).collect();
            let place = ("t".to_owned(), PartitionIndex(0));
            match (the_one(&place, &producers, meant.map(ProducerId)), expected) {
                (Ok((id, _)), Ok(expected)) => assert_eq!(id.0, expected),
                (Err(Failure::Failed(text)), Err(expected)) => assert!(text.contains(expected), "{text}"),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        };
        check(&[(1, None)], None, Err("no transaction is open in t-0"));
        check(&[(1, None), (2, Some(5))], None, Ok(2));
        check(&[(1, Some(3)), (2, Some(5))], None, Err("1, 2: name one with --producer-id"));
        check(&[(1, Some(3)), (2, Some(5))], Some(1), Ok(1));
        check(&[(1, Some(3))], Some(7), Err("producer 7 has no open transaction"));
    }
}
