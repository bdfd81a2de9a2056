//! How long a consumer group of KIP-848 takes to settle after its last member has joined.
//!
//! It starts the built `ottla serve` as users do. All members join one after the other, each with a connection of its own,
//! and from then on send a heartbeat each 100 ms, and one at once when they have given up or got partitions, as Kafka's own
//! consumer does. The group has settled when every member is at the last epoch and they have all partitions between them,
//! each once. A table on standard output has the median of the rounds.
//!
//! ```text
//! cargo bench --bench rebalance -- [--members 100] [--partitions 1000] [--rounds 5] [--directory DIR] [--program PATH]
//! ```

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures processes in real time")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsRequestTopic};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::members::wait_for_coordinator;
use ottla_testkit::process::BrokerCommand;
use ottla_testkit::wire_client::WireClient;

const HEARTBEAT_MS: u64 = 100;
const TOPIC: &str = "rebalanced";
/// A group that hasn't settled by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let options = Options::from_arguments();
    let directory = tempfile::tempdir_in(&options.directory).expect("the directory can be written to");
    let interval = HEARTBEAT_MS.to_string();
    let broker = BrokerCommand::new(&options.program, directory.path().join("data"))
        .set("group.consumer.min.heartbeat.interval.ms", &interval)
        .set("group.consumer.heartbeat.interval.ms", &interval)
        .set("group.consumer.assignment.interval.ms", 0)
        .start();
    let mut client = WireClient::connect(broker.address());
    let topic = CreateTopicsRequestTopic {
        name: Str::from_static(TOPIC),
        num_partitions: options.partitions,
        replication_factor: 1,
        ..CreateTopicsRequestTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..CreateTopicsRequest::default() };
    assert_eq!(client.request(5, &request).topics[0].error_code, 0);
    let mut rounds: Vec<(f64, f64)> = Vec::new();
    for round in 0..options.rounds {
        let group = Str::from(format!("group-{round}"));
        wait_for_coordinator(&mut client, 0, &group);
        rounds.push(measure(&options, &broker, &group));
    }
    let median = |pick: fn(&(f64, f64)) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(pick).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    println!("members | partitions | to join, s | to settle after that, s");
    println!(
        "{:>7} | {:>10} | {:>10.2} | {:.2}",
        options.members,
        options.partitions,
        median(|round| round.0),
        median(|round| round.1)
    );
}

/// One group from its first member to rest: how long the joins took, and how long the rest.
fn measure(options: &Options, broker: &ottla_testkit::process::BrokerProcess, group: &Str) -> (f64, f64) {
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let mut members = Vec::new();
    let mut threads = Vec::new();
    for number in 0..options.members {
        let state = Arc::new(Mutex::new(Member::default()));
        let mut client = WireClient::connect(broker.address());
        let id = Str::from(format!("member-{number:04}"));
        heartbeat(&mut client, group, &id, &state);
        members.push(Arc::clone(&state));
        let (stop, group) = (Arc::clone(&stop), group.clone());
        threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if !heartbeat(&mut client, &group, &id, &state) {
                    thread::sleep(Duration::from_millis(HEARTBEAT_MS));
                }
            }
        }));
    }
    let joined = Instant::now();
    while !has_settled(&members, options) {
        assert!(joined.elapsed() < PATIENCE, "the group has not settled");
        thread::sleep(Duration::from_millis(2));
    }
    let settled = joined.elapsed();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("members don't fail");
    }
    ((joined - began).as_secs_f64(), settled.as_secs_f64())
}

#[derive(Default, Clone)]
struct Member {
    epoch: i32,
    owned: BTreeSet<(TopicId, i32)>,
}

/// One heartbeat. Whether its answer changed what the member has, so that the next is due at once.
fn heartbeat(client: &mut WireClient, group: &Str, id: &Str, state: &Mutex<Member>) -> bool {
    let member = state.lock().expect("nobody fails").clone();
    let is_joining = member.epoch == 0;
    let mut owned: std::collections::BTreeMap<TopicId, Vec<i32>> = std::collections::BTreeMap::new();
    for (topic, partition) in &member.owned {
        owned.entry(*topic).or_default().push(*partition);
    }
    let rows = owned
        .into_iter()
        .map(|(topic_id, partitions)| ConsumerGroupHeartbeatRequestTopicPartitions { topic_id, partitions });
    let request = ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: id.clone(),
        member_epoch: member.epoch,
        rebalance_timeout_ms: if is_joining { 60_000 } else { -1 },
        subscribed_topic_names: is_joining.then(|| vec![Str::from_static(TOPIC)]),
        topic_partitions: Some(rows.collect()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let answer: ConsumerGroupHeartbeatResponse = client.request(1, &request);
    assert_eq!(answer.error_code, 0, "{answer:?}");
    let mut state = state.lock().expect("nobody fails");
    state.epoch = answer.member_epoch;
    let Some(assignment) = answer.assignment else { return false };
    let owned = assignment
        .topic_partitions
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)))
        .collect();
    let has_changed = state.owned != owned;
    state.owned = owned;
    has_changed
}

fn has_settled(members: &[Arc<Mutex<Member>>], options: &Options) -> bool {
    let members: Vec<Member> =
        members.iter().map(|member| member.lock().expect("nobody fails").clone()).collect();
    // Each join raises the epoch, the first one to 2.
    let last_epoch = i32::try_from(options.members + 1).expect("not that many");
    let all: BTreeSet<&(TopicId, i32)> = members.iter().flat_map(|member| &member.owned).collect();
    let count: usize = members.iter().map(|member| member.owned.len()).sum();
    members.iter().all(|member| member.epoch == last_epoch)
        && all.len() == count
        && i32::try_from(count) == Ok(options.partitions)
}

struct Options {
    members: usize,
    partitions: i32,
    rounds: usize,
    directory: PathBuf,
    program: PathBuf,
}

impl Options {
    fn from_arguments() -> Options {
        let mut options = Options {
            members: 100,
            partitions: 1000,
            rounds: 5,
            directory: PathBuf::from("."),
            program: PathBuf::from(env!("CARGO_BIN_EXE_ottla")),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("the option takes a value");
            match argument.as_str() {
                "--members" => options.members = value().parse().expect("a number"),
                "--partitions" => options.partitions = value().parse().expect("a number"),
                "--rounds" => options.rounds = value().parse().expect("a number"),
                "--directory" => options.directory = value().into(),
                "--program" => options.program = value().into(),
                // Cargo's own.
                "--bench" => {}
                unknown => panic!("what is {unknown}?"),
            }
        }
        options
    }
}
