//! `ottla config`: show, set and delete the configs of topics, brokers and groups.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use ottla_client::Client;
use ottla_client::admin::{ConfigChange, ConfigChanges, ConfigEntry, ConfigResource};
use ottla_protocol::types::BrokerId;
use serde_json::{Value, json};

use crate::Failure;
use crate::cluster::{ClusterArguments, failed, topic_failure};
use crate::output::{note, print, print_json};
use crate::similar::similar_names;
use crate::table::Table;
use crate::text::parse_pair;

/// What `ottla config` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show configs and where their values are from
    #[command(after_help = crate::EXIT_CODES)]
    Describe(DescribeArguments),
    /// Set configs, which take effect at once
    #[command(after_help = crate::EXIT_CODES)]
    Set(SetArguments),
    /// Delete configs, so that what is inherited counts again
    #[command(after_help = crate::EXIT_CODES)]
    Delete(DeleteArguments),
}

/// Whose configs.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct ResourceArguments {
    /// Of this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Of this broker
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Of all brokers: what is set for them together
    #[arg(long)]
    brokers: bool,
    /// Of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

#[derive(Debug, Args)]
struct DescribeArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// Only these configs
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// With those that nobody has set
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What is to become of configs.
#[derive(Debug, Clone, Args)]
pub(crate) struct EditArguments {
    /// Items, with commas between them, that join a list; may be given many times
    #[arg(long, value_name = "KEY=ITEMS", value_parser = parse_pair)]
    append: Vec<(String, String)>,
    /// Items, with commas between them, that leave a list; may be given many times
    #[arg(long, value_name = "KEY=ITEMS", value_parser = parse_pair)]
    subtract: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct SetArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// The configs with their values
    #[arg(value_name = "KEY=VALUE", value_parser = parse_pair, required_unless_present_any = ["append", "subtract"])]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    edits: EditArguments,
    /// Set what the cluster does not know too, for a plug-in of its brokers
    #[arg(long)]
    force: bool,
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
    #[command(flatten)]
    resource: ResourceArguments,
    /// The configs
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Only say whether it could be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(arguments: ConfigArguments) -> Result<(), Failure> {
    match arguments.command {
        ConfigCommand::Describe(it) => it.cluster.clone().run(|client, _| describe(client, it)),
        ConfigCommand::Set(it) => {
            let changes = changes_of(it.configs.clone(), it.edits.clone(), Vec::new())?;
            let what = Change { changes, force: it.force, dry_run: it.dry_run, json: it.json };
            it.cluster.clone().run(|client, _| change(client, it.resource, what))
        }
        ConfigCommand::Delete(it) => {
            let edits = EditArguments { append: Vec::new(), subtract: Vec::new() };
            let changes = changes_of(Vec::new(), edits, it.keys.clone())?;
            let what = Change { changes, force: false, dry_run: it.dry_run, json: it.json };
            it.cluster.clone().run(|client, _| change(client, it.resource, what))
        }
    }
}

/// What the command line wants of each config; a key that it names twice is a mistake.
pub(crate) fn changes_of(
    set: Vec<(String, String)>,
    edits: EditArguments,
    deleted: Vec<String>,
) -> Result<ConfigChanges, Failure> {
    let set = set.into_iter().map(|(key, value)| (key, ConfigChange::Set(value)));
    let append = edits.append.into_iter().map(|(key, items)| (key, ConfigChange::Append(items)));
    let subtract = edits.subtract.into_iter().map(|(key, items)| (key, ConfigChange::Subtract(items)));
    let deleted = deleted.into_iter().map(|key| (key, ConfigChange::Delete));
    let mut changes = ConfigChanges::new();
    for (key, change) in set.chain(append).chain(subtract).chain(deleted) {
        if changes.contains_key(&key) {
            return Err(Failure::Usage(format!("{key:?} is named twice; name it once")));
        }
        changes.insert(key, change);
    }
    Ok(changes)
}

async fn describe(client: Client, arguments: DescribeArguments) -> Result<(), Failure> {
    let DescribeArguments { resource, keys, all, json, .. } = arguments;
    let resource = resource.checked(&client).await?;
    let known = configs_of(&client, &resource).await?;
    let shown: BTreeMap<String, ConfigEntry> = if keys.is_empty() {
        let is_shown = |entry: &ConfigEntry| all || entry.source != DEFAULT;
        known.into_iter().filter(|(_, entry)| is_shown(entry)).collect()
    } else {
        check_known(&keys, &known, &resource)?;
        known.into_iter().filter(|(key, _)| keys.contains(key)).collect()
    };
    if json {
        let row = |(key, entry): (&String, &ConfigEntry)| {
            let value = json!({
                "value": entry.value,
                "source": word_for(entry.source),
                "read_only": entry.is_read_only,
                "sensitive": entry.is_sensitive,
            });
            (key.clone(), value)
        };
        return print_json(&Value::Object(shown.iter().map(row).collect()));
    }
    if shown.is_empty() {
        note("nothing is set; `--all` shows what is in effect");
        return Ok(());
    }
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
    for (key, entry) in shown {
        let value = match entry.value {
            Some(value) if value.is_empty() => "\"\"".to_owned(),
            Some(value) => value,
            None if entry.is_sensitive => "(kept back)".to_owned(),
            None => "(unset)".to_owned(),
        };
        table.row([key, value, word_for(entry.source).to_owned()]);
    }
    print(|output| table.write(output))
}

/// In [`ConfigEntry::source`]: nobody has set it.
const DEFAULT: i8 = 5;

fn word_for(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker",
        3 => "brokers",
        4 => "file",
        5 => "default",
        8 => "group",
        _ => "unknown",
    }
}

