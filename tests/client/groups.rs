//! Administration of groups and transactions.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ottla_client::admin::{CommittedOffset, GroupFilter, HangingTransaction, TransactionFilter};
use ottla_client::{Client, Error};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex};
use ottla_testkit::members::{ClassicMember, ConsumerMember, OpenTransaction};

use crate::bed::{Bed, fresh_name};

crate::everywhere! {
    offsets_are_committed_told_and_deleted_without_members,
    groups_that_are_not_there_are_told_from_empty_ones,
    transactional_ids_that_are_not_there_are_told,
}

crate::on_sockets! {
    classic_groups_tell_their_members,
    consumer_groups_tell_their_members,
    transactions_are_listed_described_and_aborted,
    a_transaction_is_ended_in_one_partition,
}

/// What the broker said instead.
fn code<T>(outcome: &Result<T, Error>) -> Option<ErrorCode> {
    outcome.as_ref().err().and_then(Error::error_code)
}

fn address(bed: &Bed) -> SocketAddr {
    bed.bootstrap.parse().expect("a broker on a socket")
}

async fn committed(client: &Client, group: &str) -> Vec<(i32, i64)> {
    let told = client.admin().committed_offsets(group, None, true).await.expect("an answer");
    let row = |((_, index), committed): ((String, PartitionIndex), Result<CommittedOffset, Error>)| {
        (index.0, committed.expect("an offset").offset.0)
    };
    told.into_iter().map(row).collect()
}

