//! The checker of coordinators and compaction: a good history is accepted, and each kind of damage is called by its name.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::types::TopicId;
use ottla_runtime::MonotonicTime;
use ottla_sim::checker::check;
use ottla_sim::history::{
    Boot, BootEnd, Commit, CommitOutcome, CommitSeen, CommitTag, Consumed, Ending, FinalMember,
    GroupProtocol, History, Hold, Isolation, Joined, KeyedSend, LogRead, LoggedBatch, LoggedRecord, Moment,
    TopicPartition, Transaction, TransactionEnd, TransactionProtocol, TransactionalSend, ValueId,
};

const SHARED: TopicPartition = TopicPartition { topic: TopicId([1; 16]), index: 0 };
const LEDGER: TopicPartition = TopicPartition { topic: TopicId([2; 16]), index: 0 };
const OTHER: TopicPartition = TopicPartition { topic: TopicId([2; 16]), index: 1 };
const KEYS: TopicPartition = TopicPartition { topic: TopicId([3; 16]), index: 0 };
const BOOT: Boot = Boot(1);

fn value(number: u64) -> ValueId {
    ValueId { producer: 1, number }
}

fn commit(history: &mut History, tag: u64, offset: i64) {
    let (invoked, at) = (history.tick(), history.tick());
    history.commits.push(Commit {
        tag: CommitTag(tag),
        group: "g".to_owned(),
        of: SHARED,
        offset,
        generation: Some(1),
        transaction: None,
        boot: BOOT,
        invoked,
        outcome: CommitOutcome::Acknowledged { at, boot: BOOT },
    });
}

fn ask(history: &mut History, committed: Option<(u64, i64)>) {
    let (invoked, completed) = (history.tick(), history.tick());
    let committed = committed.map(|(tag, offset)| (CommitTag(tag), offset));
    history.commits_seen.push(CommitSeen {
        group: "g".to_owned(),
        of: SHARED,
        committed,
        boot: BOOT,
        invoked,
        completed,
    });
}

fn hold(history: &mut History, protocol: GroupProtocol, member: &str, generation: i32, of: TopicPartition) {
    let at = history.tick();
    let from = MonotonicTime(at.0);
    let (group, member) = ("g".to_owned(), member.to_owned());
    let partitions = BTreeSet::from([of]);
    let until = Some(MonotonicTime(at.0 + 1));
    history.holds.push(Hold {
        group,
        protocol,
        member,
        instance: None,
        generation,
        partitions,
        boot: BOOT,
        at,
        from,
        until,
    });
}

fn batch(offset: i64, producer_id: i64, values: &[u64]) -> LoggedBatch {
    let records = values.iter().zip(offset..).map(|(number, offset)| LoggedRecord {
        offset,
        key: None,
        is_tombstone: false,
        value: Ok(value(*number)),
    });
    LoggedBatch {
        base_offset: offset,
        last_offset: offset + values.len() as i64 - 1,
        producer_id,
        producer_epoch: 0,
        transactional: true,
        marker: None,
        records: records.collect(),
    }
}

fn marker(offset: i64, producer_id: i64, commits: bool) -> LoggedBatch {
    LoggedBatch { marker: Some(commits), last_offset: offset, ..batch(offset, producer_id, &[]) }
}

fn read(
    history: &mut History,
    of: TopicPartition,
    isolation: Isolation,
    aborted: &[(i64, i64)],
    batches: Vec<LoggedBatch>,
) {
    let (invoked, completed) = (history.tick(), history.tick());
    let end = batches.last().map_or(0, |batch| batch.last_offset + 1);
    history.log_reads.push(LogRead {
        boot: BOOT,
        of,
        isolation,
        invoked,
        completed,
        took_ms: 1,
        from: 0,
        log_start: 0,
        high_watermark: end,
        last_stable_offset: end,
        settled: true,
        aborted: aborted.to_vec(),
        batches,
    });
}

fn read_both(history: &mut History, of: TopicPartition, aborted: &[(i64, i64)], batches: &[LoggedBatch]) {
    read(history, of, Isolation::ReadUncommitted, &[], batches.to_vec());
    read(history, of, Isolation::ReadCommitted, aborted, batches.to_vec());
}

