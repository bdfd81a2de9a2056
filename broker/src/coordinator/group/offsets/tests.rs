//! Offsets as scripts of events, one a line, and what is answered.
//!
//! * `commit G OFFSET [key=value ..]`: `generation`, `member`, `version`, `retention`, `metadata` (its length), `topic`.
//! * `txn P.E G OFFSET [key=value ..]`: producer P of epoch E commits within its transaction; `generation`, `member`,
//!   `metadata`. `begin P` takes a guard, `txn P.E G OFFSET guarded` uses it.
//! * `end P.E commit|abort [tv=2] [coordinator=N]`: a marker.
//! * `fetch G [stable] [all]`, `delete G`, `delete-offset G`, `list [STATE]`, `wait HOURS`, `drop-topic`, `reload`.
//!
//! Topic `t` has two partitions; everything is about its partition 0.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::super::core::GroupCore;
use super::super::record::GroupRecord;
use super::super::request::{GroupAnswer, GroupRequest};
use super::super::turn::{GroupEffects, GroupWorld};
use super::CommitGuard;
use crate::config::GroupsConfig;
use crate::controller::{MetadataImage, MetadataRecord, PartitionRecord};
use crate::coordinator::core::{Append, Core, Effect, Now, ProducerSession, Ticket};

const TOPIC: TopicId = TopicId([7; 16]);

/// An image with topic `t`.
fn image_with_topic() -> MetadataImage {
    let mut image = MetadataImage::default();
    let topic = MetadataRecord::Topic { id: TOPIC, name: "t".to_owned(), partition_count: 1 };
    image.apply(&topic).expect("it can be applied");
    let partition = PartitionRecord {
        topic: TOPIC,
        index: PartitionIndex(0),
        replicas: Vec::new(),
        directories: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        leader: None,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
    };
    image.apply(&MetadataRecord::Partition(partition)).expect("it can be applied");
    image
}

struct Play {
    core: GroupCore,
    world: GroupWorld,
    now: Now,
    /// Everything that was appended, as a restart would find it.
    log: Vec<Append<GroupRecord>>,
    guard: Option<CommitGuard>,
    said: String,
}

impl Play {
    fn new() -> Play {
        let world = GroupWorld {
            image: Arc::new(image_with_topic()),
            config: Arc::new(GroupsConfig::default()),
            record_bytes_max: 1_048_588,
        };
        let now = Now { monotonic: MonotonicTime(0), wall: WallTime(1_000_000_000_000) };
        let mut play = Play {
            core: GroupCore::default(),
            world,
            now,
            log: Vec::new(),
            guard: None,
            said: String::new(),
        };
        let mut effects = GroupEffects::default();
        play.core.on_loaded(play.now, &play.world, &mut effects);
        play
    }

    fn take(&mut self, effects: GroupEffects) -> Option<GroupAnswer> {
        let mut answered = None;
        for effect in effects.list {
            match effect {
                Effect::Append(append) => self.log.push(append),
                Effect::Answer { answer, .. } => answered = Some(answer),
                Effect::Other(never) => match never {},
            }
        }
        answered
    }

