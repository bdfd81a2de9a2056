//! `ottla group describe`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use clap::Args;
use ottla_client::Client;
use ottla_client::admin::{CommittedOffset, GroupDescription, GroupMember, OffsetSpec, PartitionsByTopic};
use ottla_protocol::types::{Offset, PartitionIndex};
use serde_json::{Value, json};

use super::group_failure;
use crate::Failure;
use crate::cluster::ClusterArguments;
use crate::output::{print, print_json};
use crate::table::{Table, grouped};

#[derive(Debug, Args)]
pub(super) struct DescribeArguments {
    /// The group
    group: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl DescribeArguments {
    pub(super) fn cluster(&self) -> &ClusterArguments {
        &self.cluster
    }
}

type Partition = (String, PartitionIndex);

/// How far the group has come in a partition.
#[derive(Debug, Default)]
struct Progress {
    committed: Option<CommittedOffset>,
    start: Option<Offset>,
    end: Option<Offset>,
    /// The member that has the partition.
    member: Option<String>,
}

impl Progress {
    /// How many records are still to be read, gaps included; `None` where nothing was committed or no end is known.
    fn lag(&self) -> Option<u64> {
        let (committed, end) = (self.committed.as_ref()?.offset, self.end?);
        Some(u64::try_from(end.0 - committed.0).unwrap_or(0))
    }
}

pub(super) async fn describe(client: Client, arguments: DescribeArguments) -> Result<(), Failure> {
    let DescribeArguments { group: name, json, .. } = arguments;
    let described = client.admin().describe_groups(&[&name]).await.remove(&name);
    let group = match described {
        Some(Ok(group)) => group,
        Some(Err(error)) => return Err(group_failure(&client, &name, &error).await),
        None => return Err(Failure::Failed(format!("group {name:?}: the broker says nothing of it"))),
    };
    let progress = progress_of(&client, &name, &group).await?;
    if json {
        return print_json(&description(&name, &group, &progress));
    }
    print(|output| write_description(output, &name, &group, &progress))
}

/// What was committed, and what is assigned to somebody, each with where the partition begins and ends.
async fn progress_of(
    client: &Client,
    name: &str,
    group: &GroupDescription,
) -> Result<BTreeMap<Partition, Progress>, Failure> {
    let mut progress: BTreeMap<Partition, Progress> = BTreeMap::new();
    let committed = match client.admin().committed_offsets(name, None, false).await {
        Ok(committed) => committed,
        Err(error) => return Err(group_failure(client, name, &error).await),
    };
    for (partition, outcome) in committed {
        progress.entry(partition).or_default().committed = outcome.ok();
    }
    for (member_id, member) in &group.members {
        for (topic, indexes) in &member.assignment {
            for index in indexes {
                let member = Some(member_id.clone());
                progress.entry((topic.clone(), *index)).or_default().member = member;
            }
        }
    }
    let partitions: Vec<Partition> = progress.keys().cloned().collect();
    let ask = |spec| {
        let asked: Vec<_> = partitions.iter().map(|(topic, index)| (topic.as_str(), *index, spec)).collect();
        let admin = client.admin();
        async move { admin.list_offsets(&asked).await }
    };
    let (starts, ends) = tokio::join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest));
    for (partition, row) in &mut progress {
        // A topic that is gone has no ends; what was committed for it is told all the same.
        let told = |outcome: Option<&Result<ottla_client::admin::ListedOffset, _>>| {
            outcome.and_then(|outcome| outcome.as_ref().ok()).and_then(|listed| listed.offset)
        };
        row.start = told(starts.get(partition));
        row.end = told(ends.get(partition));
    }
    Ok(progress)
}

fn total_lag(progress: &BTreeMap<Partition, Progress>) -> Option<u64> {
    let lags: Vec<u64> = progress.values().filter_map(Progress::lag).collect();
    (!lags.is_empty()).then(|| lags.iter().sum())
}

fn kind(group: &GroupDescription) -> &'static str {
    if group.is_classic() { "classic" } else { "consumer" }
}

