//! CreateTopics: each refusal, what a new topic is told to be, and which configs are taken.

use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestAssignment, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::wire::Str;

use crate::player::{Player, at_version};
use crate::requests::{create_request, metadata_request, new_topic};

crate::scripts![
    a_new_topic,
    old_versions,
    defaults,
    validating,
    names,
    partitions_and_replicas,
    assignments,
    configs_that_are_refused,
    configs_that_are_taken,
    time_outs,
    many_topics_in_one_request,
];

fn a_new_topic(play: &mut Player) {
    let new = play.name("new");
    play.every("with three partitions", |version| {
        create_request(vec![new_topic(&at_version(&new, version), 3, &[])])
    });
    let known = at_version(&new, 7);
    play.wait_until_led(&known, 3);
    play.one(13, "in Metadata", &metadata_request(&[&known]));
    play.every("one that is there", |_| create_request(vec![new_topic(&known, 1, &[])]));
    play.every("one that is there, only validated", |_| CreateTopicsRequest {
        validate_only: true,
        ..create_request(vec![new_topic(&known, 1, &[])])
    });
}

fn old_versions(play: &mut Player) {
    let new = play.name("new");
    play.at(0..=1, "before Kafka 4", |version| {
        create_request(vec![new_topic(&at_version(&new, version), 1, &[])])
    });
}

fn defaults(play: &mut Player) {
    let new = play.name("new");
    let request = |name: Str, partitions, factor| {
        let topic = new_topic(&name, partitions, &[]);
        create_request(vec![CreateTopicsRequestTopic { replication_factor: factor, ..topic }])
    };
    play.every("of both", |version| request(at_version(&new, version), -1, -1));
    play.at([7], "of partitions", |_| request(play_name(&new, "partitions"), -1, 1));
    play.at([7], "of replicas", |_| request(play_name(&new, "replicas"), 4, -1));
}

fn play_name(name: &Str, more: &str) -> Str {
    Str::from(format!("{name}-{more}"))
}

fn validating(play: &mut Player) {
    let new = play.name("new");
    play.every("a good one", |_| CreateTopicsRequest {
        validate_only: true,
        ..create_request(vec![new_topic(&new, 2, &[("retention.ms", "5")])])
    });
    play.one(13, "in Metadata", &metadata_request(&[&new]));
}

fn names(play: &mut Player) {
    let long = "x".repeat(250);
    for (step, name) in [
        ("an empty name", ""),
        ("a dot", "."),
        ("two dots", ".."),
        ("a blank", "a b"),
        ("a slash", "a/b"),
        ("no ASCII", "ä"),
        ("a NUL", "a\0b"),
        ("250 characters", &long),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        play.every(step, |_| create_request(vec![new_topic(&Str::copy_of(name), 1, &[])]));
    }
    let dotted = play.topic("x.y", 1, &[]).name;
    let scored = Str::from(dotted.replace("x.y", "x_y"));
    play.every("one that collides", |_| create_request(vec![new_topic(&scored, 1, &[])]));
    let longest = play.name(&"z".repeat(249 - play.name("").len()));
    play.at([7], "249 characters", |_| create_request(vec![new_topic(&longest, 1, &[])]));
}

fn partitions_and_replicas(play: &mut Player) {
    let new = play.name("new");
    for (step, partitions, factor) in [
        ("no partitions", 0, 1),
        ("-2 partitions", -2, 1),
        ("the fewest partitions", i32::MIN, 1),
        ("10001 partitions", 10_001, 1),
        ("the most partitions", i32::MAX, 1),
        ("no replicas", 1, 0),
        ("-2 replicas", 1, -2),
        ("two replicas", 1, 2),
        ("the most replicas", 1, i16::MAX),
        ("neither partitions nor replicas", 0, 0),
        ("no partitions, two replicas", 0, 2),
    ] {
        let topic =
            CreateTopicsRequestTopic { replication_factor: factor, ..new_topic(&new, partitions, &[]) };
        play.every(step, |_| create_request(vec![topic.clone()]));
    }
}

fn assignments(play: &mut Player) {
    let new = play.name("new");
    let assigned = |rows: &[(i32, &[i32])]| CreateTopicsRequestTopic {
        replication_factor: -1,
        assignments: rows
            .iter()
            .map(|(partition_index, ids)| CreateTopicsRequestAssignment {
                partition_index: *partition_index,
                broker_ids: ids.to_vec(),
            })
            .collect(),
        ..new_topic(&new, -1, &[])
    };
    let one = assigned(&[(0, &[1])]);
    for (step, topic) in [
        ("an unknown broker", assigned(&[(0, &[7])])),
        ("a broker twice", assigned(&[(0, &[1, 1])])),
        ("nobody", assigned(&[(0, &[])])),
        ("a gap", assigned(&[(0, &[1]), (2, &[1])])),
        ("not from 0", assigned(&[(1, &[1])])),
        ("a partition twice", assigned(&[(0, &[1]), (0, &[1])])),
        ("a negative partition", assigned(&[(-1, &[1])])),
        ("different numbers of replicas", assigned(&[(0, &[1]), (1, &[1, 7])])),
        ("a count beside them", CreateTopicsRequestTopic { num_partitions: 1, ..one.clone() }),
        ("a factor beside them", CreateTopicsRequestTopic { replication_factor: 1, ..one.clone() }),
    ] {
        play.every(step, |_| create_request(vec![topic.clone()]));
    }
    let good = assigned(&[(1, &[1]), (0, &[1]), (2, &[1])]);
    play.every("good ones in any order", |version| {
        let name = at_version(&new, version);
        create_request(vec![CreateTopicsRequestTopic { name, ..good.clone() }])
    });
}

