//! A group to play with: one line of a script is one event, and `=>` says what comes of it.
//!
//! | line                                  | event                                                        | told      |
//! |---------------------------------------|--------------------------------------------------------------|-----------|
//! | `topic t 4`, `delete t`               | a topic is made, grows, or goes                              |           |
//! | `rules interval=0 max=2 session=1000` | the configuration                                            |           |
//! | `wait 500`                            | time passes, and what is due is done                         |           |
//! | `a joins t,u as=i rack=r regex=x by=range rt=9` | a heartbeat with epoch 0                           | epoch, assignment |
//! | `a beats 3 owns=t:0,1 names=t`        | any other heartbeat; −1 and −2 leave                         | the same  |
//! | `c enters t owns=t:0 as=i v=5`        | JoinGroup                                                    | generation |
//! | `c syncs 3`, `c pings 3`, `c goes as=i` | SyncGroup, Heartbeat, LeaveGroup; `nobody` has no id       | assignment |
//! | `a commits 3 t:0`, `a fetches 3`      | the checks of OffsetCommit (`v=`, `as=`, `txn=1`) and OffsetFetch; `nobody` has no id | |
//! | `state`, `member a`, `resolved x`     | what is shown                                                |           |

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use ottla_protocol::wire::{FrameWriter, Str};
use ottla_runtime::{MonotonicTime, WallTime};

use super::super::ConsumerGroup;
use super::super::assignor::Assignor;
use super::super::commit::MemberCommit;
use super::super::heartbeat::{self, Heartbeat, HeartbeatError};
use super::super::record::ConsumerGroupRecord;
use super::super::rules::{ConsumerRules, Context};
use crate::controller::{DirectoryId, MetadataImage, MetadataOffset, MetadataRecord, PartitionRecord};
use crate::coordinator::core::Now;
use crate::coordinator::group::classic::{Client, Join};

pub(super) const GROUP: Str = Str::from_static("g");

/// A group, its world, and everything that it wrote down.
pub(super) struct Play {
    pub(super) group: ConsumerGroup,
    pub(super) image: MetadataImage,
    pub(super) rules: ConsumerRules,
    pub(super) ms: u64,
    pub(super) log: Vec<ConsumerGroupRecord>,
    next_topic: u8,
}

impl Play {
    pub(super) fn new() -> Play {
        let (rules, log) = (ConsumerRules::default(), Vec::new());
        Play {
            group: ConsumerGroup::default(),
            image: MetadataImage::default(),
            rules,
            ms: 1,
            log,
            next_topic: 1,
        }
    }