    fn ask(&mut self, request: GroupRequest) -> GroupAnswer {
        let mut effects = GroupEffects::default();
        self.core.on_request(self.now, &self.world, Ticket(1), request, &mut effects);
        self.take(effects).expect("it is answered at once")
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = |name: &str| {
            words.iter().find_map(|word| word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
        };
        let number = |name: &str| value(name).map(|text| text.parse::<i64>().expect("a number"));
        let said = match words[..] {
            ["commit", group, offset, ..] => {
                let row = OffsetCommitRequestPartition {
                    committed_offset: offset.parse().expect("an offset"),
                    committed_metadata: number("metadata").map(|len| Str::from("m".repeat(len as usize))),
                    ..Default::default()
                };
                let name = Str::from(value("topic").unwrap_or("t").to_owned());
                let topic = OffsetCommitRequestTopic { name, topic_id: TOPIC, partitions: vec![row] };
                let request = OffsetCommitRequest {
                    group_id: Str::from(group.to_owned()),
                    generation_id_or_member_epoch: number("generation").unwrap_or(-1) as i32,
                    member_id: Str::from(value("member").unwrap_or("").to_owned()),
                    retention_time_ms: number("retention").unwrap_or(-1),
                    topics: vec![topic],
                    ..Default::default()
                };
                let version = number("version").unwrap_or(9) as i16;
                match self.ask(GroupRequest::OffsetCommit { version, request }) {
                    GroupAnswer::OffsetCommit(answer) => code(answer.topics[0].partitions[0].error_code),
                    other => panic!("{other:?}"),
                }
            }
            ["txn", producer, group, offset, ..] => {
                let producer = session(producer);
                let row = TxnOffsetCommitRequestPartition {
                    committed_offset: offset.parse().expect("an offset"),
                    committed_metadata: number("metadata").map(|len| Str::from("m".repeat(len as usize))),
                    ..Default::default()
                };
                let topic = TxnOffsetCommitRequestTopic { name: Str::from("t"), partitions: vec![row] };
                let request = TxnOffsetCommitRequest {
                    group_id: Str::from(group.to_owned()),
                    producer_id: producer.id.0,
                    producer_epoch: producer.epoch.0,
                    generation_id: number("generation").unwrap_or(-1) as i32,
                    member_id: Str::from(value("member").unwrap_or("").to_owned()),
                    topics: vec![topic],
                    ..Default::default()
                };
                let guard = words.contains(&"guarded").then(|| self.guard.expect("it was begun"));
                match self.ask(GroupRequest::TxnOffsetCommit { version: 4, request, guard }) {
                    GroupAnswer::TxnOffsetCommit(answer) => code(answer.topics[0].partitions[0].error_code),
                    other => panic!("{other:?}"),
                }
            }
            ["begin", producer] => {
                match self.ask(GroupRequest::BeginTxnOffsetCommit { producer: session(producer) }) {
                    GroupAnswer::BeginTxnOffsetCommit(guard) => {
                        self.guard = Some(guard);
                        if guard.is_ongoing { "ongoing".to_owned() } else { "unknown".to_owned() }
                    }
                    other => panic!("{other:?}"),
                }
            }
            ["end", producer, outcome, ..] => {
                let marker = GroupRequest::WriteMarker {
                    producer: session(producer),
                    coordinator_epoch: number("coordinator").unwrap_or(0) as i32,
                    is_commit: outcome == "commit",
                    transaction_version: number("tv").unwrap_or(0) as i8,
                };
                match self.ask(marker) {
                    GroupAnswer::WriteMarker(error) => error.name().to_owned(),
                    other => panic!("{other:?}"),
                }
            }
            ["fetch", group, ..] => {
                let topic = OffsetFetchRequestTopics {
                    name: Str::from("t"),
                    partition_indexes: vec![0],
                    ..Default::default()
                };
                let group = OffsetFetchRequestGroup {
                    group_id: Str::from(group.to_owned()),
                    topics: (!words.contains(&"all")).then(|| vec![topic]),
                    ..Default::default()
                };
                let require_stable = words.contains(&"stable");
                match self.ask(GroupRequest::OffsetFetch { group, require_stable }) {
                    GroupAnswer::OffsetFetch(answer) => match answer.topics.first() {
                        None => "nothing".to_owned(),
                        Some(topic) => {
                            let row = &topic.partitions[0];
                            format!("{} {}", row.committed_offset, code(row.error_code))
                        }
                    },
                    other => panic!("{other:?}"),
                }
            }
            ["delete", group] => {
                match self.ask(GroupRequest::DeleteGroup { group_id: Str::from(group.to_owned()) }) {
                    GroupAnswer::DeleteGroup(error) => error.name().to_owned(),
                    other => panic!("{other:?}"),
                }
            }
            ["delete-offset", group] => {
                let row = OffsetDeleteRequestPartition { partition_index: 0 };
                let topic = OffsetDeleteRequestTopic { name: Str::from("t"), partitions: vec![row] };
                let request =
                    OffsetDeleteRequest { group_id: Str::from(group.to_owned()), topics: vec![topic] };
                match self.ask(GroupRequest::OffsetDelete { request }) {
                    GroupAnswer::OffsetDelete(answer) if answer.error_code != 0 => code(answer.error_code),
                    GroupAnswer::OffsetDelete(answer) => code(answer.topics[0].partitions[0].error_code),
                    other => panic!("{other:?}"),
                }
            }
            ["list", ..] => {
                let states = words.iter().skip(1).map(|state| (*state).to_owned()).collect();
                match self.ask(GroupRequest::ListGroups { states, types: Vec::new() }) {
                    GroupAnswer::ListGroups(groups) => {
                        let names: Vec<String> = groups
                            .iter()
                            .map(|group| format!("{}:{}", group.group_id, group.group_state))
                            .collect();
                        format!("[{}]", names.join(","))
                    }
                    other => panic!("{other:?}"),
                }
            }
            ["wait", hours] => {
                let hours: u64 = hours.parse().expect("hours");
                self.now.monotonic = self.now.monotonic.after(Duration::from_secs(hours * 3600));
                self.now.wall.0 += i64::try_from(hours * 3_600_000).expect("not so long");
                let mut effects = GroupEffects::default();
                self.core.on_time(self.now, &self.world, &mut effects);
                self.take(effects);
                return;
            }
            ["drop-topic"] => {
                let mut image = MetadataImage::clone(&self.world.image);
                image.apply(&MetadataRecord::RemoveTopic { id: TOPIC }).expect("it is there");
                self.world.image = Arc::new(image);
                let mut effects = GroupEffects::default();
                self.core.on_world(self.now, &self.world, &mut effects);
                self.take(effects);
                return;
            }
            ["reload"] => {
                self.core = GroupCore::default();
                for append in &self.log {
                    self.core.replay(append);
                }
                let mut effects = GroupEffects::default();
                self.core.on_loaded(self.now, &self.world, &mut effects);
                self.take(effects);
                return;
            }
            _ => panic!("what is {line:?}?"),
        };
        writeln!(self.said, "{said}").expect("memory takes it");
    }
}

fn code(code: i16) -> String {
    ErrorCode::from_code(code).expect("a code that is known").name().to_owned()
}

fn session(text: &str) -> ProducerSession {
    let (id, epoch) = text.split_once('.').unwrap_or((text, "0"));
    ProducerSession {
        id: ProducerId(id.parse().expect("an id")),
        epoch: ProducerEpoch(epoch.parse().expect("an epoch")),
    }
}

/// Plays a script twice: as it is, and with a restart after each line, which nobody should notice.
fn check(script: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for reloads in [false, true] {
        let mut play = Play::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            play.run(line);
            if reloads && !script.contains("begin") {
                play.run("reload");
            }
        }
        assert_eq!(play.said.lines().collect::<Vec<_>>(), expected, "{script}\nreloads: {reloads}");
    }
}

