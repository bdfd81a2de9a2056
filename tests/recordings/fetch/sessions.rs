//! Fetch sessions (KIP-227): what a session is answered, and what each mistake in it gets.

use ottla_protocol::api::fetch::{FetchRequest, FetchRequestForgottenTopic, FetchRequestTopic};
use ottla_testkit::batches::{batch, record};

use crate::player::Player;
use crate::requests::{Topic, create_request, delete_topic, fetch_partition, fetch_request, new_topic};

use super::NEWEST;

/// A client's side of a session.
struct Session {
    topic: Topic,
    version: i16,
    id: i32,
    epoch: i32,
}

impl Session {
    /// Opens one over these partitions, from these offsets.
    fn open(play: &mut Player, topic: &Topic, version: i16, partitions: &[(i32, i64)]) -> Session {
        let mut session = Session { topic: topic.clone(), version, id: 0, epoch: 0 };
        session.ask(play, &format!("a session is opened at version {version}"), partitions);
        session
    }

    /// The next request in the session, with these partitions new or moved.
    fn request(&self, partitions: &[(i32, i64)]) -> FetchRequest {
        let rows = partitions.iter().map(|(partition, offset)| fetch_partition(*partition, *offset));
        let mut request = fetch_request(&self.topic, rows.collect());
        request.topics.retain(|topic| !topic.partitions.is_empty());
        FetchRequest { session_id: self.id, session_epoch: self.epoch, ..request }
    }

    fn ask(&mut self, play: &mut Player, step: &str, partitions: &[(i32, i64)]) {
        let request = self.request(partitions);
        let step = format!("{step}, v{}", self.version);
        let response = play.one(self.version, &step, &request).expect("an answer");
        if self.epoch == 0 {
            self.id = response.session_id;
        }
        self.epoch += 1;
    }
}

fn write(play: &mut Player, topic: &Topic, partition: i32) {
    play.append(topic, partition, &batch([record("v")]));
}

pub(super) fn a_session_tells_what_has_changed(play: &mut Player) {
    for version in [7, 12, 13, 18] {
        let topic = play.topic(&format!("t{version}"), 3, &[]);
        write(play, &topic, 0);
        let mut session = Session::open(play, &topic, version, &[(0, 0), (1, 0), (2, 0)]);
        session.ask(play, "what was not taken", &[]);
        session.ask(play, "nothing is left", &[(0, 1)]);
        write(play, &topic, 2);
        session.ask(play, "one is new", &[]);
        write(play, &topic, 1);
        write(play, &topic, 0);
        session.ask(play, "two are new, one was taken", &[(2, 1)]);
    }
}

pub(super) fn partitions_come_and_go(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    for partition in 0..3 {
        write(play, &topic, partition);
    }
    let mut session = Session::open(play, &topic, NEWEST, &[(0, 0), (9, 0)]);
    session.ask(play, "one in error is told again", &[]);
    session.ask(play, "one more", &[(2, 0)]);
    let mut forget = session.request(&[]);
    forget.forgotten_topics_data = vec![
        FetchRequestForgottenTopic {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partitions: vec![0, 9, 77],
        },
        FetchRequestForgottenTopic {
            topic: "nobody-has-this-name".into(),
            partitions: vec![0],
            ..FetchRequestForgottenTopic::default()
        },
    ];
    play.one(NEWEST, "two less, and two that never were", &forget);
    session.epoch += 1;
    session.ask(play, "another one", &[(1, 0)]);
    let nobody = FetchRequest {
        topics: vec![FetchRequestTopic {
            topic: "nobody-has-this-name".into(),
            partitions: vec![fetch_partition(0, 0)],
            ..FetchRequestTopic::default()
        }],
        ..session.request(&[])
    };
    play.one(NEWEST, "a topic that is not there", &nobody);
}

pub(super) fn mistakes_in_sessions(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    write(play, &topic, 0);
    let session = Session::open(play, &topic, NEWEST, &[(0, 0)]);
    let id = session.id;
    let unknown = if id == 12_345 { 54_321 } else { 12_345 };
    for (step, session_id, session_epoch) in [
        ("epoch 1 without a session", 0, 1),
        ("epoch -2 without a session", 0, -2),
        ("an unknown session", unknown, 1),
        ("an epoch too far", id, 2),
        ("the largest epoch", id, i32::MAX),
        ("an epoch below -1", id, -2),
    ] {
        let request = FetchRequest { session_id, session_epoch, ..session.request(&[]) };
        play.at([NEWEST], step, |_| request.clone());
    }
    play.one(NEWEST, "the session is as it was", &session.request(&[]));
}

pub(super) fn names_and_ids_in_one_session(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for (opened, other) in [(12, 13), (13, 12)] {
        let session = Session::open(play, &topic, opened, &[(0, 0)]);
        let step = format!("opened at version {opened}, asked at version {other}");
        play.one(other, &step, &session.request(&[(0, 0)]));
    }
}

pub(super) fn sessions_are_left_and_opened_again(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    write(play, &topic, 0);
    let mut session = Session::open(play, &topic, NEWEST, &[(0, 0)]);
    let first = session.id;
    session.epoch = 0;
    session.ask(play, "epoch 0 opens another", &[(0, 0)]);
    let gone = FetchRequest { session_id: first, ..session.request(&[]) };
    play.one(NEWEST, "the first is gone", &gone);
    session.epoch = -1;
    play.one(NEWEST, "epoch -1 leaves it", &session.request(&[(0, 0)]));
    session.epoch = 1;
    play.one(NEWEST, "the second is gone", &session.request(&[]));
    session.epoch = -1;
    play.one(NEWEST, "a session that is gone is left", &session.request(&[(0, 0)]));
    session.epoch = 0;
    play.one(NEWEST, "a session that is gone is replaced", &session.request(&[(0, 0)]));
}

pub(super) fn a_topic_is_deleted_in_a_session(play: &mut Player) {
    for version in [12, 13] {
        let topic = play.topic(&format!("t{version}"), 1, &[]);
        write(play, &topic, 0);
        let mut session = Session::open(play, &topic, version, &[(0, 1)]);
        delete_topic(play, &topic.name);
        let gone = fetch_request(&topic, vec![fetch_partition(0, 0)]);
        play.wait_until(12, "it is gone", &gone, |response| {
            response.responses[0].partitions[0].error_code == 3
        });
        session.ask(play, "deleted", &[]);
        let _created = play.quietly(7, &create_request(vec![new_topic(&topic.name, 1, &[])]));
        play.wait_until_led(&topic.name, 1);
        session.ask(play, "created anew", &[]);
    }
}
