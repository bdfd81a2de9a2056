//! Clients that mean harm: announcements, trickles, bombs, flooding, and requests as large as they may be.
//!
//! What is asserted is that memory stays bounded and that others are served, not how long anything takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ottla_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsRequestTopic};
use ottla_protocol::api::delete_topics::DeleteTopicsRequest;
use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::list_offsets::ListOffsetsRequestPartition;
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochRequestPartition, OffsetForLeaderEpochRequestTopic,
};
use ottla_protocol::api::produce::ProduceRequestPartition;
use ottla_protocol::record::Codec;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TestBatch, batch, counted, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, PATIENCE, PRODUCE, append, fetch, fetch_partition, fetch_request, is_peer, list_offsets_request,
    produce, produce_request, values,
};
use crate::check::Checks;

const MIB: u64 = 1024;

/// A broker of the test's own that has served a little, and its resident memory then, in KiB.
fn warm(configs: &[(&str, &str)]) -> (Bed, u64) {
    let bed =
        Bed::with(|command| configs.iter().fold(command, |command, (key, value)| command.set(key, value)));
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for _ in 0..200 {
        let offset = append(&mut client, &topic, &batch([record("x".repeat(1000))]));
        fetch(&mut client, 12, &topic, 0, offset);
    }
    let resident = bed.process().resident_kib();
    (bed, resident)
}

/// Lets this process have many sockets.
fn many_sockets() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a process may use its limit");
}

#[test]
fn announced_bytes_cost_nothing() {
    if is_peer() {
        return;
    }
    many_sockets();
    let (bed, before) = warm(&[]);
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut announcing: Vec<WireClient> = (0..800).map(|_| bed.client()).collect();
    for announcer in &mut announcing {
        announcer.send_bytes(&(90_i32 << 20).to_be_bytes());
    }
    #[expect(clippy::disallowed_methods, reason = "the claim is about ten real seconds")]
    let now = Instant::now;
    let begin = now();
    let mut served = 0;
    let mut most = before;
    while served < 1000 || begin.elapsed() < Duration::from_secs(10) {
        let offset = append(&mut client, &topic, &batch([record(format!("record {served}"))]));
        let row = fetch(&mut client, 12, &topic, 0, offset);
        assert_eq!((row.error_code, offset), (0, served));
        served += 1;
        if served % 50 == 0 {
            most = most.max(bed.process().resident_kib());
        }
    }
    assert!(most - before < 16 * MIB, "{} KiB more for 800 announcements", most - before);
    // They were all there all the time.
    for announcer in &mut announcing {
        announcer.try_send_bytes(&[0]).expect("the connection is open");
    }
}

#[test]
fn frames_that_are_refused_cost_nothing() {
    if is_peer() {
        return;
    }
    let (bed, before) = warm(&[]);
    for size in [i32::MAX, -1, 0, 104_857_601] {
        for _ in 0..50 {
            let mut client = bed.client();
            client.send_bytes(&size.to_be_bytes());
            for _ in 0..10 {
                client.send_bytes(&[0; 100]);
            }
            client.expect_close(&format!("size {size}"));
        }
    }
    let after = bed.process().resident_kib();
    assert!(after.saturating_sub(before) < 4 * MIB, "{before} to {after} KiB");
}

#[test]
fn a_frame_that_makes_no_progress_is_given_up() {
    if is_peer() {
        return;
    }
    let (bed, _) = warm(&[("ottla.request.read.timeout.ms", "200")]);
    let mut idle = bed.client();
    let whole = {
        let frame =
            bed.client().frame(1, &MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() });
        [&i32::try_from(frame.len()).expect("short").to_be_bytes()[..], &frame].concat()
    };
    let mut stuck: Vec<WireClient> = (1..whole.len())
        .map(|length| {
            let mut client = bed.client();
            client.try_send_bytes(&whole[..length]).expect("the connection is open");
            client
        })
        .collect();
    let mut large = bed.client();
    large.try_send_bytes(&(50_i32 << 20).to_be_bytes()).expect("the connection is open");
    large.try_send_bytes(&[0; 100_000]).expect("the connection is open");
    stuck.push(large);
    for (mut client, length) in stuck.into_iter().zip(1..) {
        client.expect_close(&format!("{length} bytes and no more"));
    }
    assert!(idle.is_served(), "a connection between two requests is no slow one");
}

