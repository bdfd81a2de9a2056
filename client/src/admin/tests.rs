//! Administration of a whole broker on the simulated seams.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::Codec;
use ottla_protocol::types::{BrokerId, Offset, PartitionIndex};
use ottla_runtime::simulated::Crash;

use super::*;
use crate::client::Client;
use crate::config::ClientConfig;
use crate::world::{World, append, create};

fn topic(name: &str, partition_count: i32) -> NewTopic {
    NewTopic { partition_count: Some(partition_count), ..NewTopic::named(name) }
}

/// Each outcome in one line: what `show` makes of it, or the error code.
fn lines<T>(outcomes: Outcomes<String, T>, show: impl Fn(T) -> String) -> Vec<String> {
    let line = |(name, outcome): (String, Result<T, Error>)| match outcome {
        Ok(value) => format!("{name}: {}", show(value)),
        Err(error) => format!("{name}: {}", error.error_code().expect("the broker's").name()),
    };
    outcomes.into_iter().map(line).collect()
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    for seed in 0..3 {
        World::new(seed).run(async |client| {
            let admin = client.admin();
            let made = admin.create_topics(&[topic("a", 3), topic("b", 1), topic("bad/name", 1)]).await;
            let id_of_a = made["a"].as_ref().expect("created").id;
            assert!(id_of_a.is_some());
            let shown =
                lines(made, |made| format!("{:?} {:?}", made.partition_count, made.replication_factor));
            let expected = ["a: Some(3) Some(1)", "b: Some(1) Some(1)", "bad/name: INVALID_TOPIC_EXCEPTION"];
            assert_eq!(shown, expected);
            let again = lines(admin.create_topics(&[topic("a", 3)]).await, |_| "created".to_owned());
            assert_eq!(again, ["a: TOPIC_ALREADY_EXISTS"]);

            let listed = admin.list_topics().await.expect("topics");
            let shown: Vec<_> = listed.iter().map(|(name, it)| (name.as_str(), it.partition_count)).collect();
            assert_eq!(shown, [("a", 3), ("b", 1)]);
            assert_eq!(listed["a"].id, id_of_a);

            let described = admin.describe_topics(&["a", "missing"]).await;
            let leaders = |view: crate::metadata::TopicView| {
                assert_eq!(view.id, id_of_a);
                view.partitions.iter().map(|(index, it)| format!("{index}@{:?}", it.leader)).collect()
            };
            let leader = listed_leader(&admin).await;
            let expected = format!("a: 0@{leader:?}1@{leader:?}2@{leader:?}");
            assert_eq!(lines(described, leaders), [expected.as_str(), "missing: UNKNOWN_TOPIC_OR_PARTITION"]);

            let deleted = lines(admin.delete_topics(&["a", "missing"]).await, |()| "gone".to_owned());
            assert_eq!(deleted, ["a: gone", "missing: UNKNOWN_TOPIC_OR_PARTITION"]);
            let left: Vec<String> = admin.list_topics().await.expect("topics").into_keys().collect();
            assert_eq!(left, ["b"]);
        });
    }
}

async fn listed_leader(admin: &Admin) -> Option<BrokerId> {
    admin.describe_cluster().await.expect("a cluster").brokers.into_keys().next()
}

#[test]
fn what_is_wrong_with_a_topic_is_told_in_the_brokers_words() {
    World::new(4).run(async |client| {
        let mut wrong = topic("t", 1);
        wrong.configs.insert("retention.ms".to_owned(), "soon".to_owned());
        let mut outcomes = client.admin().create_topics(&[wrong]).await;
        let error = outcomes.remove("t").expect("asked for").expect_err("no number");
        assert_eq!(error.error_code(), Some(ErrorCode::InvalidConfig));
        assert!(error.to_string().contains("retention.ms"), "{error}");
    });
}

#[test]
fn a_cluster_tells_its_id_and_its_brokers() {
    World::new(5).run(async |client| {
        let found = client.admin().describe_cluster().await.expect("a cluster");
        let known = client.metadata(&[]).await.expect("metadata");
        assert_eq!(Some(&found.cluster_id), known.cluster_id.as_ref());
        assert_eq!(found.brokers, known.brokers);
        assert_eq!(found.brokers.len(), 1);
        assert!(found.brokers.contains_key(&found.controller.expect("a controller")));
    });
}