/// Three transactions: committed in both partitions, aborted in both, and one whose end nobody knows.
fn transactions(history: &mut History) {
    for (index, commits) in [(0, true), (1, false), (2, true)] {
        let (invoked, asked, at) = (history.tick(), history.tick(), history.tick());
        let end = match index {
            2 => TransactionEnd::Unknown { commits, invoked: asked },
            _ => TransactionEnd::Ended { commits, invoked: asked, at, boot: BOOT },
        };
        history.transactions.push(Transaction {
            transactional_id: "t".to_owned(),
            session: ottla_sim::history::Session { id: 7, epoch: 0 },
            protocol: TransactionProtocol::One,
            invoked,
            is_zombie: false,
            end,
        });
        for (to, number) in [(LEDGER, 2 * index as u64), (OTHER, 2 * index as u64 + 1)] {
            history.transactional_sends.push(TransactionalSend {
                transaction: index,
                to,
                first: value(number),
                count: 1,
                base_offset: Some(2 * index as i64),
            });
        }
        let (from, to) = (10 * (index as i64 / 2), 10 * (index as i64 / 2) + 10);
        history.consumed.push(Consumed {
            transaction: index,
            group: "intake".to_owned(),
            of: SHARED,
            from,
            to,
        });
    }
    for (of, first) in [(LEDGER, 0), (OTHER, 1)] {
        let batches = [
            batch(0, 7, &[first]),
            marker(1, 7, true),
            batch(2, 7, &[first + 2]),
            marker(3, 7, false),
            batch(4, 7, &[first + 4]),
            marker(5, 7, true),
        ];
        read_both(history, of, &[(7, 2)], &batches);
    }
}

/// Key 1 set twice, key 2 set and deleted; the first value of key 1 has been compacted away.
fn keys(history: &mut History) {
    for (number, key, is_tombstone) in [(100, 1, false), (101, 2, false), (102, 1, false), (103, 2, true)] {
        let (invoked, at) = (history.tick(), history.tick());
        history.keyed.push(KeyedSend {
            to: KEYS,
            key,
            value: value(number),
            is_tombstone,
            transaction: None,
            invoked,
            acknowledged: Some((number as i64 - 100, at)),
        });
    }
    let batches = [keyed(2, 1, 102, false), keyed(3, 2, 103, true)];
    read_both(history, KEYS, &[], &batches);
}

fn keyed(offset: i64, key: u32, number: u64, is_tombstone: bool) -> LoggedBatch {
    let mut batch = batch(offset, 8, &[number]);
    batch.transactional = false;
    batch.records[0].key = Some(key);
    batch.records[0].is_tombstone = is_tombstone;
    batch
}

fn good() -> History {
    let mut history = History::default();
    hold(&mut history, GroupProtocol::Classic, "a", 1, SHARED);
    commit(&mut history, 1, 5);
    ask(&mut history, Some((1, 5)));
    commit(&mut history, 2, 9);
    ask(&mut history, Some((2, 9)));
    hold(&mut history, GroupProtocol::Classic, "b", 2, SHARED);
    hold(&mut history, GroupProtocol::Consumer, "c", 1, SHARED);
    hold(&mut history, GroupProtocol::Consumer, "d", 2, SHARED);
    history.shared_out = BTreeMap::from([("g".to_owned(), BTreeSet::from([SHARED]))]);
    history.final_members.push(FinalMember {
        group: "g".to_owned(),
        member: "b".to_owned(),
        generation: 2,
        partitions: BTreeSet::from([SHARED]),
    });
    transactions(&mut history);
    keys(&mut history);
    history
}

fn check_damage(anomaly: &str, damage: impl FnOnce(&mut History)) {
    let mut history = good();
    damage(&mut history);
    let found: Vec<_> = check(&history).into_iter().map(|violation| violation.anomaly).collect();
    assert!(found.contains(&anomaly), "{anomaly} expected, found {found:?}");
}

/// The committed read of a partition at the end.
fn committed_read(history: &mut History, of: TopicPartition) -> &mut LogRead {
    let reads = history.log_reads.iter_mut();
    reads.rev().find(|read| read.of == of && read.isolation == Isolation::ReadCommitted).expect("it is there")
}

