//! `ottla group`: list, describe, reset and delete groups.

mod describe;
mod places;
mod reset;

use clap::{Args, Subcommand, ValueEnum};
use ottla_client::admin::{GroupFilter, GroupListing};
use ottla_client::{Client, Error};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::PartitionIndex;
use serde_json::{Value, json};

use self::places::{TopicPlaces, parse_topic_places, partitions_of};
use crate::Failure;
use crate::cluster::{ClusterArguments, failed};
use crate::output::{note, print, print_json};
use crate::similar::similar_names;
use crate::table::Table;

/// What `ottla group` takes.
#[derive(Debug, Args)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct GroupArguments {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List the groups
    #[command(after_help = crate::EXIT_CODES)]
    List(ListArguments),
    /// Show how far a group has come, what it lags behind by, and who its members are
    #[command(after_help = crate::EXIT_CODES)]
    Describe(describe::DescribeArguments),
    /// Set where a group without members goes on
    #[command(after_help = crate::EXIT_CODES)]
    Reset(reset::ResetArguments),
    /// Delete groups without members, or what they have committed for a topic
    #[command(after_help = crate::EXIT_CODES)]
    Delete(DeleteArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only groups in this state; may be given many times
    #[arg(long, value_name = "STATE", ignore_case = true)]
    state: Vec<State>,
    /// Only groups of this type; may be given many times
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    group_type: Vec<GroupType>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The states that a group can be in, in Kafka's words.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Assigning,
    Reconciling,
    Stable,
    Dead,
}

/// The types that a group can have.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum GroupType {
    Classic,
    Consumer,
    Share,
    Streams,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Only what they have committed for this topic, or for these partitions of it; may be given many times
    #[arg(long, value_name = "TOPIC[:N,N]", value_parser = parse_topic_places)]
    topic: Vec<TopicPlaces>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(arguments: GroupArguments) -> Result<(), Failure> {
    match arguments.command {
        GroupCommand::List(it) => it.cluster.clone().run(|client, _| list(client, it)),
        GroupCommand::Describe(it) => it.cluster().clone().run(|client, _| describe::describe(client, it)),
        GroupCommand::Reset(it) => {
            it.cluster().clone().run(|client, runtime| reset::reset(client, runtime.clock, it))
        }
        GroupCommand::Delete(it) if it.topic.is_empty() => {
            it.cluster.clone().run(|client, _| delete(client, it))
        }
        GroupCommand::Delete(it) => it.cluster.clone().run(|client, _| delete_offsets(client, it)),
    }
}

async fn list(client: Client, arguments: ListArguments) -> Result<(), Failure> {
    let filter = GroupFilter {
        states: arguments.state.iter().map(|state| format!("{state:?}")).collect(),
        types: arguments.group_type.iter().map(|it| format!("{it:?}").to_lowercase()).collect(),
    };
    let groups = client.admin().list_groups(&filter).await.map_err(|error| failed(&error))?;
    if arguments.json {
        let row = |(name, group): (&String, &GroupListing)| {
            json!({
                "group": name,
                "state": group.state,
                "type": group.group_type,
                "protocol": group.protocol_type,
                "coordinator": group.coordinator.0,
            })
        };
        return print_json(&Value::Array(groups.iter().map(row).collect()));
    }
    if groups.is_empty() {
        let is_filtered = filter != GroupFilter::default();
        let all = "there are no groups; one begins with its first member or its first commit";
        note(if is_filtered { "there are no such groups" } else { all });
        return Ok(());
    }
    let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]);
    let known = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    for (name, group) in groups {
        let protocol = known(Some(group.protocol_type));
        table.row([
            name,
            known(group.state),
            known(group.group_type),
            protocol,
            group.coordinator.to_string(),
        ]);
    }
    print(|output| table.write(output))
}

async fn delete(client: Client, arguments: DeleteArguments) -> Result<(), Failure> {
    let names: Vec<&str> = arguments.groups.iter().map(String::as_str).collect();
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for (name, outcome) in client.admin().delete_groups(&names).await {
        match outcome {
            Ok(()) => deleted.push(name),
            Err(error) => failures.push(group_failure(&client, &name, &error).await),
        }
    }
    if arguments.json {
        print_json(&json!({ "deleted": deleted }))?;
    } else {
        print(|output| deleted.iter().try_for_each(|name| writeln!(output, "deleted {name}")))?;
    }
    all_of(failures)
}

async fn delete_offsets(client: Client, arguments: DeleteArguments) -> Result<(), Failure> {
    let (mut lines, mut rows, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let partitions = partitions_of(&client, &arguments.topic).await?;
    let asked: Vec<(&str, PartitionIndex)> =
        partitions.iter().map(|(topic, index)| (topic.as_str(), *index)).collect();
    for group in &arguments.groups {
        match client.admin().delete_committed_offsets(group, &asked).await {
            Err(error) => failures.push(group_failure(&client, group, &error).await),
            Ok(outcomes) => {
                for ((topic, index), outcome) in outcomes {
                    match outcome {
                        Ok(()) => {
                            lines.push(format!("deleted what {group} has committed for {topic}-{index}"));
                            rows.push(json!({ "group": group, "topic": topic, "partition": index.0 }));
                        }
                        Err(error) => failures.push(offset_failure(group, &topic, index, &error)),
                    }
                }
            }
        }
    }
    if arguments.json {
        print_json(&json!({ "deleted": rows }))?;
    } else {
        print(|output| lines.iter().try_for_each(|line| writeln!(output, "{line}")))?;
    }
    all_of(failures)
}

/// One failure of all, if there is any.
fn all_of(failures: Vec<Failure>) -> Result<(), Failure> {
    let mut texts: Vec<String> = failures.into_iter().map(Failure::into_text).collect();
    texts.dedup();
    if texts.is_empty() { Ok(()) } else { Err(Failure::Failed(texts.join("\nottla: "))) }
}

/// What a broker's error about a group means to whoever named it.
async fn group_failure(client: &Client, name: &str, error: &Error) -> Failure {
    match error.error_code() {
        Some(ErrorCode::GroupIdNotFound) => Failure::Failed(unknown_group(client, name).await),
        Some(ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress) => {
            Failure::Failed(in_use(name))
        }
        Some(ErrorCode::InvalidGroupId) => {
            Failure::Failed(format!("group {name:?}: that can't be a group's name: {error}"))
        }
        _ => Failure::Failed(format!("group {name:?}: {error}")),
    }
}

fn in_use(name: &str) -> String {
    format!("group {name:?} has members: stop them first; `ottla group describe {name}` shows who they are")
}

fn offset_failure(group: &str, topic: &str, index: PartitionIndex, error: &Error) -> Failure {
    match error.error_code() {
        Some(ErrorCode::GroupSubscribedToTopic) => Failure::Failed(format!(
            "group {group:?} has members that are subscribed to {topic:?}: stop them first; \
             `ottla group describe {group}` shows who they are"
        )),
        Some(ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress) => Failure::Failed(in_use(group)),
        _ => Failure::Failed(format!("group {group:?}, {topic}-{index}: {error}")),
    }
}

async fn unknown_group(client: &Client, name: &str) -> String {
    let known = client.admin().list_groups(&GroupFilter::default()).await.unwrap_or_default();
    let similar = similar_names(name, known.keys().map(String::as_str));
    let hint = match similar.as_slice() {
        [] if known.is_empty() => "the cluster has none yet".to_owned(),
        [] => "`ottla group list` shows those there are".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    format!("there is no group {name:?}: {hint}")
}