#[test]
fn what_was_committed_last_is_told() {
    check(
        "fetch g \n commit g 5 \n fetch g \n commit g 3 \n fetch g \n fetch other \n fetch g all \n fetch other all",
        "-1 NONE \n NONE \n 5 NONE \n NONE \n 3 NONE \n -1 NONE \n 3 NONE \n nothing",
    );
    check("commit g -5 \n fetch g", "NONE \n -5 NONE");
}

#[test]
fn clients_that_are_no_members_commit_into_groups_without_any() {
    check("commit g 5 generation=0", "GROUP_ID_NOT_FOUND");
    check("commit g 5 generation=0 version=8", "ILLEGAL_GENERATION");
    check("commit g 5 \n commit g 6 generation=3 \n fetch g", "NONE \n UNKNOWN_MEMBER_ID \n 5 NONE");
    check("commit g 5 member=ignored \n fetch g", "NONE \n 5 NONE");
}

#[test]
fn metadata_has_a_limit() {
    check(
        "commit g 5 metadata=4096 \n commit g 6 metadata=4097 \n fetch g",
        "NONE \n OFFSET_METADATA_TOO_LARGE \n 5 NONE",
    );
    check(
        "txn 5 g 5 metadata=4096 \n txn 5 g 6 metadata=4097 \n end 5 commit \n fetch g",
        "NONE \n OFFSET_METADATA_TOO_LARGE \n NONE \n 5 NONE",
    );
}

