//! `ottla topic`: create, list, describe, alter and delete topics.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use ottla_client::admin::{ConfigChanges, ConfigEntry, ConfigResource, NewTopic, OffsetSpec, TopicListing};
use ottla_client::metadata::{PartitionView, TopicView};
use ottla_client::{Client, Error};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, Offset, PartitionIndex};
use serde_json::{Value, json};

use crate::Failure;
use crate::cluster::{ClusterArguments, failed, topic_failure, topic_view};
use crate::config::{self, EditArguments, changes_of};
use crate::output::{print, print_json};
use crate::table::{Table, grouped};
use crate::text::parse_pair;

/// What `ottla topic` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct TopicArguments {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// Create a topic
    #[command(after_help = crate::EXIT_CODES)]
    Create(CreateArguments),
    /// List the topics
    #[command(after_help = crate::EXIT_CODES)]
    List(ListArguments),
    /// Show where a topic's partitions are, what they hold and how the topic is configured
    #[command(after_help = crate::EXIT_CODES)]
    Describe(DescribeArguments),
    /// Give a topic more partitions, and change its configs
    #[command(after_help = crate::EXIT_CODES)]
    Alter(AlterArguments),
    /// Delete topics with everything in them
    #[command(after_help = crate::EXIT_CODES)]
    Delete(DeleteArguments),
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// The topic's name
    name: String,
    /// How many partitions [default: the broker's num.partitions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A config of the topic, under Kafka's name; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    config: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
struct ListArguments {
    /// With the topics that belong to the cluster itself
    #[arg(long)]
    internal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
struct DescribeArguments {
    /// The topic's name
    name: String,
    /// Show every config, not only those that were set for this topic
    #[arg(long)]
    configs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["partitions", "config", "delete_config", "append", "subtract"]))]
struct AlterArguments {
    /// The topic's name
    name: String,
    /// How many partitions it is to have; there can only be more of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A config to set, under Kafka's name; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    config: Vec<(String, String)>,
    /// A config to delete, so that what is inherited counts again; may be given many times
    #[arg(long, value_name = "KEY")]
    delete_config: Vec<String>,
    #[command(flatten)]
    edits: EditArguments,
    /// Only say whether it could be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// The topics' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(arguments: TopicArguments) -> Result<(), Failure> {
    match arguments.command {
        TopicCommand::Create(it) => it.cluster.clone().run(|client, _| create(client, it)),
        TopicCommand::List(it) => it.cluster.clone().run(|client, _| list(client, it)),
        TopicCommand::Describe(it) => it.cluster.clone().run(|client, _| describe(client, it)),
        TopicCommand::Alter(it) => {
            let changes = changes_of(it.config.clone(), it.edits.clone(), it.delete_config.clone())?;
            it.cluster.clone().run(|client, _| alter(client, it, changes))
        }
        TopicCommand::Delete(it) => it.cluster.clone().run(|client, _| delete(client, it)),
    }
}

async fn create(client: Client, arguments: CreateArguments) -> Result<(), Failure> {
    let CreateArguments { name, partitions, config, json, .. } = arguments;
    let configs: BTreeMap<String, String> = config.into_iter().collect();
    let topic = NewTopic { partition_count: partitions, configs, ..NewTopic::named(&name) };
    let created = match client.admin().create_topics(&[topic]).await.remove(&name) {
        Some(Ok(created)) => created,
        Some(Err(error)) if error.error_code() == Some(ErrorCode::TopicAlreadyExists) => {
            return Err(Failure::Failed(format!(
                "topic {name:?} exists already; `ottla topic describe {name}` shows it"
            )));
        }
        Some(Err(error)) => return Err(topic_failure(&client, &name, &error).await),
        None => return Err(Failure::Failed(format!("topic {name:?}: the broker says nothing of it"))),
    };
    if json {
        return print_json(&json!({
            "name": name,
            "id": created.id.is_some().then(|| created.id.to_string()),
            "partitions": created.partition_count,
            "replication_factor": created.replication_factor,
        }));
    }
    let partitions = created.partition_count.map(|count| format!(" with {}", counted(count, "partition")));
    print(|output| writeln!(output, "created {name}{}", partitions.unwrap_or_default()))
}

