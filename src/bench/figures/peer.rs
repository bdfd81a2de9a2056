//! Side by side with another broker on this machine, in alternating rounds of the same loads.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ottla_protocol::record::Compression;

use super::produced::{ROUND_BYTES, cpu_and_rate, pair};
use super::read::{LOG_BYTES, ROUND_FETCHES, fill_and_plan, one_at_a_time};
use super::subject::{Peer, Production, Setting, TOPIC};
use super::{Figure, Target};
use crate::bench::batches::batch;
use crate::bench::control::Control;
use crate::bench::load;
use crate::bench::options::Acks;
use crate::bench::rounds::{Contender, Round, Rounds, alternate};
use crate::bench::server::Resident;
use crate::bench::server_process::ServerProcess;

/// How long a peer gets to remove what was deleted.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures both. `process` is the peer's, if it isn't to be found by its port.
pub(crate) fn side_by_side(
    setting: &Setting<'_>,
    address: &str,
    process: Option<u32>,
) -> Result<Vec<Figure>> {
    let control = Control::connect(address)?;
    let process = match ServerProcess::find(process, control.address()) {
        ServerProcess::Known(process) => process,
        ServerProcess::Unknown(why) => anyhow::bail!("the peer's CPU is unknown: {why}; say --peer-pid"),
    };
    let peer = Peer { address: address.to_owned(), process };
    let mut figures = produced(setting, &peer)?;
    figures.push(fetched(setting, &peer)?);
    for (partitions, in_flight, least) in [(1, 5, None), (1, 20, Some(1.0)), (12, 20, Some(0.8))] {
        figures.push(synced(setting, &peer, (partitions, in_flight), least)?);
    }
    let theirs = Resident::of(peer.process)?.now;
    let ours = setting.peak_resident_mib().context("brokers of ours have run")?;
    figures.push(Figure {
        section: "peer",
        name: "resident memory over the peer's".to_owned(),
        value: ours / theirs,
        target: Some(Target::AtMost(0.1)),
        detail: format!("{ours:.0} MiB at most | {theirs:.0} MiB now"),
    });
    Ok(figures)
}

/// Neither syncs: what the work costs.
fn produced(setting: &Setting<'_>, peer: &Peer) -> Result<Vec<Figure>> {
    let batch = batch(64 * 1024, 1024, Compression::NONE)?;
    let production = Production {
        partitions: 12,
        batch: &batch,
        acks: Acks::Leader,
        connections: 4,
        in_flight: 5,
        until: Production::count_for(ROUND_BYTES, 4, &batch),
    };
    let (ours, theirs) = rounds_of_both(setting, peer, &production, "os")?;
    let figure = |what: &str, value, target| Figure {
        section: "peer",
        name: format!("produce, 12 partitions, os: {what} over the peer's"),
        value,
        target,
        detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&theirs)),
    };
    let user = ours.ratio(&theirs, |round| round.cpu_per_gigabyte().user);
    let total = ours.ratio(&theirs, |round| round.cpu_per_gigabyte().total);
    Ok(vec![figure("user CPU/GB", user, Some(Target::AtMost(0.25))), figure("CPU/GB", total, None)])
}

/// Ours waits for the disk before each answer, the peer does what it does by default.
fn synced(
    setting: &Setting<'_>,
    peer: &Peer,
    (partitions, in_flight): (i32, usize),
    least: Option<f64>,
) -> Result<Figure> {
    let batch = batch(64 * 1024, 1024, Compression::NONE)?;
    let production = Production {
        partitions,
        batch: &batch,
        acks: Acks::All,
        connections: 4,
        in_flight,
        until: Production::count_for(ROUND_BYTES, 4, &batch),
    };
    let (ours, theirs) = rounds_of_both(setting, peer, &production, "group")?;
    let (what, all) = (if partitions == 1 { "partition" } else { "partitions" }, 4 * in_flight);
    Ok(Figure {
        section: "peer",
        name: format!("acks=all, {partitions} {what}, {all} in flight, fsync in ours: MB/s over the peer's"),
        value: ours.ratio(&theirs, Round::megabytes_per_second),
        target: least.map(Target::AtLeast),
        detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&theirs)),
    })
}

fn rounds_of_both(
    setting: &Setting<'_>,
    peer: &Peer,
    production: &Production<'_>,
    policy: &str,
) -> Result<(Rounds, Rounds)> {
    // A JVM is at its best only after a while.
    production.round_on_peer(setting, peer)?;
    let mut contenders = [
        Contender::new("ottla", || production.round_on_own(setting, policy)),
        Contender::new("the peer", || production.round_on_peer(setting, peer)),
    ];
    Ok(pair(alternate(setting.rounds, &mut contenders)?))
}

/// Fetches of 1 MiB.
fn fetched(setting: &Setting<'_>, peer: &Peer) -> Result<Figure> {
    let batch = batch(64 * 1024, 1024, Compression::NONE)?;
    let broker = setting.broker("os")?;
    let ours = Control::connect(&broker.address.to_string())?;
    let theirs = Control::connect(&peer.address)?;
    let (our_leader, our_plan) = fill_and_plan(setting, &ours, &batch, LOG_BYTES)?;
    let (their_leader, their_plan) = fill_and_plan(setting, &theirs, &batch, LOG_BYTES)?;
    let pace = one_at_a_time(ROUND_FETCHES);
    let mut contenders = [
        Contender::new("ottla", || {
            setting.label("ottla");
            let lanes = [our_plan.lane(our_leader)];
            Round::measure(Some(broker.id()), || load::run(&lanes, pace, setting.progress))
        }),
        Contender::new("the peer", || {
            setting.label("the peer");
            let lanes = [their_plan.lane(their_leader)];
            Round::measure(Some(peer.process), || load::run(&lanes, pace, setting.progress))
        }),
    ];
    let measured = alternate(setting.rounds, &mut contenders);
    drop(contenders);
    theirs.delete_topic(TOPIC)?;
    thread::sleep(SETTLE);
    let (ours, theirs) = pair(measured?);
    setting.note_memory(&broker)?;
    Ok(Figure {
        section: "peer",
        name: "fetch of 1 MiB: CPU/GB over the peer's".to_owned(),
        value: ours.ratio(&theirs, |round| round.cpu_per_gigabyte().total),
        target: Some(Target::AtMost(1.0)),
        detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&theirs)),
    })
}