async fn offsets_are_committed_told_and_deleted_without_members(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let (admin, group) = (client.admin(), fresh_name());
    let [first, second, missing] = [0, 1, 7].map(PartitionIndex);
    assert_eq!(committed(&client, &group).await, []);
    let mut with_more = CommittedOffset::at(Offset(7));
    (with_more.leader_epoch, with_more.metadata) = (Some(LeaderEpoch(0)), "why".to_owned());
    let offsets = [
        (topic.as_str(), first, with_more.clone()),
        (topic.as_str(), second, CommittedOffset::at(Offset(0))),
        (topic.as_str(), missing, CommittedOffset::at(Offset(0))),
    ];
    let altered = admin.alter_committed_offsets(&group, &offsets).await.expect("an answer");
    assert!(altered[&(topic.clone(), first)].is_ok() && altered[&(topic.clone(), second)].is_ok());
    assert_eq!(code(&altered[&(topic.clone(), missing)]), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(committed(&client, &group).await, [(0, 7), (1, 0)]);
    let asked = [(topic.as_str(), first), (topic.as_str(), missing)];
    let told = admin.committed_offsets(&group, Some(&asked), false).await.expect("an answer");
    assert_eq!(told.len(), 1, "what was never committed is left out: {told:?}");
    assert_eq!(told[&(topic.clone(), first)].as_ref().expect("an offset"), &with_more);

    let listed = admin.list_groups(&GroupFilter::default()).await.expect("groups");
    let listing = &listed[&group];
    assert_eq!((listing.state.as_deref(), listing.group_type.as_deref()), (Some("Empty"), Some("classic")));
    let stable = GroupFilter { states: vec!["stable".to_owned()], ..GroupFilter::default() };
    assert!(!admin.list_groups(&stable).await.expect("groups").contains_key(&group));

    let deleted = admin.delete_committed_offsets(&group, &[(&topic, first)]).await.expect("an answer");
    assert!(deleted[&(topic.clone(), first)].is_ok(), "{deleted:?}");
    assert_eq!(committed(&client, &group).await, [(1, 0)]);
    assert!(admin.delete_groups(&[&group]).await[&group].is_ok());
    assert_eq!(committed(&client, &group).await, []);
}

async fn groups_that_are_not_there_are_told_from_empty_ones(bed: Bed) {
    let client = bed.client().await;
    let missing = fresh_name();
    let described = client.admin().describe_groups(&[&missing]).await;
    assert_eq!(code(&described[&missing]), Some(ErrorCode::GroupIdNotFound));
    let deleted = client.admin().delete_groups(&[&missing]).await;
    assert_eq!(code(&deleted[&missing]), Some(ErrorCode::GroupIdNotFound));
    let forgotten = client.admin().delete_committed_offsets(&missing, &[("t", PartitionIndex(0))]).await;
    assert_eq!(code(&forgotten), Some(ErrorCode::GroupIdNotFound));
}

async fn transactional_ids_that_are_not_there_are_told(bed: Bed) {
    let client = bed.client().await;
    let missing = fresh_name();
    let described = client.admin().describe_transactions(&[&missing]).await;
    assert_eq!(code(&described[&missing]), Some(ErrorCode::TransactionalIdNotFound));
    let listed = client.admin().list_transactions(&TransactionFilter::default()).await.expect("an answer");
    assert!(!listed.contains_key(&missing));
}

async fn classic_groups_tell_their_members(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let group = fresh_name();
    let member = ClassicMember::join(address(&bed), &group, &[(&topic, &[0, 2])]);
    let described = client.admin().describe_groups(&[&group]).await;
    let told = described[&group].as_ref().expect("a group");
    assert_eq!((told.state.as_str(), told.protocol_type.as_str()), ("Stable", "consumer"));
    assert_eq!((told.assignor.as_str(), told.is_classic()), ("range", true));
    let of_member = &told.members[&*member.member_id];
    assert_eq!(of_member.client_id, "classic-client");
    assert!(of_member.host.contains("127.0.0.1"), "{}", of_member.host);
    assert_eq!(of_member.subscribed_topics, [topic.clone()].into());
    let expected: BTreeSet<PartitionIndex> = [0, 2].map(PartitionIndex).into();
    assert_eq!(of_member.assignment[&topic], expected);

    // With members nobody else commits, and nothing goes away.
    let offsets = [(topic.as_str(), PartitionIndex(0), CommittedOffset::at(Offset(1)))];
    let altered = client.admin().alter_committed_offsets(&group, &offsets).await.expect("an answer");
    assert_eq!(code(&altered[&(topic.clone(), PartitionIndex(0))]), Some(ErrorCode::UnknownMemberId));
    let deleted = client.admin().delete_groups(&[&group]).await;
    assert_eq!(code(&deleted[&group]), Some(ErrorCode::NonEmptyGroup));
    let forgotten = client.admin().delete_committed_offsets(&group, &[(&topic, PartitionIndex(0))]).await;
    let forgotten = forgotten.expect("an answer");
    assert_eq!(code(&forgotten[&(topic, PartitionIndex(0))]), Some(ErrorCode::GroupSubscribedToTopic));
    member.leave();
    assert!(client.admin().delete_groups(&[&group]).await[&group].is_ok());
}

async fn consumer_groups_tell_their_members(bed: Bed) {
    let (client, topic) = bed.client_and_topic(3, &[]).await;
    let group = fresh_name();
    let member = ConsumerMember::join(address(&bed), &group, "member-1", &[&topic], 3);
    let described = client.admin().describe_groups(&[&group]).await;
    let told = described[&group].as_ref().expect("a group");
    assert_eq!((told.state.as_str(), told.protocol_type.as_str()), ("Stable", "consumer"));
    assert_eq!((told.assignor.as_str(), told.is_classic()), ("uniform", false));
    let of_member = &told.members["member-1"];
    assert_eq!((of_member.client_id.as_str(), of_member.is_classic), ("consumer-client", false));
    assert_eq!(of_member.subscribed_topics, [topic.clone()].into());
    assert_eq!(of_member.assignment[&topic].len(), 3);
    assert_eq!(of_member.assignment, of_member.target_assignment);
    let consumer = GroupFilter { types: vec!["CONSUMER".to_owned()], ..GroupFilter::default() };
    assert!(client.admin().list_groups(&consumer).await.expect("groups").contains_key(&group));
    member.leave();
    assert!(client.admin().delete_groups(&[&group]).await[&group].is_ok());
}

async fn transactions_are_listed_described_and_aborted(bed: Bed) {
    let (client, topic) = bed.client_and_topic(2, &[]).await;
    let (admin, id) = (client.admin(), fresh_name());
    let transaction = OpenTransaction::begin(address(&bed), &id, &topic, 1);
    let listed = async |states: &[&str], longer| {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        let filter =
            TransactionFilter { states, running_longer_than: longer, ..TransactionFilter::default() };
        admin.list_transactions(&filter).await.expect("an answer")
    };
    let found = listed(&["Ongoing"], None).await;
    assert_eq!(found[&id].producer_id.0, transaction.producer_id);
    assert!(!listed(&["Empty"], None).await.contains_key(&id));
    assert!(!listed(&[], Some(Duration::from_secs(3_600))).await.contains_key(&id));
    let described = admin.describe_transactions(&[&id]).await;
    let told = described[&id].as_ref().expect("it is there");
    assert_eq!((told.state.as_str(), told.timeout), ("Ongoing", Duration::from_secs(60)));
    assert_eq!(told.producer_epoch.0, transaction.producer_epoch);
    assert_eq!(told.partitions, [(topic.clone(), PartitionIndex(1))].into());
    assert!(told.started_at.is_some());

    let (producer_id, epoch) = admin.fence_producer(&id).await.expect("an answer");
    assert_eq!(producer_id.0, transaction.producer_id);
    assert!(epoch.0 > transaction.producer_epoch);
    bed.until(async || {
        admin.describe_transactions(&[&id]).await[&id].as_ref().is_ok_and(|told| told.state != "Ongoing")
    })
    .await;
    assert_ne!(transaction.end(true), 0, "its producer is locked out");
}

async fn a_transaction_is_ended_in_one_partition(bed: Bed) {
    let (client, topic) = bed.client_and_topic(1, &[]).await;
    let transaction = OpenTransaction::begin(address(&bed), &fresh_name(), &topic, 0);
    let partition = PartitionIndex(0);
    let producers = async || {
        let mut told = client.admin().describe_producers(&[(&topic, partition)]).await;
        told.remove(&(topic.clone(), partition)).expect("asked for").expect("an answer")
    };
    let (producer_id, producer) = producers().await.into_iter().next().expect("a producer");
    assert_eq!(producer_id.0, transaction.producer_id);
    assert_eq!(producer.current_txn_start_offset, Some(Offset(0)));
    let hanging = HangingTransaction {
        topic: topic.clone(),
        partition,
        producer_id,
        producer_epoch: producer.epoch,
        coordinator_epoch: producer.coordinator_epoch,
    };
    client.admin().abort_transaction(&hanging).await.expect("it is ended");
    assert_eq!(producers().await[&producer_id].current_txn_start_offset, None);
}
