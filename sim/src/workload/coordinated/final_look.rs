//! Once faults are over: waits until groups and transactions have come to rest, and looks at everything.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_runtime::Rng;

use super::Use;
use super::committer::committed;
use super::log_reader::read_to_end;
use crate::checker::converged;
use crate::client::Client;
use crate::history::{FinalMember, Isolation, TopicPartition};
use crate::workload::World;

/// How long groups and transactions may take to come to rest, in virtual time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under `os` a power cut may leave a transaction open for good, and there is no use in waiting long.
const PATIENCE_UNDER_OS: Duration = Duration::from_secs(5);

/// Waits until every group has converged and no partition has an open transaction, or patience is over; what is found
/// then the checker judges.
pub(crate) async fn settle(world: &World, rng: &mut Rng) -> Result<(), String> {
    let began = world.runtime.clock.now();
    let under_os = world.history.lock().coordinators_under_os;
    let (patience, deadline) = (if under_os { PATIENCE_UNDER_OS } else { PATIENCE }, began.after(PATIENCE));
    loop {
        let now = world.runtime.clock.now();
        let members = world.coordination.board.members();
        let groups_rest = members.as_ref().is_some_and(|groups| {
            let history = world.history.lock();
            groups.iter().all(|(group, members)| {
                let members: Vec<&FinalMember> = members.iter().collect();
                history.shared_out.get(group).is_none_or(|wanted| converged(&members, wanted).is_ok())
            })
        });
        let client = world.connect(rng).await.ok_or("the run is over")?;
        let waits_in_vain = began.after(patience) <= now;
        let rest = groups_rest && (waits_in_vain || no_open_transaction(world, &client).await?);
        if rest || deadline <= now {
            let members = members.ok_or("a member can't join its group")?;
            world.history.lock().final_members = members.into_values().flatten().collect();
            return Ok(());
        }
        world.runtime.clock.sleep(Duration::from_millis(100)).await;
    }
}

async fn no_open_transaction(world: &World, client: &Client) -> Result<bool, String> {
    for of in partitions(world) {
        let fetched = client.fetch_log(of, 0, Isolation::ReadCommitted).await;
        let fetched = fetched.map_err(|error| format!("{of}: {error}"))?;
        if fetched.code == 0 && fetched.last_stable_offset < fetched.high_watermark {
            return Ok(false);
        }
    }
    Ok(true)
}

fn partitions(world: &World) -> Vec<TopicPartition> {
    world.coordination.partitions(&[Use::Transactions, Use::Keys, Use::TransactionalKeys])
}

/// Reads every partition whole, with both isolations, and asks every group for its offsets; nobody writes any more.
pub(crate) async fn look_at_all(world: &World, groups: &[String], rng: &mut Rng) -> Result<(), String> {
    let client = world.connect(rng).await.ok_or("the run is over")?;
    for of in partitions(world) {
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let read = read_to_end(world, &client, of, 0, isolation, true).await;
            let read = read.map_err(|error| format!("{of}: {error}"))?;
            let read = read.map_err(|text| format!("{of} ({isolation:?}): {text}"))?;
            world.history.lock().log_reads.push(read);
        }
    }
    let of = world.coordination.partitions(&[Use::Groups]);
    for group in groups {
        let mut left: BTreeMap<TopicPartition, ()> = of.iter().map(|of| (*of, ())).collect();
        for attempt in 0.. {
            let asked: Vec<_> = left.keys().copied().collect();
            let found = committed(world, &client, group, &asked).await;
            let found = found.map_err(|error| format!("the offsets of group {group}: {error}"))?;
            for (of, _) in found.into_iter().flatten() {
                left.remove(&of);
            }
            if left.is_empty() {
                break;
            }
            // After a power cut under `os` the end of a transaction may be unknown for good.
            if attempt == 100 && !world.history.lock().coordinators_under_os {
                return Err(format!("group {group} doesn't get to know what it has committed"));
            }
            if attempt == 100 {
                break;
            }
            world.runtime.clock.sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
