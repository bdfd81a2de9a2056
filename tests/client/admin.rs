//! Administration: topics, configs, offsets and the cluster.

use ottla_client::Error;
use ottla_client::admin::{ConfigResource, ConfigResourceType, NewTopic, OffsetSpec};
use ottla_client::producer::{ProducerConfig, Record};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{Offset, PartitionIndex};

use crate::bed::{Bed, fresh_name};

crate::everywhere! {
    topics_come_and_go,
    configs_are_told_with_where_they_are_from,
    offsets_are_found_by_end_and_by_time,
    a_cluster_describes_itself,
    data_directories_tell_how_large_partitions_are,
    partitions_tell_their_producers,
    resources_with_configs_are_listed,
    partitions_are_described_page_by_page,
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

/// Writes so many records of 100 bytes to partition 0, one batch each.
async fn write(client: &ottla_client::Client, topic: &str, count: usize) {
    let producer = client.producer(ProducerConfig::default()).expect("a config");
    for _ in 0..count {
        let record = Record::to(topic).partition(0).value(&[b'v'; 100]);
        producer.send(record).await.expect("accepted").await.expect("written");
    }
}

async fn data_directories_tell_how_large_partitions_are(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    write(&client, &topic, 3).await;
    let cluster = client.admin().describe_cluster().await.expect("a description");
    let broker = *cluster.brokers.keys().next().expect("a broker");
    let asked = [(topic.clone(), vec![PartitionIndex(0)])].into();
    let mut told = client.admin().describe_log_dirs(&[broker], Some(&asked)).await;
    let directories = told.remove(&broker).expect("asked for").expect("an answer");
    let directory = directories.values().next().expect("a directory");
    assert_eq!(directory.error, None);
    assert!(directory.usable_bytes <= directory.total_bytes && directory.total_bytes.is_some());
    let [(place, replica)] = &directory.replicas.iter().collect::<Vec<_>>()[..] else {
        panic!("one replica")
    };
    assert_eq!(**place, (topic.clone(), PartitionIndex(0)));
    assert!((300..3_000).contains(&replica.bytes) && !replica.is_future, "{replica:?}");
    let told = client.admin().describe_log_dirs(&[broker], None).await;
    let all = told[&broker].as_ref().expect("an answer").values();
    assert!(all.flat_map(|directory| directory.replicas.keys()).any(|(name, _)| *name == topic));
}

async fn partitions_tell_their_producers(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    write(&client, &topic, 3).await;
    let [first, second, third] = [0, 1, 2].map(PartitionIndex);
    let told = client.admin().describe_producers(&[(&topic, first), (&topic, second), (&topic, third)]).await;
    let of = |partition| told[&(topic.clone(), partition)].as_ref();
    let producers = of(first).expect("an answer");
    let [producer] = &producers.values().collect::<Vec<_>>()[..] else {
        panic!("one producer: {producers:?}")
    };
    assert_eq!((producer.last_sequence, producer.current_txn_start_offset), (Some(2), None));
    assert!(producer.last_timestamp.is_some());
    assert!(of(second).expect("an answer").is_empty());
    assert!(matches!(of(third), Err(Error::NoSuchPartition { .. })));
}

async fn resources_with_configs_are_listed(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let list = async |types: &[ConfigResourceType]| {
        client.admin().list_config_resources(types).await.expect("an answer")
    };
    let both = list(&[ConfigResourceType::Topic, ConfigResourceType::Broker]).await;
    assert!(both.contains(&ConfigResource::Topic(topic.clone())), "{both:?}");
    assert!(both.iter().any(|it| matches!(it, ConfigResource::Broker(_))), "{both:?}");
    let topics = list(&[ConfigResourceType::Topic]).await;
    assert!(topics.iter().all(|it| matches!(it, ConfigResource::Topic(_))), "{topics:?}");
    assert_eq!(list(&[]).await, [].into());
}

async fn partitions_are_described_page_by_page(bed: Bed) {
    let (client, first) = bed.client_and_topic(3, &[]).await;
    let (_, second) = bed.client_and_topic(2, &[]).await;
    let missing = fresh_name();
    for page in [1, 2, 2_000] {
        let told = client.admin().describe_topic_partitions(&[&first, &second, &missing], page).await;
        for (name, count) in [(&first, 3), (&second, 2)] {
            let topic = told[name].as_ref().expect("it is there");
            let indexes: Vec<i32> = topic.partitions.keys().map(|index| index.0).collect();
            assert_eq!(indexes, (0..count).collect::<Vec<_>>(), "{page}");
            let partition = &topic.partitions[&PartitionIndex(0)].view;
            assert!(partition.leader.is_some() && partition.in_sync == partition.replicas, "{partition:?}");
            assert!(!topic.is_internal);
        }
        assert_eq!(code(&told[&missing]), Some(ErrorCode::UnknownTopicOrPartition));
    }
}
