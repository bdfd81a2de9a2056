//! Members of classic groups, as tests of one request need them: what each says can be changed before it is sent.

use bytes::Bytes;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::wire::Str;
use ottla_testkit::members::{subscription, wait_for_coordinator};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, fresh_name};

/// The newest versions.
pub(crate) const JOIN: i16 = 9;
pub(crate) const SYNC: i16 = 5;
pub(crate) const BEAT: i16 = 4;

/// A group that nobody has used, with its coordinator there.
pub(crate) fn fresh_group(bed: &Bed) -> Str {
    let group = fresh_name();
    wait_for_coordinator(&mut bed.client(), 0, &group);
    group
}

/// Asks to join as a consumer with one protocol.
pub(crate) fn join_request(group: &Str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: Str::from("consumer"),
        protocols: protocols(&[("range", b"m")]),
        ..JoinGroupRequest::default()
    }
}

pub(crate) fn protocols(named: &[(&'static str, &'static [u8])]) -> Vec<JoinGroupRequestProtocol> {
    let protocol = |(name, metadata): &(&'static str, &'static [u8])| JoinGroupRequestProtocol {
        name: Str::from(*name),
        metadata: Bytes::from_static(metadata),
    };
    named.iter().map(protocol).collect()
}

/// A member with a connection of its own.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) client: WireClient,
    /// What it joins with; has its member id.
    pub(crate) request: JoinGroupRequest,
    pub(crate) generation: i32,
    parked: Option<i32>,
}

impl Member {
    /// Not a member yet.
    pub(crate) fn new(bed: &Bed, group: &Str) -> Member {
        Member { client: bed.client(), request: join_request(group), generation: -1, parked: None }
    }

    pub(crate) fn of_instance(bed: &Bed, group: &Str, instance_id: &'static str) -> Member {
        let mut member = Member::new(bed, group);
        member.request.group_instance_id = Some(Str::from(instance_id));
        member
    }

    pub(crate) fn id(&self) -> Str {
        self.request.member_id.clone()
    }

    /// Joins, with the id that it is given first.
    #[track_caller]
    pub(crate) fn join(&mut self) -> JoinGroupResponse {
        self.begin_to_join();
        self.joined()
    }

    /// Sends its JoinGroup, with an id.
    #[track_caller]
    pub(crate) fn begin_to_join(&mut self) {
        if self.request.member_id.is_empty() && self.request.group_instance_id.is_none() {
            let answer = self.client.request(JOIN, &self.request);
            assert_eq!(answer.error_code, 79, "{answer:?}");
            self.request.member_id = answer.member_id;
        }
        self.parked = Some(self.client.send(JOIN, &self.request));
    }

    /// The answer to its JoinGroup.
    #[track_caller]
    pub(crate) fn joined(&mut self) -> JoinGroupResponse {
        let parked = self.parked.take().expect("it has asked");
        let answer = self.client.receive::<JoinGroupRequest>(JOIN, parked);
        if answer.error_code == 0 {
            self.request.member_id = answer.member_id.clone();
            self.generation = answer.generation_id;
        }
        answer
    }

    pub(crate) fn sync_request(&self, assigned: &[(&Str, &'static [u8])]) -> SyncGroupRequest {
        let row = |(member_id, assignment): &(&Str, &'static [u8])| SyncGroupRequestAssignment {
            member_id: (*member_id).clone(),
            assignment: Bytes::from_static(assignment),
        };
        SyncGroupRequest {
            group_id: self.request.group_id.clone(),
            generation_id: self.generation,
            member_id: self.id(),
            group_instance_id: self.request.group_instance_id.clone(),
            protocol_type: Some(self.request.protocol_type.clone()),
            protocol_name: Some(self.request.protocols[0].name.clone()),
            assignments: assigned.iter().map(row).collect(),
        }
    }

    /// Syncs; its assignment, or the error.
    #[track_caller]
    pub(crate) fn sync(&mut self, assigned: &[(&Str, &'static [u8])]) -> Result<Bytes, i16> {
        let request = self.sync_request(assigned);
        let answer = self.client.request(SYNC, &request);
        if answer.error_code == 0 { Ok(answer.assignment) } else { Err(answer.error_code) }
    }

    pub(crate) fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.request.group_id.clone(),
            generation_id: self.generation,
            member_id: self.id(),
            group_instance_id: self.request.group_instance_id.clone(),
        }
    }

    #[track_caller]
    pub(crate) fn beat(&mut self) -> i16 {
        let request = self.heartbeat_request();
        self.client.request(BEAT, &request).error_code
    }
}

/// A stable group of one member, which has the assignment `x`.
#[track_caller]
pub(crate) fn stable_one(bed: &Bed) -> Member {
    let mut member = Member::new(bed, &fresh_group(bed));
    assert_eq!(member.join().error_code, 0);
    let id = member.id();
    assert_eq!(member.sync(&[(&id, b"x")]).as_deref(), Ok(&b"x"[..]));
    member
}

/// The ids of the member of instance `one` in a group's first generation: the one that was replaced, and the one that it has now.
pub(crate) fn replaced(bed: &Bed, group: &Str) -> [Str; 2] {
    let mut former = Member::of_instance(bed, group, "one");
    assert_eq!(former.join().error_code, 0);
    assert!(former.sync(&[(&former.id(), b"x")]).is_ok());
    let mut latter = Member::of_instance(bed, group, "one");
    assert_eq!(latter.join().generation_id, 1);
    [former.id(), latter.id()]
}

/// A stable group of a leader and a follower, with the assignments `x` and `y`.
#[track_caller]
pub(crate) fn stable_pair(bed: &Bed) -> (Member, Member) {
    let mut leader = stable_one(bed);
    let follower = Member::new(bed, &leader.request.group_id.clone());
    let follower = joined_by(&mut leader, follower, b"x", b"y");
    (leader, follower)
}

/// Another one joins the only member of a stable group; then they have these assignments.
#[track_caller]
pub(crate) fn joined_by(
    leader: &mut Member,
    mut follower: Member,
    of_leader: &'static [u8],
    of_follower: &'static [u8],
) -> Member {
    follower.begin_to_join();
    // The follower's request has to be there, or the leader would have a round of its own.
    ottla_testkit::wait::wait_for("the round", crate::bed::PATIENCE, || (leader.beat() == 27).then_some(()));
    assert_eq!(leader.join().error_code, 0);
    assert_eq!(follower.joined().error_code, 0);
    let (first, second) = (leader.id(), follower.id());
    let assigned = leader.sync(&[(&first, of_leader), (&second, of_follower)]);
    assert_eq!(assigned.as_deref(), Ok(of_leader));
    assert_eq!(follower.sync(&[]).as_deref(), Ok(of_follower));
    follower
}

/// A stable group of one consumer, which names this topic and has nothing assigned.
#[track_caller]
pub(crate) fn stable_consumer(bed: &Bed, topic: &str) -> Member {
    let mut member = Member::new(bed, &fresh_group(bed));
    member.request.protocols[0].metadata = subscription(&[topic]);
    assert_eq!(member.join().error_code, 0);
    let id = member.id();
    assert!(member.sync(&[(&id, NO_PARTITIONS)]).is_ok());
    member
}

/// A ConsumerProtocolAssignment of nothing.
pub(crate) const NO_PARTITIONS: &[u8] = b"\0\0\0\0\0\0\xff\xff\xff\xff";
