//! What many partitions cost: memory, idle CPU, and the time until they are all there again after a stop or a kill.
//!
//! It starts the built `ottla` as users do, creates partitions over the wire, appends one small batch to each with
//! acks=all, leaves the broker alone and looks at it, stops it, starts it, kills it and starts it, each time until
//! ListOffsets is right for every partition, and deletes everything while another topic is being written. A table on
//! standard output has the figures.
//!
//! ```text
//! cargo bench --bench partitions -- [--partitions 10000] [--topics 1] [--idle 60] [--descriptors 0]
//!     [--data DIR] [--program PATH]
//! ```
//!
//! `--topics` spreads the partitions over so many topics; `--idle` is in seconds; `--descriptors` lowers the limit of open
//! files that the broker finds; `--program` measures another build. The data is removed at the end.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures processes in real time")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ottla_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsRequestTopic};
use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::api::metadata::MetadataRequest;
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::api::{Message as _, Request};
use ottla_protocol::frame::{decode_response_header, encode_request};
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{FramePiece, Reader, Str};

/// Partitions in one Produce request, or topics in one request that creates or deletes.
const PER_REQUEST: usize = 1000;
/// How many partitions one request may create.
const CREATED_PER_REQUEST: usize = 10_000;
/// Starts of which the median counts.
const STARTS: usize = 7;
/// How long anything may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(900);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

fn main() {
    let options = Options::from_arguments();
    let data = options
        .data
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("ottla-partitions-{}", std::process::id())));
    fs::create_dir_all(&data).expect("the data directory can be made");
    measure(&options, &data);
    fs::remove_dir_all(&data).expect("the data can be removed");
}

fn measure(options: &Options, data: &Path) {
    say("partitions", options.partitions);
    say("topics", options.topics);
    let mut starts: Vec<Duration> = (0..STARTS).map(|_| start_empty(options, data)).collect();
    starts.sort_unstable();
    say_time("start to first answered Metadata, median", starts[STARTS / 2]);

    let broker = Broker::start(options, data);
    let mut client = broker.connect();
    client.metadata();
    std::thread::sleep(Duration::from_secs(3));
    let empty = broker.resident_kib();
    say("idle RSS without partitions, KiB", empty);

    let topics = options.topics();
    say_time("create", timed(|| client.create(&topics)));
    let created = broker.resident_kib();
    say("RSS once created, KiB", created);
    say_time("one batch to each, acks=all", timed(|| client.produce_to_all(&topics)));
    say("RSS once produced, KiB", broker.resident_kib());
    say_time("ListOffsets of each", timed(|| client.wait_until_right(&topics, 1)));
    std::thread::sleep(options.idle.saturating_sub(Duration::from_secs(10)));
    let cpu = broker.cpu();
    std::thread::sleep(Duration::from_secs(10));
    say("CPU over 10 idle seconds, ms", (broker.cpu() - cpu).as_millis());
    let idle = broker.resident_kib();
    say("RSS once idle, KiB", idle);
    say("RSS that the partitions cost, KiB", idle.saturating_sub(empty));
    say("open files once idle", broker.open_files());
    say_time("stop of a broker at rest", broker.stop());

    let (took, broker) = restart(options, data, &topics, 1);
    say_time("restart after a clean stop", took);
    say("RSS then, KiB", broker.resident_kib());
    let mut client = broker.connect();
    // The leader epoch in the answer is the log's first: each log is opened for it.
    say_time("the start of each", timed(|| assert!(client.all_are(&topics, EARLIEST, 0))));
    broker.kill();
    let (took, broker) = restart(options, data, &topics, 1);
    say_time("restart after a kill at rest", took);
    say("RSS then, KiB", broker.resident_kib());
    let mut client = broker.connect();
    say_time("a second batch to each, acks=all", timed(|| client.produce_to_all(&topics)));
    broker.kill();
    let (took, broker) = restart(options, data, &topics, 2);
    say_time("restart after a kill under load", took);
    let mut client = broker.connect();
    say_time("a third batch to each, acks=all", timed(|| client.produce_to_all(&topics)));
    say("open files then", broker.open_files());
    say_time("stop with logs open", broker.stop());
    let (took, broker) = restart(options, data, &topics, 3);
    say_time("restart after that", took);
    delete(&broker, data, &topics);
    say_time("stop at the end", broker.stop());
}