#[test]
fn thousands_of_slow_clients_hold_nobody_up_and_are_given_up() {
    if is_peer() {
        return;
    }
    many_sockets();
    let (bed, before) =
        warm(&[("ottla.request.read.timeout.ms", "3000"), ("socket.listen.backlog.size", "1000")]);
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    // The broker keeps half of its descriptors for its logs.
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    let count = usize::try_from(descriptors / 4).expect("small").min(5_000);
    let mut slow: Vec<WireClient> = (0..count).map(|_| bed.client()).collect();
    for slow in &mut slow {
        slow.try_send_bytes(&(90_i32 << 20).to_be_bytes()).expect("the connection is open");
    }
    let mut most = before;
    for round in 0..5 {
        for slow in &mut slow {
            // It may have been given up already, where the machine is slower than its clients.
            let _closed = slow.try_send_bytes(&[7]);
        }
        for number in 0..20 {
            let offset = append(&mut client, &topic, &batch([record("x")]));
            assert_eq!(offset, round * 20 + number);
            assert_eq!(fetch(&mut client, 12, &topic, 0, offset).error_code, 0);
        }
        most = most.max(bed.process().resident_kib());
    }
    let each = (most - before) / u64::try_from(count).expect("small");
    assert!(each < 20, "{each} KiB for each of {count} connections");
    let open = format!("/proc/{}/fd", bed.process().id());
    wait_for("those that send nothing more are given up", PATIENCE, || {
        (std::fs::read_dir(&open).expect("the process runs").count() < 100).then_some(())
    });
    assert!(client.is_served());
}

