//! `ottla group reset`: sets where a group goes on.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use ottla_client::Client;
use ottla_client::admin::{CommittedOffset, GroupDescription, ListedOffset, OffsetSpec, Outcomes};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_runtime::Clock;
use serde_json::{Value, json};

use super::places::{TopicPlaces, parse_topic_places, partitions_of};
use super::{all_of, group_failure, in_use, offset_failure, unknown_group};
use crate::Failure;
use crate::cluster::{ClusterArguments, failed};
use crate::output::{note, print, print_json};
use crate::table::Table;
use crate::tail::from::{From, parse_from};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("place").required(true).args(["to", "shift"]))]
pub(super) struct ResetArguments {
    /// The group
    group: String,
    /// Where to go on: earliest, latest, an offset, a time such as 2026-11-21T09:30 (UTC) or -15m, or -N for the last N
    /// records
    #[arg(long, value_name = "PLACE", value_parser = parse_from, allow_hyphen_values = true)]
    to: Option<From>,
    /// So many records further on than now, or back where it is negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift: Option<i64>,
    /// Only in this topic, or in these partitions of it; may be given many times [default: all that the group has
    /// committed]
    #[arg(long, value_name = "TOPIC[:N,N]", value_parser = parse_topic_places)]
    topic: Vec<TopicPlaces>,
    /// The group may be one that isn't there yet
    #[arg(long)]
    new: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl ResetArguments {
    pub(super) fn cluster(&self) -> &ClusterArguments {
        &self.cluster
    }
}

type Partition = (String, PartitionIndex);

/// Where to.
#[derive(Debug, Clone, Copy)]
enum Place {
    To(From),
    Shift(i64),
}

/// What becomes of one partition.
#[derive(Debug)]
struct Change {
    before: Option<Offset>,
    after: Offset,
    /// Whether it was meant to lie beyond an end.
    is_cut: bool,
}

pub(super) async fn reset(client: Client, clock: Clock, arguments: ResetArguments) -> Result<(), Failure> {
    let ResetArguments { group, to, shift, topic, new, dry_run, json, .. } = arguments;
    let place = match (to, shift) {
        (Some(to), _) => Place::To(to),
        (None, shift) => Place::Shift(shift.unwrap_or(0)),
    };
    let described = group_without_members(&client, &group).await?;
    if described.is_none() && !new {
        let unknown = unknown_group(&client, &group).await;
        return Err(Failure::Failed(format!("{unknown}; with --new it begins now")));
    }
    let committed = committed_by(&client, &group).await?;
    let partitions: BTreeSet<Partition> = if topic.is_empty() {
        committed.keys().cloned().collect()
    } else {
        partitions_of(&client, &topic).await?
    };
    if partitions.is_empty() {
        return Err(Failure::Failed(format!(
            "group {group:?} has committed nothing yet: name what to reset with --topic"
        )));
    }
    let changes = changes_to(&client, &clock, place, &partitions, &committed).await?;
    let failures = if dry_run { BTreeMap::new() } else { commit(&client, &group, &changes).await? };
    show(&group, &changes, &failures, dry_run, json)?;
    all_of(failures.into_values().collect())
}

/// The group, if it is there; with members it can't be reset.
async fn group_without_members(client: &Client, name: &str) -> Result<Option<GroupDescription>, Failure> {
    match client.admin().describe_groups(&[name]).await.remove(name) {
        Some(Ok(group)) if group.members.is_empty() => Ok(Some(group)),
        Some(Ok(_)) => Err(Failure::Failed(in_use(name))),
        Some(Err(error)) if error.error_code() == Some(ErrorCode::GroupIdNotFound) => Ok(None),
        Some(Err(error)) => Err(group_failure(client, name, &error).await),
        None => Err(Failure::Failed(format!("group {name:?}: the broker says nothing of it"))),
    }
}

async fn committed_by(client: &Client, name: &str) -> Result<BTreeMap<Partition, Offset>, Failure> {
    match client.admin().committed_offsets(name, None, true).await {
        Ok(committed) => {
            Ok(committed.into_iter().filter_map(|(key, it)| Some((key, it.ok()?.offset))).collect())
        }
        Err(error) => Err(group_failure(client, name, &error).await),
    }
}

async fn changes_to(
    client: &Client,
    clock: &Clock,
    place: Place,
    partitions: &BTreeSet<Partition>,
    committed: &BTreeMap<Partition, Offset>,
) -> Result<BTreeMap<Partition, Change>, Failure> {
    let ask = |spec| {
        let asked: Vec<_> = partitions.iter().map(|(topic, index)| (topic.as_str(), *index, spec)).collect();
        let admin = client.admin();
        async move { admin.list_offsets(&asked).await }
    };
    let (starts, ends) = tokio::join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest));
    let at_time = match place {
        Place::To(from) => match from.timestamp(clock.wall().0) {
            Some(timestamp) => Some(ask(OffsetSpec::Timestamp(timestamp)).await),
            None => None,
        },
        Place::Shift(_) => None,
    };
    let mut changes = BTreeMap::new();
    for partition in partitions {
        let (start, end) = (offset_in(&starts, partition)?, offset_in(&ends, partition)?);
        let (start, end) = (start.unwrap_or(Offset(0)), end.unwrap_or(Offset(0)));
        let timed = at_time.as_ref().map(|told| offset_in(told, partition)).transpose()?.flatten();
        let before = committed.get(partition).copied();
        let Some(meant) = place.offset(start, end, before, timed) else {
            let (topic, index) = partition;
            return Err(Failure::Failed(format!(
                "nothing is committed for {topic}-{index} that could be shifted: name a place with --to"
            )));
        };
        let after = Offset(meant.0.clamp(start.0, end.0));
        changes.insert(partition.clone(), Change { before, after, is_cut: after != meant });
    }
    Ok(changes)
}

