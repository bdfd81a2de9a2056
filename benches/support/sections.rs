//! The questions, one function each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::support::limits::Limit;
use crate::support::load::{Load, receive_and_discard};
use crate::support::requests::{self, Client};
use crate::support::rounds::{Round, Rounds, print_line};
use crate::support::{cpu, now, start_broker};

/// A section's name and what it does, given a directory on the disk to be measured.
type Section = (&'static str, fn(&Path) -> Result<()>);

pub(crate) const ALL: [Section; 5] =
    [("produce", produce), ("fetch", fetch), ("many", many), ("single", single), ("group", group)];

const GB: f64 = 1e9;
const MICRO: f64 = 1e6;
/// Rounds of each contender.
const ROUNDS: usize = 5;

/// Whole batches over a few connections: CPU for each GB, beside receiving the same bytes and appending them.
fn produce(workspace: &Path) -> Result<()> {
    for (partitions, value_bytes) in [(12, 1024), (1, 1024), (12, 100)] {
        let batch = requests::batch(64 * 1024, value_bytes)?;
        println!(
            "\n{partitions} partitions, batches of 64 KiB, records of {value_bytes} B, acks=1, 4 connections, 5 in flight"
        );
        produce_rounds(workspace, partitions, &batch)?;
    }
    Ok(())
}

fn produce_rounds(workspace: &Path, partitions: i32, batch: &Bytes) -> Result<()> {
    const CONNECTIONS: usize = 4;
    const BYTES: usize = 800_000_000;
    let count = BYTES / CONNECTIONS / batch.len();
    let sent = (count * CONNECTIONS * batch.len()) as f64 / GB;
    let limit =
        Limit::start("receive-append", &workspace.join("limit"), (count * (batch.len() + 100)) as u64)?;
    let frames: Vec<Vec<u8>> =
        (0..partitions).map(|index| requests::produce("bench", &[index], 1, batch)).collect::<Result<_>>()?;
    // Each connection begins at another partition.
    let frames_of = |connection: usize| {
        let begin = connection * frames.len() / CONNECTIONS;
        frames.iter().cycle().skip(begin).take(frames.len()).map(Vec::as_slice).collect::<Vec<_>>()
    };
    let (mut ours, mut least, mut resident) = (Rounds::default(), Rounds::default(), 0.0_f64);
    let load = |address| Load { address, connections: CONNECTIONS, in_flight: 5 };
    for _ in 0..ROUNDS {
        // A new broker for each round, so that no round pays for removing the last one's data.
        let broker = start_broker(workspace);
        Client::connect(broker.address())?.create_topic("bench", partitions, &[])?;
        load(broker.address()).produce(count / 20, frames_of)?;
        ours.push(Round::measure(broker.id(), || {
            load(broker.address()).produce(count, frames_of)?;
            Ok(sent)
        })?);
        resident = resident.max(cpu::peak_resident_mib(broker.id())?);
        broker.kill();
        std::fs::remove_dir_all(workspace.join("data"))?;
        least.push(Round::measure(limit.id(), || {
            load(limit.address).pour(count, frames_of)?;
            Ok(sent)
        })?);
        Limit::remove_files(&workspace.join("limit"))?;
    }
    print_line("ottla", &ours, "MB/s", 1000.0, "CPU s/GB", 1.0);
    print_line("receive + append", &least, "MB/s", 1000.0, "CPU s/GB", 1.0);
    println!("CPU ratio {:.2}; peak RSS {resident:.0} MiB", ours.cpu_ratio(&least));
    Ok(())
}

/// Answers of 1 MiB, beside a plain loop of sendfile.
fn fetch(workspace: &Path) -> Result<()> {
    const BYTES: usize = 512 << 20;
    const ANSWER: i32 = 1 << 20;
    let batch = requests::batch(64 * 1024, 1024)?;
    let broker = start_broker(workspace);
    Client::connect(broker.address())?.create_topic("bench", 1, &[])?;
    let frame = requests::produce("bench", &[0], 1, &batch)?;
    let filling = Load { address: broker.address(), connections: 1, in_flight: 5 };
    filling.produce(BYTES / batch.len(), |_| vec![&frame])?;
    let log = workspace.join("data/bench-0/00000000000000000000.log");
    let limit = Limit::start("send-file", &log, BYTES as u64)?;
    let records = requests::record_count(&batch)?;
    let fetches: Vec<Vec<u8>> = (0..BYTES as i64 / i64::from(ANSWER))
        .map(|index| {
            let offset = index * i64::from(ANSWER) / batch.len() as i64 * records;
            requests::fetch("bench", &[(0, offset)], ANSWER)
        })
        .collect::<Result<_>>()?;
    let (mut ours, mut least) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        for (process, address, rounds) in
            [(broker.id(), broker.address(), &mut ours), (limit.id(), limit.address, &mut least)]
        {
            let mut client = Client::connect(address)?;
            rounds.push(Round::measure(process, || {
                let mut bytes = 0;
                for fetch in fetches.iter().chain(&fetches) {
                    client.send(fetch)?;
                    bytes += receive_and_discard(&mut client.stream)?;
                }
                ensure!(2 * BYTES <= bytes, "an answer was short: {bytes} bytes in all");
                Ok(bytes as f64 / GB)
            })?);
        }
    }
    println!("fetches of 1 MiB, 1 connection, the receiver discards");
    print_line("ottla", &ours, "MB/s", 1000.0, "CPU s/GB", 1.0);
    print_line("header + sendfile", &least, "MB/s", 1000.0, "CPU s/GB", 1.0);
    println!("CPU ratio {:.2}", ours.cpu_ratio(&least));
    broker.kill();
    std::fs::remove_dir_all(workspace.join("data"))?;
    Ok(())
}

