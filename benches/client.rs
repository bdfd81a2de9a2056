//! What the client's producer takes: records a second, and CPU for each GB that it is given.
//!
//! It starts the built `ottla serve` as users do and sends through the public [`Producer`] as fast as that accepts
//! records, with everything at its default but what the options say: idempotent, acks=all, 16 KiB batches, 5 ms linger.
//! Each round ends when every record is written, and then the offsets have to add up. A table on standard output has the
//! medians; MB are 10^6 bytes of values.
//!
//! ```text
//! cargo bench --bench client -- [--seconds 5] [--rounds 5] [--partitions 12] [--batch-size 16384] [--set KEY=VALUE]...
//!     [--directory DIR] [--program PATH]
//! ```
//!
//! `--seconds` is how long a round sends; `--set` is for the broker (`ottla.flush.policy=os` leaves the disk out of it);
//! the data is in a directory of its own below `--directory`, the current one by default, and is removed at the end.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_methods, reason = "it measures processes in real time")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use ottla_client::admin::{NewTopic, OffsetSpec};
use ottla_client::producer::{Producer, Record};
use ottla_client::{Client, ClientConfig, ProducerConfig};
use ottla_protocol::types::PartitionIndex;
use ottla_runtime::{Runtime, real};
use ottla_testkit::process::BrokerCommand;

/// The sizes of the values that are sent.
const RECORD_BYTES: [usize; 2] = [100, 1024];
/// How many records are sent between two looks at the time.
const SENT_PER_LOOK: usize = 256;

fn main() {
    let options = Options::from_arguments();
    let directory = tempfile::tempdir_in(&options.directory).expect("the directory can be written to");
    let command = BrokerCommand::new(&options.program, directory.path().join("data"));
    let command = options.settings.iter().fold(command, |command, setting| {
        let (key, value) = setting.split_once('=').expect("--set takes KEY=VALUE");
        command.set(key, value)
    });
    println!("record bytes |  records/s |   MB/s | client CPU s/GB, user + system | broker CPU s/GB");
    for record_bytes in RECORD_BYTES {
        // A broker of its own for each row, so that no row pays for what another has left.
        let broker = command.start();
        let bootstrap_servers = vec![broker.address().to_string()];
        let measured = real::block_on(None, |runtime| {
            measure(runtime, bootstrap_servers, broker.id(), &options, record_bytes)
        });
        let rounds = measured.expect("a runtime");
        let median = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        println!(
            "{record_bytes:>12} | {:>10.0} | {:>6.0} | {:>20.2} + {:<7.2} | {:.2}",
            median(|round| round.records / round.seconds),
            median(|round| round.gigabytes * 1e3 / round.seconds),
            median(|round| round.user / round.gigabytes),
            median(|round| round.system / round.gigabytes),
            median(|round| round.broker / round.gigabytes),
        );
        broker.stop();
        std::fs::remove_dir_all(directory.path().join("data")).expect("the data can be removed");
    }
}

/// What one round took.
struct Round {
    records: f64,
    gigabytes: f64,
    seconds: f64,
    /// CPU seconds of this process.
    user: f64,
    system: f64,
    /// CPU seconds of the broker.
    broker: f64,
}

async fn measure(
    runtime: Runtime,
    bootstrap_servers: Vec<String>,
    broker: u32,
    options: &Options,
    record_bytes: usize,
) -> Vec<Round> {
    let config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
    let client = Client::connect(runtime, config).await.expect("a broker");
    let topic = NewTopic { partition_count: Some(options.partitions), ..NewTopic::named("measured") };
    client.admin().create_topics(&[topic]).await["measured"].as_ref().expect("created");
    let config = ProducerConfig { batch_size: options.batch_size, ..ProducerConfig::default() };
    let producer = client.producer(config).expect("a config");
    let mut rounds = Vec::new();
    let mut sent = 0;
    // The first one warms up and doesn't count.
    for _ in 0..=options.rounds {
        let (began, own, of_broker) = (Instant::now(), own_cpu(), cpu_of(broker));
        let records = send(&producer, record_bytes, options.seconds).await;
        let ((user, system), after) = (own_cpu(), cpu_of(broker));
        sent += records;
        rounds.push(Round {
            records: records as f64,
            gigabytes: (records * record_bytes) as f64 / 1e9,
            seconds: began.elapsed().as_secs_f64(),
            user: user - own.0,
            system: system - own.1,
            broker: after - of_broker,
        });
        assert_eq!(written(&client, options.partitions).await, sent, "each record is written, once");
    }
    rounds.remove(0);
    rounds
}

/// Sends for so long, and waits until everything is written.
async fn send(producer: &Producer, record_bytes: usize, seconds: Duration) -> usize {
    let value: Vec<u8> = (0..record_bytes).map(|place| b"offset partition leader "[place % 24]).collect();
    let record = Record::to("measured").value(&value);
    let began = Instant::now();
    let mut records = 0;
    while began.elapsed() < seconds {
        for _ in 0..SENT_PER_LOOK {
            drop(producer.send(record).await.expect("accepted"));
        }
        records += SENT_PER_LOOK;
    }
    producer.flush().await;
    records
}

/// How many records the topic has.
async fn written(client: &Client, partitions: i32) -> usize {
    let asked: Vec<_> =
        (0..partitions).map(|index| ("measured", PartitionIndex(index), OffsetSpec::Latest)).collect();
    let told = client.admin().list_offsets(&asked).await;
    let ends = told.values().map(|end| end.as_ref().expect("told").offset.expect("an end").0);
    usize::try_from(ends.sum::<i64>()).expect("offsets are not negative")
}

/// User and system seconds of this process.
fn own_cpu() -> (f64, f64) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("our own");
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    (seconds(usage.user_time()), seconds(usage.system_time()))
}

/// CPU seconds of a process.
fn cpu_of(process: u32) -> f64 {
    let process = Pid::from_raw(i32::try_from(process).expect("process ids are small"));
    let time = clock_getcpuclockid(process).and_then(|clock| clock.now()).expect("it runs");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

struct Options {
    seconds: Duration,
    rounds: usize,
    partitions: i32,
    batch_size: usize,
    settings: Vec<String>,
    directory: PathBuf,
    program: PathBuf,
}

impl Options {
    fn from_arguments() -> Options {
        let mut options = Options {
            seconds: Duration::from_secs(5),
            rounds: 5,
            partitions: 12,
            batch_size: ProducerConfig::default().batch_size,
            settings: Vec::new(),
            directory: ".".into(),
            program: env!("CARGO_BIN_EXE_ottla").into(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("the option has a value");
            match argument.as_str() {
                "--seconds" => options.seconds = Duration::from_secs(value().parse().expect("a number")),
                "--rounds" => options.rounds = value().parse().expect("a number"),
                "--partitions" => options.partitions = value().parse().expect("a number"),
                "--batch-size" => options.batch_size = value().parse().expect("a number"),
                "--set" => options.settings.push(value()),
                "--directory" => options.directory = value().into(),
                "--program" => options.program = value().into(),
                // What cargo adds.
                "--bench" => {}
                other => panic!("no such option: {other}"),
            }
        }
        assert!(options.rounds > 0 && options.partitions > 0, "there is something to measure");
        options
    }
}