/// Deletes everything while another topic is written to.
fn delete(broker: &Broker, data: &Path, topics: &[Topic]) {
    let other = Topic { name: "other".to_owned(), partitions: 1 };
    let mut writer = broker.connect();
    writer.create(std::slice::from_ref(&other));
    writer.produce_to_all(std::slice::from_ref(&other));
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let writing = std::thread::spawn(move || {
        let mut slowest = Duration::ZERO;
        while !is_done.load(Ordering::Relaxed) {
            slowest = slowest.max(timed(|| writer.produce_to_all(std::slice::from_ref(&other))));
            std::thread::sleep(Duration::from_millis(5));
        }
        slowest
    });
    let mut client = broker.connect();
    say_time("delete, until answered", timed(|| client.delete(topics)));
    let more = Topic { name: "more".to_owned(), partitions: 1 };
    say_time(
        "create another topic then, and append",
        timed(|| {
            client.create(std::slice::from_ref(&more));
            client.produce_to_all(std::slice::from_ref(&more));
        }),
    );
    let began = Instant::now();
    while 2 < directories(data) {
        assert!(began.elapsed() < PATIENCE, "directories are left");
        std::thread::sleep(Duration::from_millis(20));
    }
    say_time("until the directories are gone", began.elapsed());
    done.store(true, Ordering::Relaxed);
    say_time("slowest append to another topic meanwhile", writing.join().expect("the writer"));
    std::thread::sleep(Duration::from_secs(12));
    say("RSS then, KiB", broker.resident_kib());
}

fn directories(data: &Path) -> usize {
    let entries = fs::read_dir(data).expect("the data directory").flatten();
    entries.filter(|entry| entry.file_name() != "ottla-metadata" && entry.path().is_dir()).count()
}

fn start_empty(options: &Options, data: &Path) -> Duration {
    let began = Instant::now();
    let broker = Broker::start(options, data);
    broker.connect().metadata();
    let took = began.elapsed();
    broker.stop();
    took
}

fn restart(options: &Options, data: &Path, topics: &[Topic], end: i64) -> (Duration, Broker) {
    let began = Instant::now();
    let broker = Broker::start(options, data);
    broker.connect().wait_until_right(topics, end);
    (began.elapsed(), broker)
}

struct Options {
    partitions: usize,
    topics: usize,
    idle: Duration,
    descriptors: u64,
    data: Option<PathBuf>,
    program: PathBuf,
}

impl Options {
    fn from_arguments() -> Options {
        let mut options = Options {
            partitions: 10_000,
            topics: 1,
            idle: Duration::from_secs(60),
            descriptors: 0,
            data: None,
            program: env!("CARGO_BIN_EXE_ottla").into(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("the option has a value");
            match argument.as_str() {
                "--partitions" => options.partitions = value().parse().expect("a number"),
                "--topics" => options.topics = value().parse().expect("a number"),
                "--idle" => options.idle = Duration::from_secs(value().parse().expect("a number")),
                "--descriptors" => options.descriptors = value().parse().expect("a number"),
                "--program" => options.program = value().into(),
                "--data" => options.data = Some(value().into()),
                // What cargo adds.
                "--bench" => {}
                other => panic!("no such option: {other}"),
            }
        }
        options
    }

    fn topics(&self) -> Vec<Topic> {
        let partitions = self.partitions / self.topics;
        (0..self.topics).map(|n| Topic { name: format!("measured-{n}"), partitions }).collect()
    }
}

struct Topic {
    name: String,
    partitions: usize,
}

/// A broker as users run it.
struct Broker {
    child: Child,
    address: SocketAddr,
}

impl Broker {
    /// Starts it; it need not listen yet.
    fn start(options: &Options, data: &Path) -> Broker {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = port.expect("a free port");
        let log = fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log"));
        let program = &options.program;
        let mut command = if options.descriptors == 0 {
            Command::new(program)
        } else {
            let mut shell = Command::new("sh");
            let limited = format!("ulimit -n {} && exec \"$0\" \"$@\"", options.descriptors);
            shell.args(["-c", &limited]).arg(program);
            shell
        };
        command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log file"));
        Broker { child: command.spawn().expect("the broker's program starts"), address }
    }