fn description(name: &str, group: &GroupDescription, progress: &BTreeMap<Partition, Progress>) -> Value {
    let assigned = |partitions: &PartitionsByTopic| -> serde_json::Map<String, Value> {
        let numbers = |indexes: &BTreeSet<PartitionIndex>| indexes.iter().map(|it| it.0).collect::<Vec<_>>();
        partitions.iter().map(|(topic, indexes)| (topic.clone(), json!(numbers(indexes)))).collect()
    };
    let offset = |((topic, index), row): (&Partition, &Progress)| {
        let committed = row.committed.as_ref();
        json!({
            "topic": topic,
            "partition": index.0,
            "committed_offset": committed.map(|it| it.offset.0),
            "leader_epoch": committed.and_then(|it| it.leader_epoch).map(|epoch| epoch.0),
            "metadata": committed.map(|it| &it.metadata),
            "start_offset": row.start.map(|offset| offset.0),
            "end_offset": row.end.map(|offset| offset.0),
            "lag": row.lag(),
            "member": row.member,
        })
    };
    let member = |(id, member): (&String, &GroupMember)| {
        json!({
            "member": id,
            "client_id": member.client_id,
            "host": member.host,
            "instance_id": member.instance_id,
            "rack": member.rack,
            "epoch": member.epoch,
            "protocol": if member.is_classic { "classic" } else { "consumer" },
            "topics": member.subscribed_topics,
            "regex": member.subscribed_regex,
            "assignment": assigned(&member.assignment),
            "target_assignment": assigned(&member.target_assignment),
        })
    };
    json!({
        "group": name,
        "state": group.state,
        "type": kind(group),
        "protocol": group.protocol_type,
        "assignor": group.assignor,
        "group_epoch": group.epochs.map(|(epoch, _)| epoch),
        "assignment_epoch": group.epochs.map(|(_, epoch)| epoch),
        "coordinator": group.coordinator.0,
        "lag": total_lag(progress),
        "offsets": progress.iter().map(offset).collect::<Vec<_>>(),
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
}

fn write_description(
    output: &mut dyn Write,
    name: &str,
    group: &GroupDescription,
    progress: &BTreeMap<Partition, Progress>,
) -> io::Result<()> {
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    writeln!(output, "group        {name}")?;
    writeln!(output, "state        {}", group.state)?;
    writeln!(output, "type         {}", kind(group))?;
    writeln!(output, "protocol     {}", known(&group.protocol_type))?;
    writeln!(output, "assignor     {}", known(&group.assignor))?;
    if let Some((epoch, assignment_epoch)) = group.epochs {
        writeln!(output, "epoch        {epoch}, assigned in {assignment_epoch}")?;
    }
    writeln!(output, "coordinator  {}", group.coordinator)?;
    writeln!(output, "members      {}", group.members.len())?;
    writeln!(output, "lag          {}", total_lag(progress).map_or_else(|| "-".to_owned(), grouped))?;
    if !progress.is_empty() {
        writeln!(output)?;
        write_progress(output, progress)?;
    }
    if !group.members.is_empty() {
        writeln!(output)?;
        write_members(output, group)?;
    }
    Ok(())
}

fn write_progress(output: &mut dyn Write, progress: &BTreeMap<Partition, Progress>) -> io::Result<()> {
    let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"]);
    for ((topic, index), row) in progress {
        let number = |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |it| it.to_string());
        table.row([
            topic.clone(),
            index.to_string(),
            number(row.committed.as_ref().map(|it| it.offset)),
            number(row.end),
            row.lag().map_or_else(|| "-".to_owned(), grouped),
            row.member.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.write(output)
}

fn write_members(output: &mut dyn Write, group: &GroupDescription) -> io::Result<()> {
    let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", "INSTANCE", "EPOCH", "ASSIGNMENT"]);
    for (id, member) in &group.members {
        table.row([
            id.clone(),
            member.client_id.clone(),
            member.host.clone(),
            member.instance_id.clone().unwrap_or_else(|| "-".to_owned()),
            member.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string()),
            assignment(member),
        ]);
    }
    table.write(output)
}

/// `orders:0,3 payments:1`, and where it is still to come what it will be.
fn assignment(member: &GroupMember) -> String {
    let shown = |partitions: &PartitionsByTopic| {
        let topic = |(topic, indexes): (&String, &BTreeSet<PartitionIndex>)| {
            let numbers: Vec<String> = indexes.iter().map(ToString::to_string).collect();
            format!("{topic}:{}", numbers.join(","))
        };
        let topics: Vec<String> = partitions.iter().map(topic).collect();
        if topics.is_empty() { "-".to_owned() } else { topics.join(" ") }
    };
    let now = shown(&member.assignment);
    if member.assignment == member.target_assignment {
        return now;
    }
    format!("{now} (to be {})", shown(&member.target_assignment))
}
