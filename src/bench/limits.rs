//! `ottla bench limits`: what this machine can do at best, in the terms of a broker's work. No broker is needed.

mod process;
pub(super) mod programs;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use nix::unistd::fdatasync;
use ottla_protocol::record::Compression;
use serde_json::Value;

pub(crate) use self::process::{Limit, LimitFiles};
use self::programs::AppendFile;
pub(crate) use self::programs::LimitKind;
use super::batches::batch;
use super::frames::{self, BuiltRequest, FETCH_VERSION_MAX, FetchSize, PRODUCE_VERSION_MAX};
use super::latency::Latencies;
use super::load::{Done, Pace, Until};
use super::options::{OutputArguments, duration};
use super::own_broker::Workspace;
use super::pages::WarmPages;
use super::progress::Progress;
use super::report::{self, Table};
use super::rounds::{Contender, Round, Rounds, alternate};

/// How much is reserved at a time in files that grow for as long as a round takes.
pub(crate) const RESERVED_STEP: u64 = 256 << 20;

const MIB: usize = 1 << 20;

/// What `ottla bench limits` takes.
#[derive(Debug, Args)]
pub(crate) struct LimitsArguments {
    /// How long a round takes
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    duration: Duration,
    /// Rounds, of which medians are taken
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &LimitsArguments) -> Result<()> {
    let workspace = Workspace::create(&arguments.output.directory)?;
    let progress = Progress::start(arguments.output.quiet);
    let _warm = WarmPages::fill(workspace.path(), arguments.output.warm_memory, &progress)?;
    let until = Until::Elapsed(arguments.duration);
    let measured = measure(workspace.path(), arguments.rounds, until, &progress);
    progress.finish();
    let measured = measured?;
    let mut table = Table::new([
        "limit",
        "MB/s",
        "requests/s",
        "CPU s/GB",
        "user",
        "system",
        "CPU us/request",
        "p50 ms",
        "p99 ms",
    ]);
    let mut object = serde_json::Map::new();
    for (name, rounds) in &measured {
        table.push(report::limit_row(name, rounds));
        object.insert((*name).to_owned(), report::rounds_json(rounds));
    }
    let text = format!(
        "{}\nreceive + append: batches of 64 KiB, 4 connections. echo + append: 1.1 KiB, one at a time. group commit: 16 KiB, 64\n\
         connections, one file. sendfile: answers of 1 MiB. fdatasync: 16 KiB appended before each; only the sync counts.\n\
         {} rounds in turn, medians; CPU is that of the receiving or sending program.\n",
        table.render(),
        arguments.rounds
    );
    report::write(&arguments.output, &text, &Value::Object(object))
}

fn measure(
    directory: &Path,
    rounds: usize,
    until: Until,
    progress: &Progress,
) -> Result<Vec<(&'static str, Rounds)>> {
    let large = produce_request(64 * 1024)?;
    let small = produce_request(1100)?;
    let middle = produce_request(16 * 1024)?;
    let question = BuiltRequest {
        frame: frames::fetch(
            FETCH_VERSION_MAX,
            "bench",
            &[(0, 0)],
            FetchSize { bytes_max: 1 << 20, wait_ms: 0 },
        )?,
        batch_bytes: 0,
        record_count: 0,
    };
    let appending = LimitFiles { bytes: RESERVED_STEP, answer_bytes: 0 };
    let receive = Limit::start(LimitKind::ReceiveAppend, &directory.join("receive"), appending)?;
    let echo = Limit::start(LimitKind::EchoAppend, &directory.join("echo"), appending)?;
    let group = Limit::start(LimitKind::GroupSync, &directory.join("group"), appending)?;
    let sent = directory.join("sent");
    let sent_bytes = 512 * MIB as u64;
    write_file(&sent, sent_bytes)?;
    let send = Limit::start(LimitKind::SendFile, &sent, LimitFiles { bytes: sent_bytes, answer_bytes: MIB })?;
    let pace = |in_flight| Pace { in_flight, rate: None, until };
    let mut contenders = [
        Contender::new(receive.name(), || receive.round(4, |_| vec![&large], pace(5), progress)),
        Contender::new(echo.name(), || echo.round(1, |_| vec![&small], pace(1), progress)),
        Contender::new("group commit", || group.round(64, |_| vec![&middle], pace(1), progress)),
        Contender::new("sendfile", || send.round(1, |_| vec![&question], pace(1), progress)),
        Contender::new("fdatasync", || raw_syncs(&directory.join("synced"), &middle.frame, until, progress)),
    ];
    let measured = alternate(rounds, &mut contenders)?;
    let names = [receive.name(), echo.name(), "group commit", "sendfile", "fdatasync"];
    Ok(names.into_iter().zip(measured).collect())
}

fn produce_request(batch_bytes: usize) -> Result<BuiltRequest> {
    let batch = batch(batch_bytes, 1024, Compression::NONE)?;
    let frame = frames::produce(PRODUCE_VERSION_MAX, "bench", &[0], 1, &batch.bytes)?;
    Ok(BuiltRequest { frame, batch_bytes: batch.bytes.len() as u64, record_count: batch.record_count })
}

/// A file of so many bytes, whose pages are in memory.
pub(crate) fn write_file(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let piece: Vec<u8> = (0..MIB).map(|place| (place % 251) as u8).collect();
    let mut left = bytes;
    while left > 0 {
        let count = left.min(MIB as u64);
        file.write_all(piece.get(..usize::try_from(count)?).unwrap_or(&piece))?;
        left -= count;
    }
    Ok(())
}

/// One writer that syncs after each append, without a network: how long a sync takes. The CPU is this process's.
pub(crate) fn raw_syncs(path: &Path, appended: &[u8], until: Until, progress: &Progress) -> Result<Round> {
    progress.label("fdatasync");
    let mut file = AppendFile::create(path, RESERVED_STEP)?;
    let round = Round::measure(Some(std::process::id()), || {
        let (began, mut done) = (Instant::now(), Done::default());
        let mut latencies = Latencies::default();
        while match until {
            Until::Count(count) => done.requests < count,
            Until::Elapsed(duration) => began.elapsed() < duration,
        } {
            file.append(appended)?;
            let from = Instant::now();
            fdatasync(&file.file)?;
            latencies.record(from.elapsed());
            done.requests += 1;
            done.bytes += appended.len() as u64;
            progress.count(appended.len() as u64);
            progress.check_interrupted()?;
        }
        done.latencies = latencies;
        Ok(done)
    })?;
    std::fs::remove_file(path)?;
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_to_send_has_the_size_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent");
        write_file(&path, 3 * MIB as u64 / 2).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), 3 * MIB as u64 / 2);
    }

    #[test]
    fn raw_syncs_are_counted_and_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("synced");
        let round = raw_syncs(&path, &[7; 100], Until::Count(3), &Progress::start(true)).unwrap();
        assert_eq!((round.done.requests, round.done.bytes), (3, 300));
        assert!(!path.exists());
    }
}