#[test]
fn configs_say_where_their_value_is_from() {
    World::new(6).run(async |client| {
        let admin = client.admin();
        let mut made = topic("t", 1);
        made.configs.insert("retention.ms".to_owned(), "1234".to_owned());
        assert!(admin.create_topics(&[made]).await["t"].is_ok());
        let broker = ConfigResource::Broker(listed_leader(&admin).await.expect("a broker"));
        let [of_topic, missing] = ["t", "missing"].map(|name| ConfigResource::Topic(name.to_owned()));
        let asked = [of_topic.clone(), missing.clone(), broker.clone()];
        let mut found = admin.describe_configs(&asked).await;
        assert_eq!(found.len(), 3);
        let of_topic = found.remove(&of_topic).expect("asked for").expect("it is there");
        let shown = |name: &str| (of_topic[name].value.as_deref(), of_topic[name].source);
        assert_eq!(shown("retention.ms"), (Some("1234"), 1));
        assert_eq!(shown("cleanup.policy"), (Some("delete"), 5));
        let of_broker = found.remove(&broker).expect("asked for").expect("it is there");
        assert!(of_broker.contains_key("log.retention.ms"), "{:?}", of_broker.keys());
        let error = found.remove(&missing).expect("asked for").expect_err("no such topic");
        assert_eq!(error.error_code(), Some(ErrorCode::UnknownTopicOrPartition));
        let nobody = ConfigResource::Broker(BrokerId(77));
        let error =
            admin.describe_configs(std::slice::from_ref(&nobody)).await.remove(&nobody).expect("asked for");
        assert!(matches!(error, Err(Error::Request(RequestError::UnknownBroker { id: BrokerId(77) }))));
    });
}

#[test]
fn configs_are_changed_and_tried() {
    World::new(13).run(async |client| {
        let admin = client.admin();
        assert!(admin.create_topics(&[topic("t", 1)]).await["t"].is_ok());
        let [of_t, missing] = ["t", "missing"].map(|name| ConfigResource::Topic(name.to_owned()));
        let broker = ConfigResource::Broker(listed_leader(&admin).await.expect("a broker"));
        let group = ConfigResource::Group("g".to_owned());
        let set = |key: &str, value: &str| (key.to_owned(), ConfigChange::Set(value.to_owned()));
        let append = |key: &str, items: &str| (key.to_owned(), ConfigChange::Append(items.to_owned()));
        let changes = BTreeMap::from([
            (of_t.clone(), ConfigChanges::from([set("flush.ms", "5"), append("cleanup.policy", "compact")])),
            (missing.clone(), ConfigChanges::from([set("flush.ms", "5")])),
            (broker.clone(), ConfigChanges::from([set("log.retention.ms", "70000")])),
            (ConfigResource::EveryBroker, ConfigChanges::from([set("num.partitions", "7")])),
            (group.clone(), ConfigChanges::from([set("consumer.session.timeout.ms", "50000")])),
        ]);
        for validate_only in [true, false] {
            let outcomes = admin.alter_configs(&changes, validate_only).await;
            let code = |resource: &ConfigResource| {
                outcomes[resource].as_ref().err().map(|error| error.error_code().expect("the broker's"))
            };
            let found = [&of_t, &missing, &broker, &ConfigResource::EveryBroker, &group].map(code);
            let [unknown, fixed] = [ErrorCode::UnknownTopicOrPartition, ErrorCode::InvalidRequest].map(Some);
            assert_eq!(found, [None, unknown, None, fixed, None]);
            let described = admin.describe_configs(&[of_t.clone(), group.clone()]).await;
            let value = |resource: &ConfigResource, key: &str| {
                described[resource].as_ref().expect("it is there")[key].value.clone().expect("it has one")
            };
            let expected = if validate_only { "delete" } else { "delete,compact" };
            assert_eq!(value(&of_t, "cleanup.policy"), expected);
            let expected = if validate_only { "45000" } else { "50000" };
            assert_eq!(value(&group, "consumer.session.timeout.ms"), expected);
        }
        let back = ConfigChanges::from([
            ("flush.ms".to_owned(), ConfigChange::Delete),
            ("cleanup.policy".to_owned(), ConfigChange::Subtract("compact".to_owned())),
        ]);
        assert!(admin.alter_configs(&BTreeMap::from([(of_t.clone(), back)]), false).await[&of_t].is_ok());
        let described = admin.describe_configs(std::slice::from_ref(&of_t)).await.remove(&of_t);
        let described = described.expect("asked for").expect("it is there");
        assert_eq!(
            (described["flush.ms"].source, described["cleanup.policy"].value.as_deref()),
            (5, Some("delete"))
        );
    });
}