    pub(super) fn with<T>(&mut self, event: impl FnOnce(&mut ConsumerGroup, &mut Context<'_>) -> T) -> T {
        let now = Now {
            monotonic: MonotonicTime(self.ms * 1_000_000),
            wall: WallTime(i64::try_from(self.ms).expect("a short test")),
        };
        let mut ctx =
            Context { now, image: &self.image, rules: &self.rules, group_id: &GROUP, records: &mut self.log };
        let epochs = self.group.epoch();
        let told = event(&mut self.group, &mut ctx);
        // What is looked at each time in small groups is looked at now and then in large ones.
        if self.group.members.len() < 50 || self.log.len().is_multiple_of(16) {
            self.group.assert_consistent();
        }
        assert!(epochs <= self.group.epoch(), "the group's epoch went back");
        told
    }

    pub(super) fn apply(&mut self, records: &[MetadataRecord]) {
        for record in records {
            self.image.apply(record).expect("records of the test fit");
        }
        let offset = self.image.offset();
        self.image.advance_to(MetadataOffset { index: offset.index + 1, ..offset });
    }

    /// Makes a topic, or gives it more partitions.
    pub(super) fn topic(&mut self, name: &str, count: i32) {
        let known = self.image.topic(name).map(|topic| (topic.id(), topic.partitions().len()));
        let mut records = Vec::new();
        let (id, from) = known.unwrap_or_else(|| {
            let id = TopicId([self.next_topic; 16]);
            self.next_topic += 1;
            records.push(MetadataRecord::Topic { id, name: name.to_owned(), partition_count: 1 });
            (id, 0)
        });
        for index in i32::try_from(from).expect("few")..count {
            records.push(MetadataRecord::Partition(PartitionRecord {
                topic: id,
                index: PartitionIndex(index),
                replicas: vec![BrokerId(1)],
                directories: vec![DirectoryId([1; 16])],
                isr: vec![BrokerId(1)],
                elr: vec![],
                leader: Some(BrokerId(1)),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: 0,
            }));
        }
        self.apply(&records);
    }

    pub(super) fn delete(&mut self, name: &str) {
        let id = self.image.topic(name).expect("a topic of the test").id();
        self.apply(&[MetadataRecord::RemoveTopic { id }]);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        let until = self.ms + ms;
        while let Some(due) =
            self.group.next_deadline().map(|at| at.0.div_ceil(1_000_000)).filter(|at| *at <= until)
        {
            self.ms = self.ms.max(due);
            self.with(|group, ctx| group.on_time(ctx));
        }
        self.ms = until;
    }

    pub(super) fn heartbeat(
        &mut self,
        version: i16,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, HeartbeatError> {
        heartbeat::check(version, request, &self.rules)?;
        if self.group.is_vacant() && request.member_epoch != 0 {
            return Err(HeartbeatError::GroupNotFound(GROUP));
        }
        let (client_id, client_host) = (Str::from_static("c"), Str::from_static("/h"));
        let heartbeat =
            Heartbeat { client_id: &client_id, client_host: &client_host, request, id_bytes: [7; 16] };
        self.with(|group, ctx| group.heartbeat(ctx, heartbeat))
    }

    pub(super) fn topic_id(&self, name: &str) -> TopicId {
        self.image.topic(name).map_or(TopicId([0xff; 16]), |topic| topic.id())
    }

    fn topic_name(&self, id: TopicId) -> String {
        self.image.topic_by_id(id).map_or_else(|| "?".to_owned(), |topic| topic.name().to_string())
    }

    /// `t:0,1` and more of the kind with `+` between.
    fn partitions(&self, text: &str) -> Vec<ConsumerGroupHeartbeatRequestTopicPartitions> {
        named_partitions(text)
            .into_iter()
            .map(|(name, partitions)| ConsumerGroupHeartbeatRequestTopicPartitions {
                topic_id: self.topic_id(&name),
                partitions,
            })
            .collect()
    }

    pub(super) fn shown(&self, partitions: impl Iterator<Item = (TopicId, i32)>) -> String {
        let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (topic, index) in partitions {
            topics.entry(self.topic_name(topic)).or_default().push(index.to_string());
        }
        topics.iter().map(|(name, list)| format!("{name}:{}", list.join(","))).collect::<Vec<_>>().join("+")
    }

    fn request(&self, member: &str, epoch: i32, words: &Words<'_>) -> ConsumerGroupHeartbeatRequest {
        let text = |key| words.get(key).map(Str::copy_of);
        let rebalance_timeout_ms = words.number("rt").unwrap_or(if epoch == 0 { 5000 } else { -1 });
        ConsumerGroupHeartbeatRequest {
            group_id: text("group").unwrap_or(GROUP),
            member_id: Str::copy_of(member),
            member_epoch: epoch,
            instance_id: text("as"),
            rack_id: text("rack"),
            rebalance_timeout_ms,
            subscribed_topic_names: words.get("names").map(names),
            subscribed_topic_regex: text("regex"),
            server_assignor: text("by"),
            topic_partitions: words
                .get("owns")
                .filter(|owns| *owns != "null")
                .map(|owns| self.partitions(owns)),
        }
    }

    fn told(&self, told: Result<ConsumerGroupHeartbeatResponse, HeartbeatError>) -> String {
        let response = match told {
            Ok(response) => response,
            Err(error) => return format!("error {}", error.code().code()),
        };
        let Some(assignment) = response.assignment else { return response.member_epoch.to_string() };
        let places = assignment
            .topic_partitions
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)));
        format!("{} [{}]", response.member_epoch, self.shown(places))
    }

    fn run(&mut self, line: &str) -> String {
        let mut words = Words::new(line);
        match (words.first(), words.first()) {
            ("topic", name) => {
                let count = words.first().parse().expect("a count");
                self.topic(name, count);
            }
            ("delete", name) => self.delete(name),
            ("wait", ms) => self.wait(ms.parse().expect("milliseconds")),
            ("rules", first) => self.set_rules(first, &words),
            ("state", _) => return self.group.state().to_owned(),
            ("epochs", _) => return format!("{} {}", self.group.epoch(), self.group.target_epoch()),
            ("reload", _) => self.reload(),
            ("resolved", regex) => {
                let resolved = self.group.regexes.get(&Str::copy_of(regex));
                return resolved.map_or_else(String::new, |it| {
                    it.topics.iter().map(|topic| topic.to_string()).collect::<Vec<_>>().join(",")
                });
            }
            ("member", id) => {
                let row = self.group.describe(&GROUP, &self.image, &self.rules);
                let Some(row) = row.members.iter().find(|row| row.member_id == *id) else {
                    return "none".to_owned();
                };
                let kind = if row.member_type == 0 { "classic" } else { "consumer" };
                let places = row
                    .assignment
                    .topic_partitions
                    .iter()
                    .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)));
                return format!("{kind} {} [{}]", row.member_epoch, self.shown(places));
            }
            (member, "joins") => {
                let topics = words.first();
                words.put("names", topics);
                words.put("owns", "");
                let request = self.request(member, 0, &words);
                let version = words.number("v").unwrap_or(1);
                let told = self.heartbeat(i16::try_from(version).expect("small"), &request);
                return self.told(told);
            }
            (member, "beats") => {
                let epoch = words.first().parse().expect("an epoch");
                let request = self.request(member, epoch, &words);
                let version = words.number("v").unwrap_or(1);
                let told = self.heartbeat(i16::try_from(version).expect("small"), &request);
                return self.told(told);
            }
            (member, "enters") => return self.enters(member, &mut words),
            (member, "syncs") => {
                let request = SyncGroupRequest {
                    generation_id: words.first().parse().expect("a generation"),
                    member_id: Str::copy_of(member),
                    group_instance_id: words.get("as").map(Str::copy_of),
                    protocol_type: words.get("type").map(Str::copy_of),
                    protocol_name: words.get("name").map(Str::copy_of),
                    ..SyncGroupRequest::default()
                };
                return match self.with(|group, ctx| group.classic_sync(ctx, &request)) {
                    Ok(response) => format!("{:?}", assigned(&response.assignment)).replace(' ', ""),
                    Err(error) => format!("error {}", error.code()),
                };
            }
            (member, "pings") => {
                let request = HeartbeatRequest {
                    generation_id: words.first().parse().expect("a generation"),
                    member_id: Str::copy_of(member),
                    group_instance_id: words.get("as").map(Str::copy_of),
                    ..HeartbeatRequest::default()
                };
                let told = self.with(|group, ctx| group.classic_heartbeat(ctx, &request));
                return plain(told);
            }
            (member, "goes") => {
                let member_id = Str::copy_of(if member == "nobody" { "" } else { member });
                let row = LeaveGroupRequestMember {
                    member_id: member_id.clone(),
                    group_instance_id: words.get("as").map(Str::copy_of),
                    ..LeaveGroupRequestMember::default()
                };
                // Instances are told since version 3, and errors then member by member.
                let version = if row.group_instance_id.is_some() { 3 } else { 2 };
                let request =
                    LeaveGroupRequest { member_id, members: vec![row], ..LeaveGroupRequest::default() };
                let response = self.with(|group, ctx| group.classic_leave(ctx, version, &request));
                let code = response.members.first().map_or(response.error_code, |row| row.error_code);
                let becomes = self.group.take_is_to_become_classic();
                return format!("{code}{}", if becomes { " classic" } else { "" });
            }
            (member, "commits") => return self.commits(member, &mut words),
            (member, "fetches") => {
                let epoch = words.first().parse().expect("an epoch");
                return plain(self.group.check_fetch(Some(member).filter(|id| *id != "null"), epoch));
            }
            (one, two) => panic!("what is `{one} {two}`?"),
        }
        String::new()
    }

    fn enters(&mut self, member: &str, words: &mut Words<'_>) -> String {
        let topics = words.first();
        let metadata = subscription(&names(topics), &named_partitions(words.get("owns").unwrap_or_default()));
        let protocols = words
            .get("by")
            .unwrap_or("range")
            .split(',')
            .map(|name| JoinGroupRequestProtocol { name: Str::copy_of(name), metadata: metadata.clone() });
        let request = JoinGroupRequest {
            group_id: GROUP,
            session_timeout_ms: 6000,
            rebalance_timeout_ms: 9000,
            member_id: Str::copy_of(if member == "new" { "" } else { member }),
            group_instance_id: words.get("as").map(Str::copy_of),
            protocol_type: Str::copy_of(words.get("type").unwrap_or("consumer")),
            protocols: protocols.collect(),
            ..JoinGroupRequest::default()
        };
        let client = Client { id: Str::from_static("c"), host: Str::from_static("/h") };
        let version = i16::try_from(words.number("v").unwrap_or(9)).expect("small");
        let join = Join { version, client, id_bytes: [9; 16], request };
        let told = self.with(|group, ctx| group.classic_join(ctx, &join));
        match told {
            Ok(response) => format!("{} {}", response.member_id, response.generation_id),
            Err(refused) => format!("error {}", refused.error.code()),
        }
    }

    fn commits(&mut self, member: &str, words: &mut Words<'_>) -> String {
        let commit = MemberCommit {
            version: i16::try_from(words.number("v").unwrap_or(9)).expect("small"),
            member_id: if member == "nobody" { "" } else { member },
            has_instance_id: words.get("as").is_some(),
            epoch: words.first().parse().expect("an epoch"),
            is_transactional: words.get("txn").is_some(),
        };
        let places: Vec<(Option<TopicId>, i32)> = named_partitions(words.first())
            .into_iter()
            .flat_map(|(name, list)| list.into_iter().map(move |index| (name.clone(), index)))
            .map(|(name, index)| (Some(self.topic_id(&name)), index))
            .collect();
        plain(self.group.check_member_commit(commit, places.into_iter()))
    }

    fn set_rules(&mut self, first: &str, words: &Words<'_>) {
        for word in first.split_whitespace().chain(words.rest()) {
            let (key, value) = word.split_once('=').expect("key=value");
            let number = || value.parse::<u64>().expect("a number");
            match key {
                "interval" => self.rules.assignment_interval = Duration::from_millis(number()),
                "session" => self.rules.session_timeout = Duration::from_millis(number()),
                "max" => self.rules.member_count_max = usize::try_from(number()).expect("small"),
                "served" => self.rules.is_served = value == "1",
                "down" => self.rules.may_downgrade = value == "1",
                "assignors" => {
                    let named = value.split(',').map(Assignor::from_name);
                    self.rules.assignors = named.collect::<Option<_>>().expect("names of assignors");
                }
                _ => panic!("no rule {key}"),
            }
        }
    }

    /// Forgets everything but the log.
    pub(super) fn reload(&mut self) {
        let before = std::mem::take(&mut self.group);
        for record in &self.log {
            self.group.replay(record);
        }
        assert_eq!(
            (
                self.group.epoch,
                self.group.target_epoch,
                &self.group.members,
                &self.group.targets,
                &self.group.regexes
            ),
            (before.epoch, before.target_epoch, &before.members, &before.targets, &before.regexes),
            "the log tells what the group is"
        );
        self.with(|group, ctx| group.on_loaded(ctx));
    }
}

