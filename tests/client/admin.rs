//! Administration: topics, configs, offsets and the cluster.

use ottla_client::Error;
use ottla_client::admin::{ConfigResource, NewTopic, OffsetSpec};
use ottla_client::producer::{ProducerConfig, Record};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, PartitionIndex};

use crate::bed::{Bed, fresh_name};

crate::everywhere! {
    topics_come_and_go,
    configs_are_told_with_where_they_are_from,
    offsets_are_found_by_end_and_by_time,
    a_cluster_describes_itself,
}

/// What the broker said instead.
fn code<T>(outcome: &Result<T, Error>) -> Option<ErrorCode> {
    outcome.as_ref().err().and_then(Error::error_code)
}

async fn topics_come_and_go(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let admin = client.admin();
    let again = admin.create_topics(&[NewTopic::named(topic.clone()), NewTopic::named("bad/name")]).await;
    assert_eq!(code(&again[&topic]), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(code(&again["bad/name"]), Some(ErrorCode::InvalidTopicException));

    assert_eq!(admin.list_topics().await.expect("topics")[&topic].partition_count, 3);
    let missing = fresh_name();
    let described = admin.describe_topics(&[&topic, &missing]).await;
    assert_eq!(described[&topic].as_ref().expect("it is there").partitions.len(), 3);
    assert_eq!(code(&described[&missing]), Some(ErrorCode::UnknownTopicOrPartition));

    let deleted = admin.delete_topics(&[&topic, &missing]).await;
    assert!(deleted[&topic].is_ok());
    assert_eq!(code(&deleted[&missing]), Some(ErrorCode::UnknownTopicOrPartition));
    // A cluster may take a moment to hear of it everywhere.
    bed.until(async || !admin.list_topics().await.expect("topics").contains_key(&topic)).await;
}

async fn configs_are_told_with_where_they_are_from(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[("retention.ms", "12345")]).await;
    let resource = ConfigResource::Topic(topic);
    let mut told = client.admin().describe_configs(std::slice::from_ref(&resource)).await;
    let told = told.remove(&resource).expect("asked for").expect("configs");
    assert_eq!((told["retention.ms"].value.as_deref(), told["retention.ms"].source), (Some("12345"), 1));
    assert_eq!(told["cleanup.policy"].value.as_deref(), Some("delete"));
}

async fn offsets_are_found_by_end_and_by_time(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    let now = bed.runtime.clock.wall().0;
    for age in [300, 200, 100] {
        let record = Record::to(&topic).timestamp(now - age);
        producer.send(record).await.expect("accepted").await.expect("written");
    }
    let partition = PartitionIndex(0);
    let check = async |spec, expected: Option<i64>| {
        let told = client.admin().list_offsets(&[(&topic, partition, spec)]).await;
        let found = told[&(topic.clone(), partition)].as_ref().expect("an offset").offset;
        assert_eq!(found, expected.map(Offset), "{spec:?}");
    };
    check(OffsetSpec::Earliest, Some(0)).await;
    check(OffsetSpec::Latest, Some(3)).await;
    check(OffsetSpec::MaxTimestamp, Some(2)).await;
    check(OffsetSpec::Timestamp(now - 250), Some(1)).await;
    check(OffsetSpec::Timestamp(now + 250), None).await;
}

async fn a_cluster_describes_itself(bed: Bed) {
    let cluster = bed.client().await.admin().describe_cluster().await.expect("a description");
    assert!(!cluster.cluster_id.is_empty());
    assert_eq!(cluster.brokers.len(), 1);
    assert!(cluster.controller.is_some());
}