#[test]
fn topics_get_more_partitions() {
    World::new(14).run(async |client| {
        let admin = client.admin();
        assert!(admin.create_topics(&[topic("t", 1), topic("u", 2)]).await.values().all(Result::is_ok));
        let counts = BTreeMap::from(
            [("t", 3), ("u", 2), ("missing", 2)].map(|(name, count)| (name.to_owned(), count)),
        );
        for validate_only in [true, false] {
            let grown = lines(admin.create_partitions(&counts, validate_only).await, |()| "grown".to_owned());
            let expected = ["missing: UNKNOWN_TOPIC_OR_PARTITION", "t: grown", "u: INVALID_PARTITIONS"];
            assert_eq!(grown, expected);
            let known = client.metadata(&["t"]).await.expect("metadata");
            let view = known.topics["t"].as_ref().expect("it is there");
            assert_eq!(view.partitions.len(), if validate_only { 1 } else { 3 });
        }
    });
}

#[test]
fn records_are_deleted_up_to_an_offset_or_to_the_end() {
    World::new(15).run(async |client| {
        let admin = client.admin();
        assert!(admin.create_topics(&[topic("t", 2)]).await["t"].is_ok());
        append(&client, 0, Codec::None, 1000, &["a", "b", "c"]).await;
        let delete = async |topic: &str, index: i32, before: Option<i64>| {
            let index = PartitionIndex(index);
            let mut outcomes = admin.delete_records(&[(topic, index, before.map(Offset))]).await;
            outcomes.remove(&(topic.to_owned(), index)).expect("asked for")
        };
        assert_eq!(delete("t", 0, Some(2)).await.ok(), Some(Offset(2)));
        let beyond = delete("t", 0, Some(4)).await.expect_err("there are three");
        assert_eq!(beyond.error_code(), Some(ErrorCode::OffsetOutOfRange));
        assert_eq!(delete("t", 0, None).await.ok(), Some(Offset(3)));
        assert_eq!(delete("t", 1, None).await.ok(), Some(Offset(0)));
        assert!(matches!(delete("t", 2, None).await, Err(Error::NoSuchPartition { count: 2, .. })));
        let nowhere = delete("missing", 0, None).await.expect_err("no such topic");
        assert_eq!(nowhere.error_code(), Some(ErrorCode::UnknownTopicOrPartition));
    });
}

#[test]
fn offsets_are_found_by_end_and_by_time() {
    World::new(7).run(async |client| {
        let admin = client.admin();
        create(&client, "t", 2).await;
        for timestamp in [1000, 3000, 2000] {
            append(&client, 0, Codec::None, timestamp, &["value"]).await;
        }
        let check = async |index: i32, spec, expected: Option<i64>| {
            let key = ("t".to_owned(), PartitionIndex(index));
            let mut found = admin.list_offsets(&[("t", PartitionIndex(index), spec)]).await;
            let listed = found.remove(&key).expect("asked for").expect("it is there");
            assert_eq!(listed.offset, expected.map(Offset), "{index} {spec:?}");
        };
        check(0, OffsetSpec::Earliest, Some(0)).await;
        check(0, OffsetSpec::Latest, Some(3)).await;
        check(0, OffsetSpec::MaxTimestamp, Some(1)).await;
        check(0, OffsetSpec::Timestamp(1000), Some(0)).await;
        check(0, OffsetSpec::Timestamp(1001), Some(1)).await;
        check(0, OffsetSpec::Timestamp(3001), None).await;
        check(1, OffsetSpec::Latest, Some(0)).await;
        check(1, OffsetSpec::MaxTimestamp, None).await;

        let latest = OffsetSpec::Latest;
        let (in_t, nowhere) = (("t", PartitionIndex(2), latest), ("missing", PartitionIndex(0), latest));
        let mut found = admin.list_offsets(&[in_t, nowhere]).await;
        let no_partition = found.remove(&("t".to_owned(), PartitionIndex(2))).expect("asked for");
        assert!(matches!(no_partition, Err(Error::NoSuchPartition { count: 2, .. })));
        let no_topic = found.remove(&("missing".to_owned(), PartitionIndex(0))).expect("asked for");
        let code = no_topic.expect_err("no such topic").error_code();
        assert_eq!(code, Some(ErrorCode::UnknownTopicOrPartition));
    });
}

#[test]
fn a_topic_created_anew_is_not_taken_for_the_old_one() {
    World::new(8).run(async |client| {
        let admin = client.admin();
        for partition_count in [1, 2] {
            create(&client, "t", partition_count).await;
            let last = PartitionIndex(partition_count - 1);
            let found = admin.list_offsets(&[("t", last, OffsetSpec::Latest)]).await;
            assert!(found[&("t".to_owned(), last)].is_ok(), "{found:?}");
            let known = client.metadata(&["t"]).await.expect("metadata");
            let view = known.topics["t"].as_ref().expect("it is there");
            assert_eq!(view.partitions.len(), partition_count as usize);
            assert!(admin.delete_topics(&["t"]).await["t"].is_ok());
        }
    });
}