#[test]
fn who_commits_is_looked_at_before_how_long_the_metadata_is() {
    check("commit g 5 generation=0 metadata=4097", "GROUP_ID_NOT_FOUND");
    check("commit g 5 generation=0 metadata=4097 version=8", "ILLEGAL_GENERATION");
    check("commit g 5 \n commit g 6 generation=3 metadata=4097", "NONE \n UNKNOWN_MEMBER_ID");
    check("txn 5 g 9 generation=3 metadata=4097", "ILLEGAL_GENERATION");
    check("end 5.2 commit tv=2 \n txn 5.1 g 9 metadata=4097", "NONE \n INVALID_PRODUCER_EPOCH");
}

#[test]
fn the_group_is_asked_before_the_producers_epoch() {
    let fenced = "end 5.2 commit tv=2";
    check(&format!("{fenced} \n txn 5.1 g 9 generation=3"), "NONE \n ILLEGAL_GENERATION");
    check(
        &format!("{fenced} \n commit g 1 \n txn 5.1 g 9 generation=3 member=m"),
        "NONE \n NONE \n UNKNOWN_MEMBER_ID",
    );
    check(
        &format!("{fenced} \n commit g 1 \n txn 5.1 g 9 member=m"),
        "NONE \n NONE \n INVALID_PRODUCER_EPOCH",
    );
}

#[test]
fn offsets_of_a_transaction_count_once_it_is_committed() {
    check(
        "commit g 1 \n txn 5 g 9 \n fetch g \n fetch g stable \n end 5 commit \n fetch g stable",
        "NONE \n NONE \n 1 NONE \n -1 UNSTABLE_OFFSET_COMMIT \n NONE \n 9 NONE",
    );
    check("commit g 1 \n txn 5 g 9 \n end 5 abort \n fetch g stable", "NONE \n NONE \n NONE \n 1 NONE");
    check(
        "txn 5 g 9 \n fetch g stable all \n fetch g stable",
        "NONE \n nothing \n -1 UNSTABLE_OFFSET_COMMIT",
    );
    check("txn 5 g 9 \n txn 6 g 8 \n end 6 commit \n fetch g", "NONE \n NONE \n NONE \n 8 NONE");
}

#[test]
fn a_transaction_that_ends_late_takes_nothing_newer_back() {
    check("txn 5 g 9 \n commit g 12 \n end 5 commit \n fetch g", "NONE \n NONE \n NONE \n 12 NONE");
    check("commit g 12 \n txn 5 g 9 \n end 5 commit \n fetch g", "NONE \n NONE \n NONE \n 9 NONE");
    check(
        "txn 5 g 9 \n txn 6 g 10 \n end 6 commit \n end 5 commit \n fetch g",
        "NONE \n NONE \n NONE \n NONE \n 10 NONE",
    );
}