    fn connect(&self) -> Client {
        let began = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                stream.set_nodelay(true).expect("a TCP socket");
                return Client { stream, correlation_id: 0 };
            }
            assert!(began.elapsed() < PATIENCE, "the broker doesn't listen");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.child.id()))
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("the broker runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// The CPU time that it has used.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("the broker runs");
        let (_, fields) = stat.rsplit_once(')').expect("the program's name is in brackets");
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        Duration::from_millis(ticks * 10)
    }

    fn open_files(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("the broker runs").count()
    }

    fn stop(mut self) -> Duration {
        timed(|| {
            let id = i32::try_from(self.child.id()).expect("process ids are small");
            kill(Pid::from_raw(id), Signal::SIGTERM).expect("the broker runs");
            let status = self.child.wait().expect("it is our child");
            assert!(status.success(), "the broker ended with {status}");
        })
    }

    fn kill(mut self) {
        self.child.kill().expect("the broker runs");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // After a panic; otherwise it is gone already.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// One connection, one request at a time.
struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.correlation_id += 1;
        let id = Some(Str::from("partitions"));
        let pieces = encode_request(request, version, self.correlation_id, id).expect("a request fits");
        for piece in pieces {
            let FramePiece::Bytes(bytes) = piece else { panic!("a request is bytes") };
            self.stream.write_all(&bytes).expect("the broker reads");
        }
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("the broker answers");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).expect("the broker answers");
        let mut reader = Reader::new(Bytes::from(frame));
        let answered = decode_response_header(&mut reader, R::API, version).expect("a response header");
        assert_eq!(answered, self.correlation_id);
        R::Response::decode(&mut reader, version).expect("a response")
    }

    fn metadata(&mut self) {
        let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        assert_eq!(self.call(&request, 12).brokers.len(), 1);
    }

    fn create(&mut self, topics: &[Topic]) {
        let most = topics.iter().map(|topic| topic.partitions).max().unwrap_or(1);
        for some in topics.chunks((CREATED_PER_REQUEST / most).clamp(1, PER_REQUEST)) {
            let row = |topic: &Topic| CreateTopicsRequestTopic {
                name: Str::copy_of(&topic.name),
                num_partitions: i32::try_from(topic.partitions).expect("few partitions"),
                replication_factor: 1,
                ..CreateTopicsRequestTopic::default()
            };
            let topics = some.iter().map(row).collect();
            let answer = self.call(&CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }, 7);
            assert!(answer.topics.iter().all(|topic| topic.error_code == 0), "{answer:?}");
        }
    }

    fn delete(&mut self, topics: &[Topic]) {
        for some in topics.chunks(PER_REQUEST) {
            let row = |topic: &Topic| DeleteTopicsRequestTopic {
                name: Some(Str::copy_of(&topic.name)),
                topic_id: TopicId::default(),
            };
            let request = DeleteTopicsRequest {
                topics: some.iter().map(row).collect(),
                timeout_ms: 60_000,
                ..DeleteTopicsRequest::default()
            };
            let answer = self.call(&request, 6);
            assert!(answer.responses.iter().all(|topic| topic.error_code == 0), "{answer:?}");
        }
    }

    fn produce_to_all(&mut self, topics: &[Topic]) {
        let batch = batch();
        for some in in_requests(topics) {
            let partition = |index| ProduceRequestPartition { index, records: Some(batch.clone()) };
            let topic_data = some
                .iter()
                .map(|(topic, partitions)| ProduceRequestTopic {
                    name: Str::copy_of(&topic.name),
                    partition_data: partitions.clone().map(partition).collect(),
                    ..ProduceRequestTopic::default()
                })
                .collect();
            let request =
                ProduceRequest { acks: -1, timeout_ms: 600_000, topic_data, ..ProduceRequest::default() };
            let answer = self.call(&request, 11);
            for partition in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
                assert_eq!(partition.error_code, 0, "partition {}", partition.index);
            }
        }
    }

    /// Asks until every partition ends at `end`.
    fn wait_until_right(&mut self, topics: &[Topic], end: i64) {
        let began = Instant::now();
        while !self.all_are(topics, LATEST, end) {
            assert!(began.elapsed() < PATIENCE, "the offsets are wrong for good");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn all_are(&mut self, topics: &[Topic], timestamp: i64, offset: i64) -> bool {
        in_requests(topics).iter().all(|some| {
            let partition = |partition_index| ListOffsetsRequestPartition {
                partition_index,
                timestamp,
                ..ListOffsetsRequestPartition::default()
            };
            let topics = some
                .iter()
                .map(|(topic, partitions)| ListOffsetsRequestTopic {
                    name: Str::copy_of(&topic.name),
                    partitions: partitions.clone().map(partition).collect(),
                })
                .collect();
            let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
            let answer = self.call(&request, 7);
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.all(|partition| partition.error_code == 0 && partition.offset == offset)
        })
    }
}

/// The partitions of `topics`, [`PER_REQUEST`] at a time.
fn in_requests(topics: &[Topic]) -> Vec<Vec<(&Topic, std::ops::Range<i32>)>> {
    let mut requests = vec![Vec::new()];
    let mut room = PER_REQUEST;
    for topic in topics {
        let mut from = 0;
        while from < topic.partitions {
            if room == 0 {
                requests.push(Vec::new());
                room = PER_REQUEST;
            }
            let count = room.min(topic.partitions - from);
            let index = |partition| i32::try_from(partition).expect("few partitions");
            let some = index(from)..index(from + count);
            requests.last_mut().expect("there is one").push((topic, some));
            room -= count;
            from += count;
        }
    }
    requests
}

/// A batch of one small record.
fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::of(Codec::None));
    let value = [b'v'; 100];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let timestamp = i64::try_from(now).expect("it is before the year 292,000,000");
    builder.push(NewRecord { timestamp, key: Some(b"key"), value: Some(&value), ..NewRecord::default() });
    builder.build().expect("nothing is compressed").to_bytes()
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn say(what: &str, value: impl std::fmt::Display) {
    println!("{what:<48} {value:>12}");
}

fn say_time(what: &str, time: Duration) {
    say(what, format!("{:.1} ms", time.as_secs_f64() * 1000.0));
}