#[test]
fn a_good_history_is_accepted() {
    assert_eq!(check(&good()), []);
}

#[test]
fn a_commit_that_is_lost_is_found() {
    check_damage("lost-commit", |history| ask(history, None));
}

#[test]
fn a_commit_that_goes_back_is_found() {
    check_damage("commit-regression", |history| ask(history, Some((1, 5))));
}

#[test]
fn a_commit_that_nobody_made_is_found() {
    check_damage("phantom-commit", |history| ask(history, Some((77, 5))));
    check_damage("phantom-commit", |history| ask(history, Some((2, 8))));
}

#[test]
fn a_commit_that_was_refused_and_counts_is_found() {
    check_damage("uncommitted-commit", |history| {
        history.commits[1].outcome = CommitOutcome::Refused { code: 22 };
    });
}

#[test]
fn a_commit_of_unknown_fate_may_come_late_but_not_after_its_broker_has_ended() {
    let mut history = good();
    history.commits[0].outcome = CommitOutcome::Unknown;
    history.commits_seen.remove(0);
    ask(&mut history, Some((1, 5)));
    assert_eq!(check(&history), []);
    let at = Moment(history.commits[1].invoked.0 - 1);
    let (boot, ending) = (BOOT, Ending::Kill);
    history.boot_ends.push(BootEnd { boot, ending, at, durable_ends: BTreeMap::new() });
    assert_eq!(check(&history)[0].anomaly, "commit-regression");
}

#[test]
fn a_commit_of_a_transaction_counts_once_that_is_committed() {
    let belongs = |index: usize| {
        move |history: &mut History| {
            history.commits[1].transaction = Some(index);
            let (invoked, at) = (history.tick(), history.tick());
            history.transactions[index].end =
                TransactionEnd::Ended { commits: index == 0, invoked, at, boot: BOOT };
            ask(history, Some((2, 9)));
        }
    };
    check_damage("uncommitted-commit", belongs(0));
    check_damage("uncommitted-commit", belongs(1));
}

#[test]
fn a_commit_from_a_generation_that_is_over_is_found() {
    check_damage("zombie-commit", |history| commit(history, 3, 10));
}

#[test]
fn a_partition_that_two_members_of_a_generation_hold_is_found() {
    check_damage("held-twice", |history| hold(history, GroupProtocol::Classic, "x", 2, SHARED));
}

/// A generation that a power cut took may come again, also where word of it arrives after the cut.
#[test]
fn an_answer_belongs_to_the_life_of_the_broker_that_gave_it() {
    let mut history = good();
    history.coordinators_under_os = true;
    let (boot, ending, at) = (BOOT, Ending::PowerCut, history.tick());
    history.boot_ends.push(BootEnd { boot, ending, at, durable_ends: BTreeMap::new() });
    hold(&mut history, GroupProtocol::Classic, "late", 4, OTHER);
    commit(&mut history, 3, 10);
    let last = history.commits.last_mut().expect("it is there");
    let CommitOutcome::Acknowledged { at, .. } = last.outcome else { panic!("it was acknowledged") };
    (last.generation, last.boot) = (Some(3), Boot(2));
    last.outcome = CommitOutcome::Acknowledged { at, boot: Boot(2) };
    hold(&mut history, GroupProtocol::Classic, "again", 4, OTHER);
    history.holds.last_mut().expect("it is there").boot = Boot(2);
    assert_eq!(check(&history), []);
    history.holds.last_mut().expect("it is there").boot = BOOT;
    assert_eq!(check(&history)[0].anomaly, "held-twice");
}

#[test]
fn a_partition_that_two_members_hold_at_one_time_is_found() {
    check_damage("held-twice", |history| {
        hold(history, GroupProtocol::Consumer, "x", 3, SHARED);
        let from = history.holds.last().expect("it is there").from;
        let earlier = history.holds.iter_mut().find(|hold| hold.member == "d").expect("it is there");
        earlier.until = Some(MonotonicTime(from.0 + 1));
    });
}

