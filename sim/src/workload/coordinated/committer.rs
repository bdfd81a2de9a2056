//! Committing, and asking what was committed; and somebody who commits for a group without members.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::Use;
use crate::client::{CallError, Client, Committed, Membership, ToCommit, is_refusal};
use crate::history::{Commit, CommitOutcome, CommitSeen, TopicPartition};
use crate::marks::Mark;
use crate::workload::{Phase, World};

/// Commits offsets, once, and puts it into the history. Given back are the error codes.
pub(super) async fn commit(
    world: &World,
    client: &Client,
    who: &Membership,
    offsets: &BTreeMap<TopicPartition, i64>,
    version: i16,
    is_classic: bool,
) -> Result<BTreeMap<TopicPartition, i16>, CallError> {
    let commits: Vec<ToCommit> = offsets
        .iter()
        .map(|(of, offset)| ToCommit { of: *of, offset: *offset, tag: world.coordination.next_tag() })
        .collect();
    let first = {
        let mut history = world.history.lock();
        let invoked = history.tick();
        let first = history.commits.len();
        for commit in &commits {
            history.commits.push(Commit {
                tag: commit.tag,
                group: who.group.clone(),
                of: commit.of,
                offset: commit.offset,
                generation: Some(who.generation).filter(|generation| is_classic && *generation >= 0),
                transaction: None,
                boot: client.boot(),
                invoked,
                outcome: CommitOutcome::Unknown,
            });
        }
        first
    };
    let names = world.coordination.names();
    let codes = client.commit_offsets(who, &commits, &names, version).await?;
    let mut history = world.history.lock();
    let at = history.tick();
    for (index, commit) in (first..).zip(&commits) {
        let outcome = match codes.get(&commit.of).copied() {
            Some(0) => CommitOutcome::Acknowledged { at, boot: client.boot() },
            Some(code) if is_refusal(code) => CommitOutcome::Refused { code },
            _ => CommitOutcome::Unknown,
        };
        history.commits[index].outcome = outcome;
    }
    drop(history);
    if codes.values().any(|code| *code == 0) {
        world.marks.hit(Mark::CommitAcknowledged);
    }
    Ok(codes)
}

/// Asks what a group has committed, and puts the answer into the history. None where the answer is an error for all of it;
/// partitions with an error of their own (a transaction is about to end) are left out.
pub(super) async fn committed(
    world: &World,
    client: &Client,
    group: &str,
    of: &[TopicPartition],
) -> Result<Option<BTreeMap<TopicPartition, Committed>>, CallError> {
    let invoked = world.history.tick();
    let names = world.coordination.names();
    let (code, found) = client.committed_offsets(group, of, &names).await?;
    let mut history = world.history.lock();
    let completed = history.tick();
    if code != 0 {
        if !ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) {
            history.unexpected(None, format!("OffsetFetch of group {group} got error {code}"));
        }
        return Ok(None);
    }
    let mut told = BTreeMap::new();
    for (of, committed) in found {
        match committed {
            Ok(committed) => {
                let group = group.to_owned();
                let boot = client.boot();
                history.commits_seen.push(CommitSeen { group, of, committed, boot, invoked, completed });
                told.insert(of, committed);
            }
            Err(code) if code == ErrorCode::UnstableOffsetCommit.code() => {}
            Err(code) => {
                history.unexpected(Some(of), format!("OffsetFetch of group {group} got error {code}"));
            }
        }
    }
    Ok(Some(told))
}

/// What an error of a call means: unreadable answers go into the history.
pub(super) fn report(world: &World, error: CallError) {
    if let CallError::Unreadable(text) = error {
        world.history.lock().unexpected(None, text);
    }
}

/// Commits for a group that has no members, and looks, until the run drains.
pub(super) async fn commit_without_members(
    world: Arc<World>,
    group: String,
    pause_max: Duration,
    mut rng: Rng,
) {
    let partitions = world.coordination.partitions(&[Use::Groups]);
    let who = Membership { group: group.clone(), member: String::new(), generation: -1, instance: None };
    let mut client: Option<Client> = None;
    let mut next = 0;
    while world.phase() == Phase::Running {
        let Some(connected) = &client else {
            client = world.connect(&mut rng).await;
            continue;
        };
        let mut offsets = BTreeMap::new();
        for of in &partitions {
            if rng.chance(1, 2) {
                next += 1;
                offsets.insert(*of, next);
            }
        }
        let version = 2 + i16::try_from(rng.below(9)).expect("small");
        let done = async {
            match rng.chance(2, 3) && !offsets.is_empty() {
                true => commit(&world, connected, &who, &offsets, version, false).await.map(|codes| {
                    let odd = codes.values().copied().find(|code| {
                        *code != 0 && !ErrorCode::from_code(*code).is_some_and(ErrorCode::is_retriable)
                    });
                    if let Some(code) = odd {
                        let text = format!("OffsetCommit {version} of group {group} got error {code}");
                        world.history.lock().unexpected(None, text);
                    }
                }),
                false => committed(&world, connected, &group, &partitions).await.map(drop),
            }
        };
        if let Err(error) = done.await {
            report(&world, error);
            client = None;
        }
        world.pause(Duration::from_micros(rng.below(pause_max.as_micros() as u64 + 1))).await;
    }
}