fn counted(count: i32, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

async fn list(client: Client, arguments: ListArguments) -> Result<(), Failure> {
    let mut topics = client.admin().list_topics().await.map_err(|error| failed(&error))?;
    topics.retain(|_, topic| arguments.internal || !topic.is_internal);
    if arguments.json {
        let row = |(name, topic): (&String, &TopicListing)| {
            json!({
                "name": name,
                "id": topic.id.is_some().then(|| topic.id.to_string()),
                "partitions": topic.partition_count,
                "internal": topic.is_internal,
            })
        };
        return print_json(&Value::Array(topics.iter().map(row).collect()));
    }
    if topics.is_empty() {
        crate::output::note("there are no topics; `ottla topic create NAME` creates one");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "PARTITIONS"]);
    for (name, topic) in topics {
        table.row([name, topic.partition_count.to_string()]);
    }
    print(|output| table.write(output))
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    start: Option<Offset>,
    end: Option<Offset>,
    /// Of the leader's log files.
    bytes: Option<u64>,
}

async fn describe(client: Client, arguments: DescribeArguments) -> Result<(), Failure> {
    let DescribeArguments { name, configs: all_configs, json, .. } = arguments;
    let topic = topic_view(&client, &name).await?;
    let held = held_by(&client, &name, &topic).await;
    let resource = ConfigResource::Topic(name.clone());
    let configs = client.admin().describe_configs(std::slice::from_ref(&resource)).await.remove(&resource);
    let mut configs = configs.unwrap_or_else(|| Ok(BTreeMap::new())).map_err(|error| failed(&error))?;
    configs.retain(|_, entry| all_configs || entry.source == TOPIC_SOURCE);
    if json {
        return print_json(&description(&name, &topic, &held, &configs));
    }
    print(|output| write_description(output, &name, &topic, &held, &configs))
}

/// In [`ConfigEntry::source`]: set for this topic.
const TOPIC_SOURCE: i8 = 1;

/// What each partition holds that has a leader to tell it.
async fn held_by(client: &Client, name: &str, topic: &TopicView) -> BTreeMap<PartitionIndex, Held> {
    let led = topic.partitions.iter().filter(|(_, partition)| partition.leader.is_some());
    let led: Vec<PartitionIndex> = led.map(|(index, _)| *index).collect();
    let ask = |spec| {
        let asked: Vec<_> = led.iter().map(|index| (name, *index, spec)).collect();
        let admin = client.admin();
        async move { admin.list_offsets(&asked).await }
    };
    let (mut starts, mut ends, sizes) =
        tokio::join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest), sizes_of(client, name, topic));
    let row = |index: PartitionIndex| {
        let key = (name.to_owned(), index);
        let told = |outcome: Option<Result<ottla_client::admin::ListedOffset, Error>>| {
            outcome.and_then(Result::ok).and_then(|listed| listed.offset)
        };
        let (start, end) = (told(starts.remove(&key)), told(ends.remove(&key)));
        (index, Held { start, end, bytes: sizes.get(&index).copied() })
    };
    led.iter().copied().map(row).collect()
}

/// How large each partition's log is at its leader; those are left out whose leader does not tell.
async fn sizes_of(client: &Client, name: &str, topic: &TopicView) -> BTreeMap<PartitionIndex, u64> {
    let mut by_leader: BTreeMap<BrokerId, Vec<PartitionIndex>> = BTreeMap::new();
    for (index, partition) in &topic.partitions {
        if let Some(leader) = partition.leader {
            by_leader.entry(leader).or_default().push(*index);
        }
    }
    let leaders: Vec<BrokerId> = by_leader.keys().copied().collect();
    let asked = [(name.to_owned(), topic.partitions.keys().copied().collect())].into();
    let told = client.admin().describe_log_dirs(&leaders, Some(&asked)).await;
    let mut sizes = BTreeMap::new();
    for (leader, led) in by_leader {
        let Some(Ok(directories)) = told.get(&leader) else { continue };
        let replicas = directories.values().flat_map(|directory| &directory.replicas);
        for ((_, index), replica) in replicas.filter(|(_, replica)| !replica.is_future) {
            if led.contains(index) {
                sizes.insert(*index, replica.bytes);
            }
        }
    }
    sizes
}