#[test]
fn connections_that_ask_nothing_are_closed_and_those_that_wait_are_not() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("connections.max.idle.ms", 500));
    let topic = bed.topic(1, &[]);
    let mut waiting = bed.client();
    let request = ottla_protocol::api::fetch::FetchRequest {
        max_wait_ms: 3_000,
        ..fetch_request(&topic, vec![fetch_partition(0, 0)])
    };
    let id = waiting.send(12, &request);
    let mut idle = bed.client();
    assert!(idle.is_served());
    idle.expect_close("nothing was asked");
    // It has waited for longer than that.
    waiting.receive::<ottla_protocol::api::fetch::FetchRequest>(12, id);
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    if is_peer() {
        return;
    }
    let (bed, before) = warm(&[]);
    let topic = bed.topic(1, &[]);
    let mut writer = bed.client();
    for _ in 0..20 {
        append(&mut writer, &topic, &batch([record("x".repeat(900_000))]));
    }
    let all_configs = DescribeConfigsRequest {
        resources: vec![DescribeConfigsRequestResource {
            resource_type: 4,
            resource_name: Str::from("1"),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    let mut greedy: Vec<WireClient> = (0..8).map(|_| bed.client()).collect();
    for (client, number) in greedy.iter_mut().zip(0..) {
        let frame = if number % 2 == 0 {
            client.frame(4, &all_configs)
        } else {
            client.frame(12, &fetch_request(&topic, vec![fetch_partition(0, 0)]))
        };
        let request = [&i32::try_from(frame.len()).expect("short").to_be_bytes()[..], &frame].concat();
        // Some fifty thousand requests, if they were taken.
        client.send_until_stuck(&request, 4 << 20, Duration::from_millis(500));
    }
    let after = bed.process().resident_kib();
    assert!(after.saturating_sub(before) < 32 * MIB, "{before} to {after} KiB");
    assert_eq!(values(&mut writer, &topic).len(), 20, "others are served");
}

#[test]
fn requests_of_which_many_wait_for_the_budget_all_finish() {
    if is_peer() {
        return;
    }
    // 4 MiB of requests at a time; ten clients send 2 MiB each, and one a request that is larger than the budget.
    let bed = Bed::with(|command| {
        command.set("queued.max.request.bytes", 4 << 20).set("message.max.bytes", 20 << 20)
    });
    let topic = bed.topic(1, &[]);
    let mut clients: Vec<WireClient> = (0..10).map(|_| bed.client()).collect();
    let mut huge = bed.client();
    let frames: Vec<(i32, Bytes)> = clients
        .iter_mut()
        .map(|client| {
            let request = produce_request(-1, &topic, 0, batch([record("x".repeat(2 << 20))]).to_bytes());
            (1, client.frame(9, &request))
        })
        .collect();
    // All begin, none can finish before the others; then all go on in turn.
    for (client, (_, frame)) in clients.iter_mut().zip(&frames) {
        let length = i32::try_from(frame.len()).expect("short");
        client.try_send_bytes(&length.to_be_bytes()).expect("open");
        client.try_send_bytes(&frame[..1000]).expect("open");
    }
    std::thread::scope(|scope| {
        for (client, (id, frame)) in clients.iter_mut().zip(&frames) {
            scope.spawn(move || {
                client.try_send_bytes(&frame[1000..]).expect("open");
                let response = client.receive::<ottla_protocol::api::produce::ProduceRequest>(9, *id);
                assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            });
        }
        scope.spawn(|| append(&mut huge, &topic, &batch([record("y".repeat(10 << 20))])));
    });
    assert_eq!(crate::bed::list_offset(&mut bed.client(), &topic.name, 0, -1).offset, 11);
}

#[test]
fn bombs_go_off_within_the_budget() {
    if is_peer() {
        return;
    }
    let (bed, before) = warm(&[("ottla.decompression.max.bytes", "16777216")]);
    let topic = bed.topic(1, &[("max.message.bytes", "20000000")]);
    let mut client = bed.client();
    let plain = batch([record(vec![0; 100 << 20])]);
    let mut most = before;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = plain.clone().in_codec(codec).to_bytes();
        for _ in 0..10 {
            let row = produce(&mut client, PRODUCE, &topic, 0, bomb.clone());
            assert_eq!(row.error_code, 10, "{codec}: {:?}", row.error_message);
            most = most.max(bed.process().resident_kib());
        }
        // What stays within it is taken.
        append(&mut client, &topic, &batch([record(vec![0; 10 << 20])]).in_codec(codec));
    }
    // Claims that nothing stands behind: a snappy block of 4 GiB, a zstd frame with a window of 2 GiB.
    for (codec, payload) in [
        (Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00][..]),
        (Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff\0"),
        (Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]),
        (Codec::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        let claim = TestBatch { payload: Some(Bytes::from_static(payload)), ..counted(1) }.in_codec(codec);
        let row = produce(&mut client, PRODUCE, &topic, 0, claim.to_bytes());
        assert_eq!(row.error_code, 2, "{codec}: {:?}", row.error_message);
        most = most.max(bed.process().resident_kib());
    }
    assert!(most - before < 64 * MIB, "{before} to {most} KiB");
    assert_eq!(
        crate::bed::list_offset(&mut client, &topic.name, 0, -1).offset,
        4,
        "nothing of a bomb was stored"
    );
}

#[test]
fn requests_of_very_many_elements_are_answered_while_others_are_served() {
    // Kafka with a small heap takes minutes.
    if is_peer() {
        return;
    }
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    append(&mut bed.client(), &topic, &counted(1));
    let many = 200_000;
    let names: Vec<Str> = (0..many).map(|number| Str::from(format!("{number:x}?"))).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let topics = names.iter().map(|name| MetadataRequestTopic {
                name: Some(name.clone()),
                ..MetadataRequestTopic::default()
            });
            let request = MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() };
            assert_eq!(bed.client().request(4, &request).topics.len(), many);
        });
        scope.spawn(|| {
            let request =
                FindCoordinatorRequest { coordinator_keys: names.clone(), key_type: 9, ..Default::default() };
            assert_eq!(bed.client().request(4, &request).coordinators.len(), many);
        });
        scope.spawn(|| {
            let row = list_offsets_request(&topic.name, 0, 0).topics[0].partitions[0].clone();
            for is_same in [true, false] {
                let mut request = list_offsets_request(&topic.name, 0, 0);
                request.topics[0].partitions = (0..many)
                    .map(|number| ListOffsetsRequestPartition {
                        partition_index: if is_same { 0 } else { i32::try_from(number).expect("small") },
                        ..row.clone()
                    })
                    .collect();
                let rows = bed.client().request(7, &request).topics.remove(0).partitions;
                assert_eq!(rows.len(), if is_same { 1 } else { many });
            }
        });
        scope.spawn(|| {
            let row = OffsetForLeaderEpochRequestPartition { leader_epoch: 0, ..Default::default() };
            let topics = vec![OffsetForLeaderEpochRequestTopic {
                topic: topic.name.clone(),
                partitions: vec![row; many],
            }];
            bed.client().request(4, &OffsetForLeaderEpochRequest { replica_id: -1, topics });
        });
        scope.spawn(|| {
            let partitions =
                (0..many).map(|number| fetch_partition(i32::try_from(number % 1000).expect("small"), 0));
            for version in [4, 12] {
                let response =
                    bed.client().request(version, &fetch_request(&topic, partitions.clone().collect()));
                assert_eq!(crate::bed::rows(response).len(), 1000);
            }
        });
        scope.spawn(|| {
            let mut request = produce_request(-1, &topic, 0, Bytes::new());
            request.topic_data[0].partition_data = (0..many)
                .map(|number| ProduceRequestPartition {
                    index: i32::try_from(number % 1000).expect("small") + 1,
                    records: Some(Bytes::new()),
                })
                .collect();
            let response = bed.client().request(9, &request);
            assert_eq!(response.responses[0].partition_responses.len(), 1000);
        });
        scope.spawn(|| {
            let request =
                DeleteTopicsRequest { topic_names: names.clone(), timeout_ms: 30_000, ..Default::default() };
            assert_eq!(bed.client().request(5, &request).responses.len(), many);
        });
        scope.spawn(|| {
            for same in [true, false] {
                let topics: Vec<CreateTopicsRequestTopic> = names
                    .iter()
                    .map(|name| CreateTopicsRequestTopic {
                        name: if same { Str::from("a?") } else { name.clone() },
                        num_partitions: 1,
                        replication_factor: 1,
                        ..CreateTopicsRequestTopic::default()
                    })
                    .collect();
                let request = CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
                let rows = bed.client().request(4, &request).topics;
                assert_eq!(rows.len(), if same { 1 } else { many });
                assert!(rows.iter().all(|row| row.error_code != 0));
            }
        });
        scope.spawn(|| {
            // Somebody else, meanwhile.
            let mut client = bed.client();
            for _ in 0..100 {
                append(&mut client, &topic, &counted(1));
            }
        });
    });
}