#[test]
fn a_restart_in_between_is_waited_for() {
    for seed in 0..5 {
        let world = World::new(seed);
        world.simulation.block_on(async {
            let _first = world.start().await;
            let client = world.client().await;
            let admin = client.admin();
            create(&client, "t", 1).await;
            world.broker.crash(Crash::Kill);
            let clock = world.clock();
            let back = async {
                clock.sleep(Duration::from_secs(5)).await;
                world.start().await
            };
            let latest = [("t", PartitionIndex(0), OffsetSpec::Latest)];
            let new = [topic("u", 1)];
            let before = clock.now();
            let (_second, listed, offsets, made) = tokio::join!(
                back,
                admin.list_topics(),
                admin.list_offsets(&latest),
                admin.create_topics(&new)
            );
            assert!(listed.is_ok_and(|topics| topics.contains_key("t")), "seed {seed}");
            assert!(offsets.values().all(Result::is_ok), "seed {seed}: {offsets:?}");
            assert!(made["u"].is_ok(), "seed {seed}: {made:?}");
            let taken = clock.now().since(before);
            assert!(taken < Duration::from_secs(9), "seed {seed}: noticed after {taken:?}");
        });
    }
}

#[test]
fn a_broker_that_stays_away_ends_with_the_time_out_and_the_reason() {
    let world = World::new(9);
    world.simulation.block_on(async {
        let _broker = world.start().await;
        let client = world.client().await;
        world.broker.crash(Crash::Kill);
        let clock = world.clock();
        let before = clock.now();
        let error = client.admin().list_topics().await.expect_err("nobody is there");
        let taken = clock.now().since(before);
        assert!(matches!(error, Error::Request(RequestError::Connect { .. })), "{error}");
        assert!(error.is_retriable());
        let bounds = Duration::from_secs(18)..=Duration::from_secs(20);
        assert!(bounds.contains(&taken), "{taken:?}");
    });
}

#[test]
fn those_who_want_the_same_metadata_at_once_share_one_question() {
    let steps = |askers: usize| {
        let world = World::new(10);
        world.run(async |client| {
            create(&client, "t", 1).await;
            let (send, mut done) = tokio::sync::mpsc::channel(askers);
            let runtime = world.runtime();
            for _ in 0..askers {
                let (client, send) = (client.clone(), send.clone());
                drop(runtime.spawner.spawn("asker", async move {
                    let known = client.metadata(&["t"]).await.expect("metadata");
                    send.send(known).await.expect("room for all");
                }));
            }
            let mut views = Vec::new();
            for _ in 0..askers {
                views.push(done.recv().await.expect("one for each"));
            }
            // One answer is one view, so those who share it hold the same.
            views.iter().all(|view| Arc::ptr_eq(view, &views[0]))
        })
    };
    assert!(steps(50));
}

#[test]
fn nobody_to_connect_to_is_told_at_once() {
    let world = World::new(11);
    let connect = |servers: &[&str]| {
        let bootstrap_servers = servers.iter().map(|server| (*server).to_owned()).collect();
        let config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
        let runtime = world.runtime();
        let outcome = world.simulation.block_on(Client::connect(runtime, config));
        outcome.err().map(|error| error.to_string()).expect("nobody listens")
    };
    assert_eq!(connect(&[]), "no bootstrap server is given: name at least one as host:port");
    assert_eq!(
        connect(&["nonsense"]),
        "\"nonsense\" is no address: expected host:port, as in localhost:9092"
    );
    let refused = connect(&["broker:1"]);
    assert!(refused.starts_with("cannot connect to broker:1: "), "{refused}");
    let unknown = connect(&["nowhere:1"]);
    assert!(unknown.starts_with("cannot connect to nowhere:1: "), "{unknown}");
}

#[test]
fn every_method_can_run_in_a_task_of_its_own() {
    fn check(_task: impl Future<Output: Send> + Send) {}
    World::new(12).run(async |client| {
        let admin = client.admin();
        check(admin.create_topics(&[]));
        check(admin.delete_topics(&[]));
        check(admin.list_topics());
        check(admin.describe_topics(&[]));
        check(admin.describe_configs(&[]));
        check(admin.alter_configs(&BTreeMap::new(), false));
        check(admin.create_partitions(&BTreeMap::new(), false));
        check(admin.delete_records(&[]));
        check(admin.list_offsets(&[]));
        check(admin.describe_cluster());
        check(client.metadata(&[]));
    });
}
