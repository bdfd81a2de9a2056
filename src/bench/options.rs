//! What the bench commands share on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ottla_protocol::record::{Codec, Compression};

/// Which broker.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArguments {
    /// Where the broker listens [default: OTTLA_BOOTSTRAP_SERVER, else 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// The broker's process, for its CPU time and memory [default: found by the port, if it is on this machine]
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
}

impl TargetArguments {
    /// Where to connect to.
    pub(crate) fn bootstrap_server(&self) -> String {
        let from_environment = || std::env::var("OTTLA_BOOTSTRAP_SERVER").ok();
        self.bootstrap_server.clone().or_else(from_environment).unwrap_or_else(|| "127.0.0.1:9092".to_owned())
    }
}

/// Which topic.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopicArguments {
    /// The topic; created if there is none, and then deleted at the end
    #[arg(long, value_name = "NAME", default_value = "ottla-bench")]
    pub(crate) topic: String,
    /// Partitions of the topic, if it is created
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
    /// Replicas of each partition, if it is created [default: the broker's]
    #[arg(long, value_name = "N")]
    pub(crate) replication_factor: Option<i16>,
    /// A config of the topic, if it is created; may be given many times
    #[arg(long = "topic-config", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) topic_configs: Vec<(String, String)>,
    /// Leave the topic and its data where they are
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What is sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct BatchArguments {
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value = "1KiB", value_parser = bytes)]
    pub(crate) record_size: usize,
    /// Bytes of a batch before compression; one record at least
    #[arg(long, value_name = "BYTES", default_value = "64KiB", value_parser = bytes)]
    pub(crate) batch_bytes: usize,
    /// How batches are compressed
    #[arg(long, value_enum, default_value_t = CodecArgument::None)]
    codec: CodecArgument,
    /// Which answer a batch waits for: 0 none, 1 the leader has written it, all the in-sync replicas have it
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub(crate) acks: Acks,
}

impl BatchArguments {
    /// How batches are compressed, at the codec's usual level.
    pub(crate) fn compression(&self) -> Compression {
        Compression::of(self.codec.codec())
    }
}

/// How it is sent, how long, how often.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArguments {
    /// Connections, each with a thread of its own
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one)]
    pub(crate) connections: usize,
    /// Requests that a connection may have unanswered
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub(crate) in_flight: usize,
    /// Requests a second over all connections, each sent at its own time whatever became of the others; latencies count
    /// from that time [default: as fast as it goes]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long a round takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long the load runs before anything is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) warm_up: Duration,
    /// Rounds, of which medians are taken
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) rounds: usize,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Where files go and how results are shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArguments {
    /// Where the limits (and a broker that is started here) keep their files: the disk to be measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// How long free memory may be touched beforehand where limits are measured; 0 for not at all. A virtual machine's
    /// memory costs much at its first touch
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) warm_memory: Duration,
    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Nothing on standard error while it runs
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// What a producer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// No answer at all.
    #[value(name = "0")]
    None,
    /// The leader has written it.
    #[value(name = "1")]
    Leader,
    /// The in-sync replicas have it.
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    /// The number that stands for it in a Produce request.
    pub(crate) fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodecArgument {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl CodecArgument {
    fn codec(self) -> Codec {
        match self {
            CodecArgument::None => Codec::None,
            CodecArgument::Gzip => Codec::Gzip,
            CodecArgument::Snappy => Codec::Snappy,
            CodecArgument::Lz4 => Codec::Lz4,
            CodecArgument::Zstd => Codec::Zstd,
        }
    }
}

/// A size: a number with or without a unit.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let found = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1));
    let number: usize = number.trim().parse().map_err(|_| "expected a size such as 100, 64KiB or 1MB")?;
    number.checked_mul(factor).ok_or_else(|| "that is too many bytes".to_owned())
}

/// A length of time: a number of seconds, or a number with a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    let seconds: Option<f64> = number.trim().parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds * factor).ok())
        .ok_or_else(|| "expected a time such as 10s, 500ms or 2m".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number above 0".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| *rate > 0.0 && rate.is_finite()).ok_or_else(|| "expected a number above 0".to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases = [("100", Some(100)), ("1KiB", Some(1024)), ("2 MiB", Some(2 << 20)), ("3kB", Some(3000))];
        for (text, size) in
            cases.into_iter().chain([("", None), ("-1", None), ("1.5KiB", None), ("KiB", None)])
        {
            assert_eq!(bytes(text).ok(), size, "{text:?}");
        }
    }

    #[test]
    fn times_have_units_and_seconds_need_none() {
        let ms = Duration::from_millis;
        let cases = [
            ("2", Some(ms(2000))),
            ("0.5", Some(ms(500))),
            ("500ms", Some(ms(500))),
            ("2m", Some(ms(120_000))),
        ];
        for (text, time) in
            cases.into_iter().chain([("", None), ("-1s", None), ("soon", None), ("NaN", None)])
        {
            assert_eq!(duration(text).ok(), time, "{text:?}");
        }
    }
}