#[test]
fn a_storm_of_connections_leaves_nothing_behind() {
    if is_peer() {
        return;
    }
    many_sockets();
    let (bed, before) = warm(&[]);
    let half = {
        let mut bytes = BytesMut::new();
        bytes.put_i32(1000);
        bytes.put_slice(&[0; 500]);
        bytes
    };
    for round in 0..5 {
        let clients: Vec<WireClient> = (0..400)
            .map(|number| {
                let mut client = bed.client();
                match number % 3 {
                    0 => {}
                    1 => client.send_bytes(&half),
                    _ => assert!(client.is_served()),
                }
                client
            })
            .collect();
        if round % 2 == 0 {
            clients.into_iter().for_each(WireClient::reset);
        }
    }
    let descriptors = format!("/proc/{}/fd", bed.process().id());
    wait_for("every socket is closed", PATIENCE, || {
        (std::fs::read_dir(&descriptors).expect("the process runs").count() < 100).then_some(())
    });
    let after = bed.process().resident_kib();
    assert!(after.saturating_sub(before) < 16 * MIB, "{before} to {after} KiB");
}

#[test]
fn noise_never_stops_the_broker() {
    let bed = Bed::shared();
    // Not random on each run: a failure is found again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let topic = bed.topic(1, &[]);
    let mut seeds: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut client = bed.client();
    seeds.insert("produce", client.frame(9, &produce_request(-1, &topic, 0, counted(3).to_bytes())).to_vec());
    seeds.insert("fetch", client.frame(12, &fetch_request(&topic, vec![fetch_partition(0, 0)])).to_vec());
    seeds.insert("list offsets", client.frame(7, &list_offsets_request(&topic.name, 0, -1)).to_vec());
    let ask = MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() };
    seeds.insert("metadata", client.frame(9, &ask).to_vec());
    for frame in seeds.values() {
        for _ in 0..150 {
            let mut noisy = frame.clone();
            for _ in 0..1 + next() % 4 {
                let place = usize::try_from(next()).expect("64 bits") % noisy.len();
                noisy[place] = next().to_le_bytes()[0];
            }
            let mut client = bed.client();
            // Whatever it says: an answer, silence or an end, and nobody else notices.
            let _sent = client.try_send_frame(&noisy);
            client.finish_sending();
        }
    }
    let mut checks = Checks::new();
    checks.holds("it still serves", bed.client().is_served());
    let before = values(&mut bed.client(), &topic).len();
    append(&mut bed.client(), &topic, &counted(1));
    checks.holds("and appends", before < values(&mut bed.client(), &topic).len());
}