/// A change of one resource's configs.
struct Change {
    changes: ConfigChanges,
    force: bool,
    dry_run: bool,
    json: bool,
}

async fn change(client: Client, resource: ResourceArguments, what: Change) -> Result<(), Failure> {
    let resource = resource.checked(&client).await?;
    if !what.force {
        // A broker takes keys that it does not know, and a slip of the pen would go unnoticed.
        let keys: Vec<String> = what.changes.keys().cloned().collect();
        check_known(&keys, &settable(&client, &resource).await?, &resource)?;
    }
    alter(&client, &resource, &what.changes, what.dry_run).await?;
    if what.json {
        return print_json(&json!({
            "changed": what.changes.keys().collect::<Vec<_>>(),
            "dry_run": what.dry_run,
        }));
    }
    let lines: Vec<String> =
        what.changes.iter().map(|(key, change)| said(key, change, what.dry_run)).collect();
    print(|output| lines.iter().try_for_each(|line| writeln!(output, "{line}")))
}

/// What was done to a config, or could be.
pub(crate) fn said(key: &str, change: &ConfigChange, dry_run: bool) -> String {
    let (past, could) = match change {
        ConfigChange::Set(value) => (format!("set {key}={value}"), format!("{key} can be set to {value}")),
        ConfigChange::Delete => (format!("deleted {key}"), format!("{key} can be deleted")),
        ConfigChange::Append(items) => {
            (format!("appended {items} to {key}"), format!("{items} can be appended to {key}"))
        }
        ConfigChange::Subtract(items) => {
            (format!("subtracted {items} from {key}"), format!("{items} can be subtracted from {key}"))
        }
    };
    if dry_run { could } else { past }
}

/// Changes configs, or tries it.
pub(crate) async fn alter(
    client: &Client,
    resource: &ConfigResource,
    changes: &ConfigChanges,
    dry_run: bool,
) -> Result<(), Failure> {
    let asked = BTreeMap::from([(resource.clone(), changes.clone())]);
    match (client.admin().alter_configs(&asked, dry_run).await.remove(resource), resource) {
        (Some(Ok(())), _) => Ok(()),
        (Some(Err(error)), ConfigResource::Topic(name)) => Err(topic_failure(client, name, &error).await),
        (Some(Err(error)), resource) => Err(Failure::Failed(format!("{}: {error}", name_of(resource)))),
        (None, resource) => Err(Failure::Failed(format!("{}: nothing was answered", name_of(resource)))),
    }
}

fn name_of(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(name) => format!("topic {name:?}"),
        ConfigResource::Broker(id) => format!("broker {id}"),
        ConfigResource::EveryBroker => "all brokers".to_owned(),
        ConfigResource::Group(name) => format!("group {name:?}"),
        ConfigResource::ClientMetrics(name) => format!("the subscription {name:?} to clients' metrics"),
    }
}

async fn configs_of(
    client: &Client,
    resource: &ConfigResource,
) -> Result<BTreeMap<String, ConfigEntry>, Failure> {
    match (client.admin().describe_configs(std::slice::from_ref(resource)).await.remove(resource), resource) {
        (Some(Ok(configs)), _) => Ok(configs),
        (Some(Err(error)), ConfigResource::Topic(name)) => Err(topic_failure(client, name, &error).await),
        (Some(Err(error)), resource) => Err(Failure::Failed(format!("{}: {error}", name_of(resource)))),
        (None, resource) => Err(Failure::Failed(format!("{}: nothing was answered", name_of(resource)))),
    }
}

/// The configs that can be set on a resource: on all brokers those of any of them.
async fn settable(
    client: &Client,
    resource: &ConfigResource,
) -> Result<BTreeMap<String, ConfigEntry>, Failure> {
    if *resource != ConfigResource::EveryBroker {
        return configs_of(client, resource).await;
    }
    let mut known = configs_of(client, resource).await?;
    if let Some(broker) = brokers(client).await?.first() {
        known.extend(configs_of(client, &ConfigResource::Broker(*broker)).await?);
    }
    Ok(known)
}

async fn brokers(client: &Client) -> Result<Vec<BrokerId>, Failure> {
    let cluster = client.admin().describe_cluster().await.map_err(|error| failed(&error))?;
    Ok(cluster.brokers.into_keys().collect())
}

fn check_known(
    keys: &[String],
    known: &BTreeMap<String, ConfigEntry>,
    resource: &ConfigResource,
) -> Result<(), Failure> {
    let Some(unknown) = keys.iter().find(|key| !known.contains_key(*key)) else { return Ok(()) };
    let near = similar_names(unknown, known.keys().map(String::as_str));
    let hint = match near.as_slice() {
        [] => "`ottla config describe --all` shows those there are".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Err(Failure::Failed(format!("{}: there is no config {unknown:?}: {hint}", name_of(resource))))
}

impl ResourceArguments {
    /// The resource; a broker that the cluster lacks is told at once.
    async fn checked(self, client: &Client) -> Result<ConfigResource, Failure> {
        let resource = match (self.topic, self.broker, self.group) {
            (Some(name), _, _) => ConfigResource::Topic(name),
            (_, Some(id), _) => ConfigResource::Broker(BrokerId(id)),
            (_, _, Some(name)) => ConfigResource::Group(name),
            (None, None, None) => ConfigResource::EveryBroker,
        };
        if let ConfigResource::Broker(id) = &resource {
            let known = brokers(client).await?;
            if !known.contains(id) {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let text = format!("the cluster has no broker {id}; it has {}", known.join(", "));
                return Err(Failure::Failed(text));
            }
        }
        Ok(resource)
    }
}