fn description(
    name: &str,
    topic: &TopicView,
    held: &BTreeMap<PartitionIndex, Held>,
    configs: &BTreeMap<String, ConfigEntry>,
) -> Value {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect::<Vec<_>>();
    let partition = |(index, partition): (&PartitionIndex, &PartitionView)| {
        let Held { start, end, bytes } = held.get(index).copied().unwrap_or_default();
        json!({
            "partition": index.0,
            "leader": partition.leader.map(|leader| leader.0),
            "leader_epoch": partition.leader_epoch.0,
            "replicas": ids(&partition.replicas),
            "in_sync": ids(&partition.in_sync),
            "offline": ids(&partition.offline),
            "start_offset": start.map(|offset| offset.0),
            "end_offset": end.map(|offset| offset.0),
            "bytes": bytes,
        })
    };
    let configs: serde_json::Map<String, Value> =
        configs.iter().map(|(key, entry)| (key.clone(), json!(entry.value))).collect();
    json!({
        "name": name,
        "id": topic.id.is_some().then(|| topic.id.to_string()),
        "internal": topic.is_internal,
        "configs": configs,
        "partitions": topic.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}

fn write_description(
    output: &mut dyn Write,
    name: &str,
    topic: &TopicView,
    held: &BTreeMap<PartitionIndex, Held>,
    configs: &BTreeMap<String, ConfigEntry>,
) -> io::Result<()> {
    writeln!(output, "topic       {name}")?;
    if topic.id.is_some() {
        writeln!(output, "id          {}", topic.id)?;
    }
    writeln!(output, "partitions  {}", topic.partitions.len())?;
    for (key, entry) in configs {
        writeln!(output, "config      {key}={}", entry.value.as_deref().unwrap_or("(not told)"))?;
    }
    writeln!(output)?;
    let ids = |brokers: &[BrokerId]| brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut table = Table::new(&[
        "PARTITION",
        "LEADER",
        "EPOCH",
        "REPLICAS",
        "IN-SYNC",
        "START",
        "END",
        "OFFSETS",
        "BYTES",
    ]);
    for (index, partition) in &topic.partitions {
        let Held { start, end, bytes } = held.get(index).copied().unwrap_or_default();
        let known =
            |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        let offsets = start.zip(end).and_then(|(start, end)| u64::try_from(end.0 - start.0).ok());
        let counted = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), grouped);
        table.row([
            index.to_string(),
            partition.leader.map_or_else(|| "-".to_owned(), |leader| leader.to_string()),
            partition.leader_epoch.to_string(),
            ids(&partition.replicas),
            ids(&partition.in_sync),
            known(start),
            known(end),
            counted(offsets),
            counted(bytes),
        ]);
    }
    table.write(output)
}

/// Both kinds of change are tried before either is made: a mistake in one leaves the topic as it is.
async fn alter(client: Client, arguments: AlterArguments, changes: ConfigChanges) -> Result<(), Failure> {
    let AlterArguments { name, partitions, dry_run, json, .. } = arguments;
    let resource = ConfigResource::Topic(name.clone());
    for validate_only in [true, false] {
        if dry_run && !validate_only {
            break;
        }
        if !changes.is_empty() {
            config::alter(&client, &resource, &changes, validate_only).await?;
        }
        if let Some(count) = partitions {
            grow(&client, &name, count, validate_only).await?;
        }
    }
    if json {
        return print_json(&json!({
            "name": name,
            "partitions": partitions,
            "configs": changes.keys().collect::<Vec<_>>(),
            "dry_run": dry_run,
        }));
    }
    let mut lines: Vec<String> =
        changes.iter().map(|(key, change)| config::said(key, change, dry_run)).collect();
    lines.extend(partitions.map(|count| {
        let has = if dry_run { "can have" } else { "has" };
        format!("{name} {has} {}", counted(count, "partition"))
    }));
    print(|output| lines.iter().try_for_each(|line| writeln!(output, "{line}")))
}

async fn grow(client: &Client, name: &str, count: i32, validate_only: bool) -> Result<(), Failure> {
    let counts = BTreeMap::from([(name.to_owned(), count)]);
    match client.admin().create_partitions(&counts, validate_only).await.remove(name) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) if error.error_code() == Some(ErrorCode::InvalidPartitions) => {
            let has = topic_view(client, name).await?.partitions.len();
            Err(Failure::Failed(format!(
                "topic {name:?} has {has} partitions; their number can only grow, because a record's place depends on it"
            )))
        }
        Some(Err(error)) => Err(topic_failure(client, name, &error).await),
        None => Err(Failure::Failed(format!("topic {name:?}: the broker says nothing of it"))),
    }
}

async fn delete(client: Client, arguments: DeleteArguments) -> Result<(), Failure> {
    let names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    let mut failures = Vec::new();
    let mut deleted = Vec::new();
    for (name, outcome) in client.admin().delete_topics(&names).await {
        match outcome {
            Ok(()) => deleted.push(name),
            Err(error) => failures.push(topic_failure(&client, &name, &error).await),
        }
    }
    if arguments.json {
        print_json(&json!({ "deleted": deleted }))?;
    } else {
        print(|output| deleted.iter().try_for_each(|name| writeln!(output, "deleted {name}")))?;
    }
    let texts: Vec<String> = failures.into_iter().map(Failure::into_text).collect();
    if texts.is_empty() { Ok(()) } else { Err(Failure::Failed(texts.join("\nottla: "))) }
}
