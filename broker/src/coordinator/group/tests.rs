//! What reaches the log of many decisions at once: each of them whole, whatever a batch may hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::record::Compression;
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::core::GroupCore;
use super::turn::GroupEffects;
use super::{Caller, GroupCoordinator, GroupRequest};
use crate::config::{BrokerLayers, GroupsConfig};
use crate::controller::{ConfigResource, MetadataImage, MetadataRecord};
use crate::coordinator::appending::BatchWriter;
use crate::coordinator::core::{Core as _, Effect, Now, Ticket};
use crate::coordinator::kind::Kind as _;

fn coordinator() -> GroupCoordinator {
    GroupCoordinator {
        node: BrokerId(1),
        config: Arc::new(GroupsConfig::default()),
        layers: Arc::new(BrokerLayers::new([("message.max.bytes".to_owned(), "5000".to_owned())].into())),
    }
}

fn caller(version: i16) -> Caller {
    Caller { version, client_id: Str::from_static("c"), client_host: Str::from_static("/h") }
}

fn heartbeat(group: &str, member: &str, member_epoch: i32) -> GroupRequest {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: Str::copy_of(group),
        member_id: Str::copy_of(member),
        member_epoch,
        rebalance_timeout_ms: 5000,
        subscribed_topic_names: Some(vec![Str::from_static("t")]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    GroupRequest::ConsumerGroupHeartbeat { caller: caller(1), request, id_bytes: [7; 16] }
}

/// Of a classic member, by the version in which it need not bring an id.
fn join(group: &str) -> GroupRequest {
    // Version 0, the topic `t`, no user data.
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    let request = JoinGroupRequest {
        group_id: Str::copy_of(group),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 6000,
        protocol_type: Str::from_static("consumer"),
        protocols: vec![JoinGroupRequestProtocol { name: Str::from_static("range"), metadata }],
        ..JoinGroupRequest::default()
    };
    GroupRequest::JoinGroup { caller: caller(3), request, id_bytes: [9; 16] }
}

#[test]
fn no_batch_ends_within_what_a_group_has_decided() {
    let kind = coordinator();
    let world = kind.world(&Arc::new(MetadataImage::default()));
    let now = Now { monotonic: MonotonicTime(1), wall: WallTime(1) };
    let mut core = GroupCore::default();
    let mut effects = GroupEffects::default();
    core.on_loaded(now, &world, &mut effects);
    let mut requests = Vec::new();
    for group in ["g", "h"] {
        requests.extend(["a", "b", "c", "d"].map(|member| heartbeat(group, member, 0)));
        requests.push(join(group));
        // The last of them leaves a classic group behind.
        requests.extend(["a", "b", "c", "d"].map(|member| heartbeat(group, member, -1)));
        // And with it a consumer group begins again.
        requests.push(heartbeat(group, "e", 0));
        requests.push(heartbeat(group, "e", -1));
        requests.push(GroupRequest::DeleteGroup { group_id: Str::copy_of(group) });
    }
    let mut ends = BTreeSet::new();
    let mut longest = 0;
    for (number, request) in requests.into_iter().enumerate() {
        let before = effects.list.len();
        core.on_request(now, &world, Ticket(number as u64), request, &mut effects);
        let appends = |effects: &GroupEffects| {
            effects.list.iter().filter(|effect| matches!(effect, Effect::Append(_))).count()
        };
        ends.insert(appends(&effects));
        longest = longest.max(effects.list.len() - before);
    }
    assert!(10 < longest, "a group has changed its protocol: {longest}");
    let mut batches_with_several = 0;
    for bytes_max in [1, 300, 700, 1000, 3000] {
        let mut writer = BatchWriter::new(Compression::NONE);
        writer.push_all(&kind, &effects, 0, bytes_max);
        let mut count = 0;
        for batch in writer.finish() {
            count += usize::try_from(batch.header.record_count).expect("not negative");
            assert!(ends.contains(&count), "{count} of {ends:?}, {bytes_max} bytes");
            let is_small = batch.total_size() <= bytes_max;
            batches_with_several += usize::from(is_small && batch.header.record_count > 6);
        }
        assert_eq!(Some(&count), ends.last(), "everything is written");
    }
    assert!(0 < batches_with_several, "decisions share batches where they fit");
}

#[test]
fn the_largest_record_is_what_the_topic_of_the_groups_takes() {
    let kind = coordinator();
    let mut image = MetadataImage::default();
    assert_eq!(kind.world(&Arc::new(image.clone())).record_bytes_max, 5000);
    let set = MetadataRecord::ConfigSet {
        resource: ConfigResource::Topic("__consumer_offsets".to_owned()),
        key: "max.message.bytes".to_owned(),
        value: "7000".to_owned(),
    };
    let topic = MetadataRecord::Topic {
        id: ottla_protocol::types::TopicId([1; 16]),
        name: "__consumer_offsets".to_owned(),
        partition_count: 1,
    };
    for record in [topic, set] {
        image.apply(&record).expect("it can be applied");
    }
    assert_eq!(kind.world(&Arc::new(image)).record_bytes_max, 7000);
}