fn plain(told: Result<(), ErrorCode>) -> String {
    told.map_or_else(|error| format!("error {}", error.code()), |()| "0".to_owned())
}

fn names(text: &str) -> Vec<Str> {
    text.split(',').filter(|name| !name.is_empty() && *name != "-").map(Str::copy_of).collect()
}

fn named_partitions(text: &str) -> Vec<(String, Vec<i32>)> {
    text.split('+')
        .filter_map(|topic| topic.split_once(':'))
        .map(|(name, list)| {
            (name.to_owned(), list.split(',').map(|n| n.parse().expect("a number")).collect())
        })
        .collect()
}

fn subscription(topics: &[Str], owned: &[(String, Vec<i32>)]) -> Bytes {
    let mut writer = FrameWriter::new();
    writer.put_i16(1);
    writer.put_length(Some(topics.len()), false);
    for topic in topics {
        writer.put_string(topic, false);
    }
    writer.put_nullable_bytes(None, false);
    writer.put_length(Some(owned.len()), false);
    for (name, partitions) in owned {
        writer.put_string(name, false);
        writer.put_length(Some(partitions.len()), false);
        for partition in partitions {
            writer.put_i32(*partition);
        }
    }
    writer.into_body()
}

/// The partitions in a ConsumerProtocolAssignment, told apart from their topics by nothing: tests use one topic there.
fn assigned(assignment: &Bytes) -> Vec<i32> {
    let mut reader = ottla_protocol::wire::Reader::new(assignment.clone());
    let mut all = Vec::new();
    reader.i16().expect("a version");
    for _ in 0..reader.i32().expect("a count") {
        reader.string(false).expect("a topic");
        for _ in 0..reader.i32().expect("a count") {
            all.push(reader.i32().expect("a partition"));
        }
    }
    all
}