#[test]
fn markers_end_transactions_of_their_epoch_or_an_older_one() {
    check("txn 5.1 g 9 \n end 5.0 commit \n fetch g", "NONE \n INVALID_PRODUCER_EPOCH \n -1 NONE");
    check("txn 5.1 g 9 \n end 5.2 commit tv=2 \n fetch g", "NONE \n NONE \n 9 NONE");
    check("txn 5.1 g 9 \n end 5.1 commit tv=2 \n fetch g", "NONE \n INVALID_PRODUCER_EPOCH \n -1 NONE");
    check("txn 5.1 g 9 \n end 5.2 commit tv=2 \n end 5.2 commit tv=2", "NONE \n NONE \n NONE");
    check(
        "txn 5 g 9 \n end 5 commit coordinator=3 \n txn 5 g 10 \n end 5 commit coordinator=2",
        "NONE \n NONE \n NONE \n TRANSACTION_COORDINATOR_FENCED",
    );
    // As in every other partition, the producer's epoch is looked at first.
    check(
        "txn 5.1 g 9 \n end 5.1 commit coordinator=3 \n end 5.0 commit coordinator=2 \n end 5.1 commit coordinator=2",
        "NONE \n NONE \n INVALID_PRODUCER_EPOCH \n TRANSACTION_COORDINATOR_FENCED",
    );
    check(
        "end 5.1 commit coordinator=3 \n txn 5.1 g 9 \n end 5.1 commit tv=2 coordinator=2",
        "NONE \n NONE \n INVALID_PRODUCER_EPOCH",
    );
}

#[test]
fn a_late_commit_opens_no_transaction() {
    // Where each transaction has its epoch, that tells.
    check("end 5.2 commit tv=2 \n txn 5.1 g 9 \n fetch g", "NONE \n INVALID_PRODUCER_EPOCH \n -1 NONE");
    // Where it hasn't, the guard does.
    check(
        "begin 5 \n end 5 commit \n txn 5 g 9 guarded \n fetch g stable",
        "unknown \n NONE \n INVALID_TXN_STATE \n -1 NONE",
    );
    check(
        "begin 5 \n txn 5 g 9 guarded \n begin 5 \n txn 5 g 10 guarded \n end 5 commit \n fetch g",
        "unknown \n NONE \n ongoing \n NONE \n NONE \n 10 NONE",
    );
}

#[test]
fn transactions_commit_for_groups_with_a_name() {
    let play = &mut Play::new();
    let request = TxnOffsetCommitRequest { topics: Vec::new(), ..Default::default() };
    let answer = play.ask(GroupRequest::TxnOffsetCommit { version: 4, request, guard: None });
    assert!(matches!(answer, GroupAnswer::TxnOffsetCommit(_)));
    check("txn 5 g 9 generation=3", "ILLEGAL_GENERATION");
}

#[test]
fn groups_and_offsets_are_deleted() {
    check("delete g", "GROUP_ID_NOT_FOUND");
    check(
        "commit g 5 \n list \n delete g \n fetch g \n list \n delete g",
        "NONE \n [g:Empty] \n NONE \n -1 NONE \n [] \n GROUP_ID_NOT_FOUND",
    );
    check("txn 5 g 9 \n delete g \n end 5 commit \n fetch g", "NONE \n NONE \n NONE \n -1 NONE");
    check("delete-offset g", "GROUP_ID_NOT_FOUND");
    check("commit g 5 \n delete-offset g \n fetch g", "NONE \n NONE \n -1 NONE");
}

#[test]
fn offsets_expire_after_a_week() {
    check("commit g 5 \n wait 167 \n fetch g \n wait 2 \n fetch g", "NONE \n 5 NONE \n -1 NONE");
    check("commit g 5 \n wait 167 \n commit g 6 \n wait 167 \n fetch g", "NONE \n NONE \n 6 NONE");
    check("commit g 5 retention=3600000 version=4 \n wait 2 \n fetch g", "NONE \n -1 NONE");
    check("commit g 5 retention=999999999 version=4 \n wait 169 \n fetch g", "NONE \n 5 NONE");
    check("commit g 5 \n txn 5 g 9 \n wait 200 \n fetch g", "NONE \n NONE \n 5 NONE");
}

#[test]
fn offsets_go_with_their_topic() {
    check("commit g 5 \n drop-topic \n fetch g", "NONE \n -1 NONE");
    check("commit g 5 \n commit g 6 topic=other \n drop-topic \n fetch g", "NONE \n NONE \n -1 NONE");
}

#[test]
fn groups_are_listed_by_state() {
    check("commit a 1 \n commit b 2 \n list empty \n list Stable", "NONE \n NONE \n [a:Empty,b:Empty] \n []");
}
