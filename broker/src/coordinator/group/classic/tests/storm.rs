//! Many members that join, leave, die and come back at random, with the group's owner failing over among them: in every
//! generation each partition has one reader, and once it is quiet all of them come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::api::leave_group::LeaveGroupRequest;
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, Rng, WallTime};

use super::super::group::ClassicState;
use super::super::{
    ClassicAnswer, ClassicEffects, ClassicGroup, ClassicRules, Client, Committer, GroupMetadataValue, Join,
};
use crate::coordinator::core::{Append, Effect, Now, Ticket};

const MEMBERS: usize = 500;
const PARTITIONS: u32 = 700;
const STEP: Duration = Duration::from_millis(100);
const SESSION_MS: i32 = 6000;
const REBALANCE_MS: i32 = 3000;
/// Steps between two heartbeats of a member.
const BEAT_EVERY: u64 = 5;
/// Steps until a client takes an answer for lost.
const PATIENCE: u64 = 40;

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Nothing, and it isn't wanted either.
    Away,
    WantsToJoin,
    /// Since which step.
    Waits(u64),
    Reads,
}

#[derive(Debug, Clone)]
struct Reader {
    id: Str,
    generation: i32,
    doing: Doing,
    assigned: BTreeSet<u32>,
}

struct Storm {
    group: ClassicGroup,
    rules: ClassicRules,
    rng: Rng,
    now: Now,
    step: u64,
    readers: Vec<Reader>,
    waiting: BTreeMap<Ticket, usize>,
    next_ticket: u64,
    last_record: Option<GroupMetadataValue>,
    generations: BTreeSet<i32>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let now = Now { monotonic: MonotonicTime(0), wall: WallTime(0) };
        let reader =
            Reader { id: Str::EMPTY, generation: 0, doing: Doing::WantsToJoin, assigned: BTreeSet::new() };
        Storm {
            group: ClassicGroup::new(&Str::from("storm"), now),
            rules: ClassicRules::default(),
            rng: Rng::seeded(seed),
            now,
            step: 0,
            readers: vec![reader; MEMBERS],
            waiting: BTreeMap::new(),
            next_ticket: 0,
            last_record: None,
            generations: BTreeSet::new(),
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    /// One step of time, with or without trouble.
    fn pass(&mut self, is_calm: bool) {
        self.step += 1;
        self.now.monotonic = self.now.monotonic.after(STEP);
        self.now.wall.0 += 100;
        let mut effects = ClassicEffects::default();
        self.group.on_time(self.now, &self.rules, &mut effects);
        self.take(effects);
        if !is_calm && self.chance(150) {
            self.fail_over();
        }
        for index in 0..MEMBERS {
            if !is_calm {
                self.trouble(index);
            }
            self.act(index);
        }
    }

    fn trouble(&mut self, index: usize) {
        let doing = self.readers[index].doing;
        match doing {
            Doing::Away if self.chance(60) => self.readers[index].doing = Doing::WantsToJoin,
            // It dies without a word, and is somebody else when it comes back.
            Doing::Reads | Doing::Waits(_) if self.chance(900) => self.forget(index, Doing::Away),
            Doing::Reads if self.chance(900) => {
                self.leave(index);
                self.forget(index, Doing::Away);
            }
            _ => {}
        }
    }

    fn forget(&mut self, index: usize, doing: Doing) {
        let reader = &mut self.readers[index];
        *reader = Reader { id: Str::EMPTY, generation: 0, doing, assigned: BTreeSet::new() };
        self.waiting.retain(|_, owner| *owner != index);
    }

    /// The owner is thrown away and loaded from what it wrote; nobody who waits is answered.
    fn fail_over(&mut self) {
        self.group = ClassicGroup::loading(&Str::from("storm"));
        if let Some(record) = &self.last_record {
            self.group.replay(record);
        }
        let mut effects = ClassicEffects::default();
        self.group.on_loaded(self.now, &self.rules, &mut effects);
        for index in std::mem::take(&mut self.waiting).into_values() {
            self.readers[index].doing = Doing::WantsToJoin;
        }
        self.take(effects);
    }

    fn act(&mut self, index: usize) {
        match self.readers[index].doing {
            Doing::Away => {}
            Doing::WantsToJoin => self.join(index),
            Doing::Waits(since) if since + PATIENCE * 3 < self.step => {
                self.waiting.retain(|_, owner| *owner != index);
                self.readers[index].doing = Doing::WantsToJoin;
            }
            Doing::Waits(_) => {}
            Doing::Reads if (self.step + index as u64).is_multiple_of(BEAT_EVERY) => self.beat(index),
            Doing::Reads => {}
        }
    }

    fn ticket(&mut self, index: usize) -> Ticket {
        self.next_ticket += 1;
        self.waiting.insert(Ticket(self.next_ticket), index);
        self.readers[index].doing = Doing::Waits(self.step);
        Ticket(self.next_ticket)
    }

    fn join(&mut self, index: usize) {
        let request = JoinGroupRequest {
            group_id: Str::from("storm"),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.readers[index].id.clone(),
            protocol_type: Str::from("consumer"),
            protocols: vec![JoinGroupRequestProtocol {
                name: Str::from("range"),
                metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
            }],
            ..JoinGroupRequest::default()
        };
        let ticket = self.ticket(index);
        let mut id_bytes = [0; 16];
        self.rng.fill(&mut id_bytes);
        let client = Client { id: Str::from("c"), host: Str::from("/127.0.0.1") };
        let join = Join { version: 9, client, id_bytes, request };
        let mut effects = ClassicEffects::default();
        self.group.on_join(self.now, &self.rules, ticket, &join, &mut effects);
        self.take(effects);
    }

    fn on_joined(&mut self, index: usize, answer: &JoinGroupResponse) {
        let reader = &mut self.readers[index];
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::MemberIdRequired) => {
                reader.id = answer.member_id.clone();
                reader.doing = Doing::WantsToJoin;
                return;
            }
            Some(ErrorCode::RebalanceInProgress) => return reader.doing = Doing::WantsToJoin,
            _ => return self.forget(index, Doing::WantsToJoin),
        }
        (reader.id, reader.generation) = (answer.member_id.clone(), answer.generation_id);
        reader.assigned.clear();
        let count = answer.members.len() as u32;
        let share = |place: u32| (0..PARTITIONS).filter(move |partition| partition % count == place);
        let rows = (0u32..).zip(&answer.members).map(|(place, row)| SyncGroupRequestAssignment {
            member_id: row.member_id.clone(),
            assignment: share(place).flat_map(u32::to_be_bytes).collect(),
        });
        let request = SyncGroupRequest {
            group_id: Str::from("storm"),
            generation_id: answer.generation_id,
            member_id: answer.member_id.clone(),
            protocol_type: answer.protocol_type.clone(),
            protocol_name: answer.protocol_name.clone(),
            assignments: rows.collect(),
            ..SyncGroupRequest::default()
        };
        let ticket = self.ticket(index);
        let mut effects = ClassicEffects::default();
        self.group.on_sync(self.now, &self.rules, ticket, 5, &request, &mut effects);
        self.take(effects);
    }

    fn beat(&mut self, index: usize) {
        let reader = &self.readers[index];
        let committer = Committer {
            member_id: &reader.id,
            instance_id: None,
            generation: reader.generation,
            is_transactional: false,
        };
        // Whoever reads in an older generation can't commit.
        let may_commit = self.group.check_commit(committer).is_ok();
        assert!(!may_commit || reader.generation == self.group.generation);
        let request = HeartbeatRequest {
            group_id: Str::from("storm"),
            generation_id: reader.generation,
            member_id: reader.id.clone(),
            group_instance_id: None,
        };
        match self.group.on_heartbeat(self.now, &request) {
            ErrorCode::None => {}
            ErrorCode::RebalanceInProgress => {
                self.readers[index].assigned.clear();
                self.readers[index].doing = Doing::WantsToJoin;
            }
            _ => self.forget(index, Doing::WantsToJoin),
        }
    }

    fn leave(&mut self, index: usize) {
        let request = LeaveGroupRequest {
            group_id: Str::from("storm"),
            member_id: self.readers[index].id.clone(),
            ..LeaveGroupRequest::default()
        };
        let ticket = self.ticket(index);
        let mut effects = ClassicEffects::default();
        self.group.on_leave(self.now, &self.rules, ticket, 2, &request, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: ClassicEffects) {
        for effect in effects.list {
            match effect {
                Effect::Append(Append::Record(record)) => {
                    assert_complete(&record);
                    self.generations.insert(record.generation);
                    self.last_record = Some(record);
                }
                Effect::Answer { ticket, answer } => {
                    let Some(index) = self.waiting.remove(&ticket) else { continue };
                    match answer {
                        ClassicAnswer::Join(answer) => self.on_joined(index, &answer),
                        ClassicAnswer::Sync(answer) if answer.error_code == 0 => {
                            self.readers[index].assigned = partitions(&answer.assignment);
                            self.readers[index].doing = Doing::Reads;
                        }
                        ClassicAnswer::Sync(answer)
                            if answer.error_code == ErrorCode::RebalanceInProgress.code() =>
                        {
                            self.readers[index].doing = Doing::WantsToJoin;
                        }
                        ClassicAnswer::Sync(_) => self.forget(index, Doing::WantsToJoin),
                        ClassicAnswer::Leave(_) => {}
                    }
                }
                other => panic!("a classic group has no effect like {other:?}"),
            }
        }
    }

    /// Nobody reads what another reader of the same generation reads.
    fn assert_disjoint(&self) {
        let mut read: BTreeSet<(i32, u32)> = BTreeSet::new();
        for reader in self.readers.iter().filter(|reader| reader.doing == Doing::Reads) {
            for partition in &reader.assigned {
                let is_new = read.insert((reader.generation, *partition));
                assert!(is_new, "partition {partition} has two readers in generation {}", reader.generation);
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        let wanted: Vec<&Reader> = self.readers.iter().filter(|reader| reader.doing != Doing::Away).collect();
        let generation = self.group.generation;
        self.group.state() == ClassicState::Stable
            && self.group.members().len() == wanted.len()
            && wanted.iter().all(|reader| reader.doing == Doing::Reads && reader.generation == generation)
            && wanted.iter().map(|reader| reader.assigned.len()).sum::<usize>() == PARTITIONS as usize
    }
}

fn partitions(assignment: &Bytes) -> BTreeSet<u32> {
    let numbers = assignment.chunks_exact(4);
    numbers.map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes"))).collect()
}

/// Each partition is given to one member.
fn assert_complete(record: &GroupMetadataValue) {
    if record.members.is_empty() {
        return;
    }
    let given: Vec<u32> = record.members.iter().flat_map(|member| partitions(&member.assignment)).collect();
    let distinct: BTreeSet<u32> = given.iter().copied().collect();
    assert_eq!((given.len(), distinct.len()), (PARTITIONS as usize, PARTITIONS as usize));
}

#[test]
fn five_hundred_members_come_to_rest_after_a_storm() {
    for seed in 0..3 {
        let mut storm = Storm::new(seed);
        for _ in 0..400 {
            storm.pass(false);
            storm.assert_disjoint();
        }
        let quiet_since = storm.step;
        while !storm.is_at_rest() {
            storm.pass(true);
            storm.assert_disjoint();
            assert!(
                storm.step - quiet_since <= 100,
                "seed {seed}: no rest within 10 s: {:?}",
                storm.group.state()
            );
        }
        assert!(3 < storm.generations.len(), "seed {seed}: there were rounds: {:?}", storm.generations);
    }
}
