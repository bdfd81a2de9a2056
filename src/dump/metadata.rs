//! The files of `ottla-metadata/`: each metadata record on a line.

use std::io;
use std::path::Path;

use ottla_broker::controller::inspect::{MetadataFile, read_identity, read_log, read_snapshot_file};
use ottla_broker::controller::{MetadataOffset, MetadataRecord};
use ottla_protocol::types::BrokerId;

use super::line::{Line, Value};
use super::report::Report;
use super::small_files::read_whole;

/// Shows a file and checks it.
pub(super) fn dump_metadata(report: &mut Report<'_>, path: &Path, kind: MetadataFile) -> io::Result<()> {
    report.begin(path)?;
    let bytes = match read_whole(path) {
        Ok(bytes) => bytes,
        Err(error) => return report.damage(error),
    };
    match kind {
        MetadataFile::Log(index) => dump_log(report, index, &bytes),
        MetadataFile::Snapshot(index) => dump_snapshot(report, index, &bytes),
        MetadataFile::Identity => {
            match read_identity(&bytes) {
                Ok((cluster_id, node_id, directory_id)) => report.line(|| {
                    Line::new("entry")
                        .with("clusterId", cluster_id.to_string())
                        .with("nodeId", node_id.0)
                        .with("directoryId", directory_id.to_string())
                })?,
                Err(error) => report.damage(error)?,
            }
            report.end(Line::new("summary").with("bytes", bytes.len()))
        }
    }
}

fn dump_log(report: &mut Report<'_>, index: u64, bytes: &[u8]) -> io::Result<()> {
    let (mut transactions, mut count) = (0u64, 0u64);
    let mut before = index.checked_sub(1).map(|index| MetadataOffset { epoch: 0, index });
    let mut written = Ok(());
    let read = read_log(bytes, index, |position, offset, records| {
        transactions += 1;
        count += records.len() as u64;
        if written.is_ok() {
            let falls =
                before.is_some_and(|before| offset.index <= before.index || offset.epoch < before.epoch);
            written = if falls {
                report.damage(format_args!(
                    "byte {position}: transaction {offset} does not lie above the one before"
                ))
            } else {
                records
                    .iter()
                    .try_for_each(|record| report.line(|| line_of(record, Some((offset, position)))))
            };
        }
        before = Some(offset);
    });
    written?;
    if let Err(bad) = read {
        report.damage(bad)?;
    }
    let line = Line::new("summary")
        .with("transactions", transactions)
        .with("records", count)
        .with("bytes", bytes.len());
    report.end(line)
}

fn dump_snapshot(report: &mut Report<'_>, index: u64, bytes: &[u8]) -> io::Result<()> {
    let mut count = 0u64;
    let mut written = Ok(());
    let read = read_snapshot_file(bytes, index, |record| {
        count += 1;
        if written.is_ok() {
            written = report.line(|| line_of(&record, None));
        }
    });
    written?;
    let offset = match read {
        Ok(offset) => Some(offset.to_string()),
        Err(error) => {
            report.damage(error)?;
            None
        }
    };
    let line = Line::new("summary").with("records", count).with("bytes", bytes.len()).with("asOf", offset);
    report.end(line)
}

fn line_of(record: &MetadataRecord, place: Option<(MetadataOffset, usize)>) -> Line {
    let mut line = Line::new("entry");
    if let Some((offset, position)) = place {
        line = line.with("epoch", offset.epoch).with("index", offset.index).with("position", position);
    }
    let named = |name: &str| line.clone().with("record", name);
    match record {
        MetadataRecord::ClusterCreated { cluster_id, created_at } => {
            named("ClusterCreated").with("clusterId", cluster_id.to_string()).with("createdAt", created_at.0)
        }
        MetadataRecord::BrokerRegistered(broker) => {
            let endpoints = broker.endpoints.iter();
            let endpoints =
                endpoints.map(|found| format!("{}://{}:{}", found.listener, found.host, found.port));
            named("BrokerRegistered")
                .with("broker", broker.broker.0)
                .with("startCount", broker.start_count)
                .with("directories", texts(&broker.directories))
                .with("endpoints", endpoints.collect::<Vec<_>>())
                .with("rack", broker.rack.clone())
                .with("registeredAt", broker.registered_at.0)
        }
        MetadataRecord::Topic { id, name, partition_count } => named("Topic")
            .with("topicId", id.to_string())
            .with("name", name.clone())
            .with("partitionCount", *partition_count),
        MetadataRecord::Partition(partition) => named("Partition")
            .with("topicId", partition.topic.to_string())
            .with("partition", partition.index.0)
            .with("replicas", ids(&partition.replicas))
            .with("directories", texts(&partition.directories))
            .with("isr", ids(&partition.isr))
            .with("elr", ids(&partition.elr))
            .with("leader", partition.leader.map(|leader| leader.0))
            .with("leaderEpoch", partition.leader_epoch.0)
            .with("partitionEpoch", partition.partition_epoch),
        MetadataRecord::PartitionChange(change) => {
            let mut line = named("PartitionChange")
                .with("topicId", change.topic.to_string())
                .with("partition", change.index.0)
                .with("partitionEpoch", change.partition_epoch)
                .with_some("isr", change.isr.as_deref().map(ids))
                .with_some("elr", change.elr.as_deref().map(ids));
            if let Some(new) = change.leader {
                line = line
                    .with("leader", new.leader.map(|leader| leader.0))
                    .with("leaderEpoch", new.leader_epoch.0);
            }
            match &change.replicas {
                Some((replicas, directories)) => {
                    line.with("replicas", ids(replicas)).with("directories", texts(directories))
                }
                None => line,
            }
        }
        MetadataRecord::RemoveTopic { id } => named("RemoveTopic").with("topicId", id.to_string()),
        MetadataRecord::ConfigSet { resource, key, value } => named("ConfigSet")
            .with("resource", resource.to_string())
            .with("key", key.clone())
            .with("value", value.clone()),
        MetadataRecord::ConfigRemoved { resource, key } => {
            named("ConfigRemoved").with("resource", resource.to_string()).with("key", key.clone())
        }
        MetadataRecord::ProducerIdBlock { broker, next } => {
            named("ProducerIdBlock").with("broker", broker.0).with("next", next.0)
        }
        MetadataRecord::FeatureLevel { name, level } => {
            named("FeatureLevel").with("name", name.clone()).with("level", *level)
        }
        MetadataRecord::NoOp => named("NoOp"),
    }
}

fn ids(brokers: &[BrokerId]) -> Value {
    Value::List(brokers.iter().map(|broker| broker.0.into()).collect())
}

fn texts(values: &[impl ToString]) -> Value {
    Value::List(values.iter().map(|value| value.to_string().into()).collect())
}