fn configs_that_are_refused(play: &mut Player) {
    let new = play.name("new");
    for (step, key, value) in [
        ("an unknown key", "no.such.config", Some("1")),
        ("an empty key", "", Some("1")),
        ("a removed key", "message.format.version", Some("3.0")),
        ("null", "retention.ms", None),
        ("an empty number", "retention.ms", Some("")),
        ("no number", "retention.ms", Some("soon")),
        ("a number with a fraction", "retention.ms", Some("1.5")),
        ("below its range", "retention.ms", Some("-2")),
        ("beyond 64 bits", "retention.ms", Some("9223372036854775808")),
        ("beyond 32 bits", "segment.bytes", Some("2147483648")),
        ("a small segment", "segment.bytes", Some("1048575")),
        ("a negative time", "segment.ms", Some("0")),
        ("an unknown codec", "compression.type", Some("brotli")),
        ("a codec in capitals", "compression.type", Some("GZIP")),
        ("an unknown policy", "cleanup.policy", Some("shred")),
        ("a policy and an unknown one", "cleanup.policy", Some("delete,shred")),
        ("an unknown timestamp type", "message.timestamp.type", Some("Now")),
        ("no boolean", "preallocate", Some("yes")),
        ("a ratio above 1", "min.cleanable.dirty.ratio", Some("1.5")),
        ("no ratio", "min.cleanable.dirty.ratio", Some("half")),
        ("no replicas in sync", "min.insync.replicas", Some("0")),
        ("a codec's level out of range", "compression.gzip.level", Some("10")),
        ("a negative largest message", "max.message.bytes", Some("-1")),
        ("replicas without their partition", "leader.replication.throttled.replicas", Some("1")),
        ("local retention above all", "local.retention.ms", Some("-3")),
        ("an index of few bytes", "segment.index.bytes", Some("3")),
    ] {
        let configs =
            vec![CreateTopicsRequestConfig { name: Str::copy_of(key), value: value.map(Str::copy_of) }];
        let topic = CreateTopicsRequestTopic { configs, ..new_topic(&new, 1, &[]) };
        play.at([2, 5, 7], step, |_| create_request(vec![topic.clone()]));
    }
    let two = new_topic(&new, 1, &[("retention.ms", "1"), ("segment.bytes", "1")]);
    play.at([7], "one of two", |_| create_request(vec![two.clone()]));
    let partitions_too = new_topic(&new, 0, &[("retention.ms", "soon")]);
    play.at([7], "no partitions beside it", |_| create_request(vec![partitions_too.clone()]));
}

fn configs_that_are_taken(play: &mut Player) {
    let new = play.name("new");
    for (number, (step, key, value)) in [
        ("an empty policy", "cleanup.policy", ""),
        ("both policies", "cleanup.policy", "compact,delete"),
        ("the same policy twice", "cleanup.policy", "delete,delete"),
        ("both policies with a blank", "cleanup.policy", "compact, delete"),
        ("a time type", "message.timestamp.type", "LogAppendTime"),
        ("the smallest segment", "segment.bytes", "1048576"),
        ("a number with a plus", "retention.ms", "+5"),
        ("a boolean in capitals", "preallocate", "TRUE"),
        ("a codec", "compression.type", "zstd"),
        ("a codec's level", "compression.zstd.level", "-5"),
        ("a ratio", "min.cleanable.dirty.ratio", "0.25"),
        ("a ratio as an integer", "min.cleanable.dirty.ratio", "1"),
        ("a ratio with an exponent", "min.cleanable.dirty.ratio", "5e-1"),
        ("as many replicas in sync as nobody has", "min.insync.replicas", "5"),
        ("the least retention", "retention.bytes", "-9223372036854775808"),
        ("throttled replicas", "leader.replication.throttled.replicas", "0:1,1:1"),
        ("all throttled replicas", "follower.replication.throttled.replicas", "*"),
        ("blanks around a number", "retention.ms", " 222 "),
    ]
    .into_iter()
    .enumerate()
    {
        let name = play_name(&new, &number.to_string());
        let row = new_topic(&name, 1, &[(key, value)]);
        play.at([7], step, |_| create_request(vec![row.clone()]));
    }
    let twice = new_topic(&play_name(&new, "twice"), 1, &[("retention.ms", "111"), ("retention.ms", "222")]);
    play.at([7], "a key twice", |_| create_request(vec![twice.clone()]));
}

fn time_outs(play: &mut Player) {
    let new = play.name("new");
    for timeout_ms in [0, -1, i32::MIN] {
        play.every(&format!("{timeout_ms}"), |_| CreateTopicsRequest {
            timeout_ms,
            ..create_request(vec![new_topic(&new, 1, &[])])
        });
    }
    play.one(13, "in Metadata", &metadata_request(&[&new]));
}

fn many_topics_in_one_request(play: &mut Player) {
    let (good, twice, there) = (play.name("good"), play.name("twice"), play.topic("there", 1, &[]).name);
    let bad = Str::from("a b");
    play.every("good, bad, there and twice", |version| {
        let names = [&at_version(&good, version), &bad, &twice, &there, &twice];
        create_request(names.into_iter().map(|name| new_topic(name, 1, &[])).collect())
    });
    let known = at_version(&good, 7);
    play.wait_until_led(&known, 1);
    play.one(13, "in Metadata", &metadata_request(&[&known, &twice]));
    play.every("none", |_| create_request(vec![]));
    let many: Vec<_> =
        (0..3).map(|number| new_topic(&play_name(&good, &number.to_string()), 4_000, &[])).collect();
    play.at([7], "10001 partitions together, only validated", |_| CreateTopicsRequest {
        validate_only: true,
        ..create_request(many.clone())
    });
}