/// Many partitions with little in each, in one fetch.
fn many(workspace: &Path) -> Result<()> {
    const PARTITIONS: i32 = 1000;
    const FETCHES: usize = 200;
    let broker = start_broker(workspace);
    let mut client = Client::connect(broker.address())?;
    client.create_topic("bench", PARTITIONS, &[])?;
    let partitions: Vec<i32> = (0..PARTITIONS).collect();
    client.send(&requests::produce("bench", &partitions, 1, &requests::batch(200, 100)?)?)?;
    client.receive_produced()?;
    let places: Vec<(i32, i64)> = partitions.iter().map(|index| (*index, 0)).collect();
    let fetch = requests::fetch("bench", &places, 1 << 20)?;
    let mut ours = Rounds::default();
    for _ in 0..ROUNDS {
        ours.push(Round::measure(broker.id(), || {
            for _ in 0..FETCHES {
                client.send(&fetch)?;
                let bytes = receive_and_discard(&mut client.stream)?;
                ensure!(200 * PARTITIONS as usize <= bytes, "an answer was short: {bytes} bytes");
            }
            Ok((FETCHES * PARTITIONS as usize) as f64)
        })?);
    }
    println!("1,000 partitions with 200 B each in one fetch, without a session");
    print_line("ottla", &ours, "rows/s", 1.0, "CPU us/row", MICRO);
    broker.kill();
    std::fs::remove_dir_all(workspace.join("data"))?;
    Ok(())
}

/// One small produce at a time, beside echo + append.
fn single(workspace: &Path) -> Result<()> {
    const REQUESTS: usize = 10_000;
    let batch = requests::batch(1100, 1024)?;
    let broker = start_broker(workspace);
    Client::connect(broker.address())?.create_topic("bench", 1, &[])?;
    let limit = Limit::start("echo-append", &workspace.join("limit"), 1 << 30)?;
    let frame = requests::produce("bench", &[0], 1, &batch)?;
    let (mut ours, mut least) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        for (process, address, rounds) in
            [(broker.id(), broker.address(), &mut ours), (limit.id(), limit.address, &mut least)]
        {
            let load = Load { address, connections: 1, in_flight: 1 };
            rounds.push(Round::measure(process, || {
                load.produce(REQUESTS, |_| vec![&frame])?;
                Ok(REQUESTS as f64)
            })?);
        }
    }
    println!("one acks=1 produce of 1 KiB at a time");
    print_line("ottla", &ours, "requests/s", 1.0, "CPU us", MICRO);
    print_line("echo + append", &least, "requests/s", 1.0, "CPU us", MICRO);
    println!("CPU ratio {:.2}", ours.cpu_ratio(&least));
    broker.kill();
    std::fs::remove_dir_all(workspace.join("data"))?;
    Ok(())
}

/// Group commit: every answer waits for a sync that covers it, beside the same with nothing else.
fn group(workspace: &Path) -> Result<()> {
    const PERIOD: Duration = Duration::from_secs(1);
    let batch = requests::batch(16 * 1024, 1024)?;
    let broker = start_broker(workspace);
    Client::connect(broker.address())?.create_topic("bench", 1, &[("ottla.flush.policy", "group")])?;
    let limit = Limit::start("group-sync", &workspace.join("limit"), 4 << 30)?;
    let frame = requests::produce("bench", &[0], -1, &batch)?;
    for connections in [64, 1] {
        let (mut ours, mut least) = (Rounds::default(), Rounds::default());
        let began = now();
        let mut count = 100;
        for round in 0..=ROUNDS {
            for (process, address, rounds) in
                [(broker.id(), broker.address(), &mut ours), (limit.id(), limit.address, &mut least)]
            {
                let load = Load { address, connections, in_flight: 1 };
                let measured = Round::measure(process, || {
                    load.produce(count, |_| vec![&frame])?;
                    Ok((count * connections) as f64)
                })?;
                // The first round only says how long the others have to be.
                if round > 0 {
                    rounds.push(measured);
                }
            }
            if round == 0 {
                count =
                    (count as f64 * PERIOD.as_secs_f64() / began.elapsed().as_secs_f64() * 2.0) as usize + 1;
            }
        }
        println!("acks=all with fsync, 16 KiB batches, {connections} connections with one request each");
        print_line("ottla", &ours, "acks/s", 1.0, "CPU us/ack", MICRO);
        print_line("receive + append + fdatasync", &least, "acks/s", 1.0, "CPU us/ack", MICRO);
        println!("rate {:.2} of the limit's", ours.rate() / least.rate());
    }
    broker.kill();
    std::fs::remove_dir_all(workspace.join("data"))?;
    Ok(())
}