/// A line's words, those with `=` apart from the others.
struct Words<'a> {
    plain: std::collections::VecDeque<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
    all: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Words<'a> {
        let all: Vec<&str> = line.split_whitespace().collect();
        let is_rules = all.first() == Some(&"rules");
        let (named, plain): (Vec<&str>, Vec<&str>) =
            all.iter().partition(|word| word.contains('=') && !is_rules);
        Words {
            plain: plain.into(),
            named: named.iter().filter_map(|word| word.split_once('=')).collect(),
            all,
        }
    }

    fn first(&mut self) -> &'a str {
        self.plain.pop_front().unwrap_or_default()
    }

    fn rest(&self) -> impl Iterator<Item = &'a str> {
        self.all.iter().skip(2).copied()
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.named.get(key).copied().filter(|value| *value != "null" || key == "owns")
    }

    fn number(&self, key: &str) -> Option<i32> {
        self.get(key).map(|value| value.parse().expect("a number"))
    }

    fn put(&mut self, key: &'a str, value: &'a str) {
        let is_null = value == "null" || (key == "names" && value.is_empty());
        if !self.named.contains_key(key) && !is_null {
            self.named.insert(key, value);
        }
    }
}

/// Plays a script. At its end the log alone gives the same group.
#[track_caller]
pub(super) fn check(script: &str) {
    let mut play = Play::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once("=>").unwrap_or((line, ""));
        let told = play.run(event.trim());
        assert_eq!(told, expected.trim(), "`{}` in\n{script}", event.trim());
    }
    play.reload();
}