fn offset_in(
    told: &Outcomes<Partition, ListedOffset>,
    partition: &Partition,
) -> Result<Option<Offset>, Failure> {
    let (topic, index) = partition;
    match told.get(partition) {
        Some(Ok(listed)) => Ok(listed.offset),
        Some(Err(error)) if error.error_code() == Some(ErrorCode::UnknownTopicOrPartition) => {
            Err(Failure::Failed(format!(
                "{topic}-{index} is committed but no longer there; name the other topics with --topic, or forget it \
                 with `ottla group delete GROUP --topic {topic}`"
            )))
        }
        Some(Err(error)) => Err(failed(error)),
        None => Err(Failure::Failed(format!("{topic}-{index}: the broker says nothing of it"))),
    }
}

impl Place {
    /// Where that is in one partition, ends not yet looked at; `None` where there is nothing to shift.
    fn offset(
        self,
        start: Offset,
        end: Offset,
        before: Option<Offset>,
        timed: Option<Offset>,
    ) -> Option<Offset> {
        Some(match self {
            Place::Shift(count) => Offset(before?.0.saturating_add(count)),
            Place::To(From::Beginning) => start,
            Place::To(From::End) => end,
            Place::To(From::Offset(offset)) => offset,
            Place::To(From::Moment(_) | From::Ago(_)) => timed.unwrap_or(end),
            Place::To(From::Last(count)) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                Offset(end.0.saturating_sub(count).max(start.0))
            }
        })
    }
}

/// Commits; what it failed for.
async fn commit(
    client: &Client,
    group: &str,
    changes: &BTreeMap<Partition, Change>,
) -> Result<BTreeMap<Partition, Failure>, Failure> {
    let row = |((topic, index), change): (&Partition, &Change)| {
        (topic.clone(), *index, CommittedOffset::at(change.after))
    };
    let rows: Vec<(String, PartitionIndex, CommittedOffset)> = changes.iter().map(row).collect();
    let offsets: Vec<_> =
        rows.iter().map(|(topic, index, it)| (topic.as_str(), *index, it.clone())).collect();
    match client.admin().alter_committed_offsets(group, &offsets).await {
        Ok(outcomes) => Ok(outcomes
            .into_iter()
            .filter_map(|((topic, index), outcome)| {
                let failure = offset_failure(group, &topic, index, &outcome.err()?);
                Some(((topic, index), failure))
            })
            .collect()),
        Err(error) => Err(group_failure(client, group, &error).await),
    }
}

fn show(
    group: &str,
    changes: &BTreeMap<Partition, Change>,
    failures: &BTreeMap<Partition, Failure>,
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    let done = || changes.iter().filter(|(partition, _)| !failures.contains_key(partition));
    if json {
        let row = |((topic, index), change): (&Partition, &Change)| {
            json!({
                "topic": topic,
                "partition": index.0,
                "before": change.before.map(|offset| offset.0),
                "after": change.after.0,
                "cut": change.is_cut,
            })
        };
        let rows: Vec<Value> = done().map(row).collect();
        return print_json(&json!({ "group": group, "dry_run": dry_run, "offsets": rows }));
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "BEFORE", "AFTER"]);
    for ((topic, index), change) in done() {
        let before = change.before.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        table.row([topic.clone(), index.to_string(), before, change.after.to_string()]);
    }
    if done().next().is_some() {
        print(|output| table.write(output))?;
    }
    if changes.values().any(|change| change.is_cut) {
        note("what lay beyond an end of its partition was set to that end");
    }
    if dry_run {
        note("nothing was changed (--dry-run)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn places_are_offsets() {
        let check = |place: Place, before: Option<i64>, timed: Option<i64>, expected: Option<i64>| {
            let found = place.offset(Offset(10), Offset(100), before.map(Offset), timed.map(Offset));
            assert_eq!(found, expected.map(Offset), "{place:?}");
        };
        check(Place::To(From::Beginning), Some(50), None, Some(10));
        check(Place::To(From::End), None, None, Some(100));
        check(Place::To(From::Offset(Offset(7))), None, None, Some(7));
        check(Place::To(From::Last(20)), None, None, Some(80));
        check(Place::To(From::Last(1_000)), None, None, Some(10));
        check(Place::To(From::Moment(5)), None, Some(42), Some(42));
        check(Place::To(From::Ago(Duration::from_secs(1))), None, None, Some(100));
        check(Place::Shift(-30), Some(50), None, Some(20));
        check(Place::Shift(i64::MAX), Some(50), None, Some(i64::MAX));
        check(Place::Shift(5), None, None, None);
    }
}