#[test]
fn two_leaders_of_one_generation_are_found() {
    check_damage("two-leaders", |history| {
        for member in ["a", "b"] {
            let (invoked, completed) = (history.tick(), history.tick());
            let (group, member) = ("g".to_owned(), member.to_owned());
            history.joined.push(Joined {
                group,
                member,
                instance: None,
                generation: 2,
                leads: true,
                has_assigned: true,
                boot: BOOT,
                invoked,
                completed,
            });
        }
    });
}

#[test]
fn a_group_that_does_not_converge_is_found() {
    check_damage("group-not-converged", |history| history.final_members[0].partitions.clear());
    check_damage("group-not-converged", |history| {
        let member = FinalMember { generation: 3, ..history.final_members[0].clone() };
        history.final_members.push(member);
    });
}

#[test]
fn a_committed_transaction_that_is_gone_is_found() {
    check_damage("lost-transaction", |history| committed_read(history, LEDGER).aborted.push((7, 0)));
}

#[test]
fn a_torn_transaction_is_found() {
    check_damage("torn-transaction", |history| committed_read(history, LEDGER).aborted.push((7, 4)));
}

#[test]
fn an_aborted_record_that_is_read_is_found() {
    check_damage("aborted-read", |history| committed_read(history, LEDGER).aborted.clear());
    check_damage("aborted-read", |history| history.transactions[0].end = TransactionEnd::Never);
}

#[test]
fn a_commit_by_a_zombie_is_found() {
    check_damage("zombie-end", |history| history.transactions[0].is_zombie = true);
}

#[test]
fn two_outcomes_are_found() {
    check_damage("two-outcomes", |history| {
        for read in history.log_reads.iter_mut().filter(|read| read.of == OTHER) {
            read.batches[5].marker = Some(false);
        }
    });
}

#[test]
fn a_record_read_before_its_commit_is_found() {
    check_damage("precommitted-read", |history| {
        let (invoked, at) = (history.tick(), history.tick());
        history.transactions[0].end = TransactionEnd::Ended { commits: true, invoked, at, boot: BOOT };
    });
}

#[test]
fn a_transactional_record_that_is_elsewhere_gone_or_twice_is_found() {
    check_damage("inconsistent-offset", |history| history.transactional_sends[0].base_offset = Some(9));
    check_damage("lost-write", |history| {
        let read = history.log_reads.iter_mut().find(|read| read.of == LEDGER).expect("it is there");
        read.batches.remove(2);
    });
    check_damage("duplicate", |history| {
        let read = history.log_reads.iter_mut().find(|read| read.of == LEDGER).expect("it is there");
        read.batches.push(batch(6, 7, &[0]));
    });
}

#[test]
fn a_stable_offset_that_is_stuck_goes_back_or_too_far_is_found() {
    check_damage("stuck-stable-offset", |history| committed_read(history, LEDGER).last_stable_offset = 2);
    check_damage("stable-offset-regression", |history| {
        committed_read(history, LEDGER).last_stable_offset = 2;
    });
    check_damage("stable-offset-too-far", |history| committed_read(history, LEDGER).last_stable_offset = 99);
}

#[test]
fn input_that_is_taken_in_twice_or_never_is_found() {
    check_damage("input-twice", |history| history.consumed[2].from = 9);
    check_damage("input-lost", |history| history.consumed[2].from = 11);
}

#[test]
fn a_latest_value_that_is_gone_is_found() {
    check_damage("lost-latest-value", |history| drop(committed_read(history, KEYS).batches.remove(0)));
    check_damage("lost-latest-value", |history| {
        committed_read(history, KEYS).batches[0] = keyed(0, 1, 100, false);
    });
}

#[test]
fn a_deleted_key_that_comes_back_is_found() {
    check_damage("resurrected-key", |history| {
        committed_read(history, KEYS).batches = vec![keyed(1, 2, 101, false), keyed(2, 1, 102, false)];
    });
    let mut history = good();
    committed_read(&mut history, KEYS).batches.pop();
    assert_eq!(check(&history), [], "a tombstone may go");
}

#[test]
fn an_offset_that_compaction_changed_is_found() {
    check_damage("offset-changed", |history| {
        committed_read(history, KEYS).batches[0] = keyed(1, 1, 102, false);
    });
}
