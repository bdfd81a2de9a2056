//! Fetch sessions (KIP-227): what a session is answered, and what each mistake in it gets.

use ottla_protocol::api::fetch::{
    FetchRequest, FetchRequestForgottenTopic, FetchRequestPartition, FetchRequestTopic, FetchResponse,
};
use ottla_testkit::batches::{batch, read_values, record};
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, Topic, append_to, create_topic, fetch_partition, fetch_request, is_peer, records_of, rows,
};
use crate::check::{kafka, ours};
use crate::fetch::delete;

/// A client with a session, or without one yet.
struct Session {
    client: WireClient,
    topic: Topic,
    version: i16,
    id: i32,
    epoch: i32,
}

impl Session {
    /// Opens a session over these partitions, from these offsets.
    fn open(bed: &Bed, topic: &Topic, version: i16, partitions: &[(i32, i64)]) -> (Session, FetchResponse) {
        let mut session = Session { client: bed.client(), topic: topic.clone(), version, id: 0, epoch: 0 };
        let response = session.ask(partitions);
        assert_eq!(response.error_code, 0);
        assert_ne!(response.session_id, 0, "a session is given");
        session.id = response.session_id;
        (session, response)
    }

    /// The next request in the session, with these partitions new or moved.
    fn ask(&mut self, partitions: &[(i32, i64)]) -> FetchResponse {
        let request = self.request(partitions);
        let response = self.client.request(self.version, &request);
        self.epoch += 1;
        response
    }

    fn request(&self, partitions: &[(i32, i64)]) -> FetchRequest {
        let partitions: Vec<FetchRequestPartition> =
            partitions.iter().map(|(partition, offset)| fetch_partition(*partition, *offset)).collect();
        let mut request = fetch_request(&self.topic, partitions);
        request.topics.retain(|topic| !topic.partitions.is_empty());
        FetchRequest { session_id: self.id, session_epoch: self.epoch, ..request }
    }
}

/// Index, error and number of records of each row, by index.
fn told(response: FetchResponse) -> Vec<(i32, i16, usize)> {
    assert_eq!(response.error_code, 0);
    let mut told: Vec<(i32, i16, usize)> = rows(response)
        .iter()
        .map(|row| {
            let count = if row.records.is_empty() { 0 } else { read_values(&records_of(row)).len() };
            (row.partition_index, row.error_code, count)
        })
        .collect();
    told.sort_unstable();
    told
}

fn write(bed: &Bed, topic: &Topic, partition: i32) {
    append_to(&mut bed.client(), topic, partition, &batch([record("v")]));
}

#[test]
fn a_session_answers_only_what_has_changed() {
    let bed = Bed::shared();
    for version in [7, 12, 13, 18] {
        let topic = bed.topic(3, &[]);
        write(&bed, &topic, 0);
        let (mut session, first) = Session::open(&bed, &topic, version, &[(0, 0), (1, 0), (2, 0)]);
        assert_eq!(told(first), [(0, 0, 1), (1, 0, 0), (2, 0, 0)], "the first answer is full");
        // What was not taken is told again.
        assert_eq!(told(session.ask(&[])), [(0, 0, 1)], "v{version}");
        assert_eq!(told(session.ask(&[(0, 1)])), [], "v{version}");
        write(&bed, &topic, 2);
        assert_eq!(told(session.ask(&[])), [(2, 0, 1)], "v{version}");
        write(&bed, &topic, 1);
        write(&bed, &topic, 0);
        assert_eq!(told(session.ask(&[(2, 1)])), [(0, 0, 1), (1, 0, 1)], "v{version}");
    }
}

#[test]
fn a_session_waits_for_what_it_holds() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let (mut session, _) = Session::open(&bed, &topic, 12, &[(0, 0), (1, 0), (2, 0)]);
    let request = FetchRequest { max_wait_ms: i32::MAX, ..session.request(&[]) };
    let id = session.client.send(12, &request);
    write(&bed, &topic, 1);
    assert_eq!(told(session.client.receive::<FetchRequest>(12, id)), [(1, 0, 1)]);
}

#[test]
fn partitions_come_and_go() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    for partition in 0..3 {
        write(&bed, &topic, partition);
    }
    let (mut session, _) = Session::open(&bed, &topic, 12, &[(0, 0)]);
    assert_eq!(told(session.ask(&[(2, 0)])), [(0, 0, 1), (2, 0, 1)], "one more");
    let mut forget = session.request(&[]);
    forget.forgotten_topics_data = vec![
        FetchRequestForgottenTopic { topic: topic.name.clone(), topic_id: topic.id, partitions: vec![0, 77] },
        FetchRequestForgottenTopic {
            topic: "nobody".into(),
            partitions: vec![0],
            ..FetchRequestForgottenTopic::default()
        },
    ];
    assert_eq!(told(session.client.request(12, &forget)), [(2, 0, 1)], "one less, and two that never were");
    session.epoch += 1;
    assert_eq!(told(session.ask(&[(1, 0)])), [(1, 0, 1), (2, 0, 1)]);
}

#[test]
fn a_partition_in_error_is_told_each_time() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let (mut session, first) = Session::open(&bed, &topic, 12, &[(0, 0), (9, 0)]);
    assert_eq!(told(first), [(0, 0, 0), (9, 3, 0)]);
    for _ in 0..3 {
        assert_eq!(told(session.ask(&[])), [(9, 3, 0)]);
    }
    let nobody = FetchRequest {
        topics: vec![FetchRequestTopic {
            topic: "nobody".into(),
            partitions: vec![fetch_partition(0, 0)],
            ..FetchRequestTopic::default()
        }],
        ..session.request(&[])
    };
    assert_eq!(told(session.client.request(12, &nobody)), [(0, 3, 0), (9, 3, 0)]);
}

#[test]
fn mistakes_have_their_codes() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    write(&bed, &topic, 0);
    let (mut session, _) = Session::open(&bed, &topic, 12, &[(0, 0)]);
    let id = session.id;
    let mut fails = |id, epoch, code| {
        let request = FetchRequest { session_id: id, session_epoch: epoch, ..session.request(&[]) };
        let response = session.client.request(12, &request);
        let found = (response.error_code, response.session_id, response.responses.len());
        assert_eq!(found, (code, 0, 0), "session {id}, epoch {epoch}");
    };
    let unknown = if id == 12_345 { 54_321 } else { 12_345 };
    fails(0, 1, 70);
    fails(0, -2, 70);
    fails(unknown, 1, 70);
    fails(unknown, 7, 70);
    fails(id, 2, 71);
    fails(id, 0x7fff_ffff, 71);
    // The session is as it was.
    assert_eq!(told(session.ask(&[])), [(0, 0, 1)]);
}

#[test]
fn names_and_ids_do_not_mix_in_a_session() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    for (opened, other) in [(12, 13), (13, 12)] {
        let (mut session, _) = Session::open(&bed, &topic, opened, &[(0, 0)]);
        let request = session.request(&[(0, 0)]);
        let response = session.client.request(other, &request);
        let found = (response.error_code, response.session_id, response.responses.len());
        assert_eq!(found, (106, 0, 0), "opened at {opened}, asked at {other}");
    }
}

#[test]
fn a_session_is_left_and_opened_again() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    write(&bed, &topic, 0);
    let (mut session, _) = Session::open(&bed, &topic, 12, &[(0, 0)]);
    let first = session.id;
    // Epoch 0 drops the session and opens another.
    session.epoch = 0;
    let response = session.ask(&[(0, 0)]);
    let second = response.session_id;
    assert_eq!(told(response), [(0, 0, 1)]);
    assert!(second != 0 && second != first);
    let mut gone = session.request(&[]);
    gone.session_id = first;
    assert_eq!(session.client.request(12, &gone).error_code, 70);
    // Epoch -1 ends it, with a full answer that has no session.
    session.id = second;
    session.epoch = -1;
    let response = session.ask(&[(0, 0)]);
    assert_eq!(response.session_id, 0);
    assert_eq!(told(response), [(0, 0, 1)]);
    session.epoch = 1;
    assert_eq!(session.ask(&[]).error_code, 70);
    // An unknown session may be left as well, and replaced.
    let mut left = session.request(&[(0, 0)]);
    left.session_epoch = -1;
    assert_eq!(told(session.client.request(12, &left)), [(0, 0, 1)]);
    left.session_epoch = 0;
    let response = session.client.request(12, &left);
    assert_ne!(response.session_id, 0);
    assert_eq!(told(response), [(0, 0, 1)]);
}

#[test]
fn a_session_belongs_to_no_connection() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let (mut session, _) = Session::open(&bed, &topic, 12, &[(0, 0)]);
    session.client = bed.client();
    write(&bed, &topic, 0);
    assert_eq!(told(session.ask(&[])), [(0, 0, 1)]);
}

#[test]
fn a_topic_deleted_in_a_session_is_told() {
    let bed = Bed::shared();
    for version in [12, 13] {
        let topic = bed.topic(1, &[]);
        write(&bed, &topic, 0);
        let (mut session, _) = Session::open(&bed, &topic, version, &[(0, 1)]);
        delete(&mut bed.client(), &topic);
        let gone = if version < 13 { 3 } else { ours(100, kafka(3)) };
        if is_peer() {
            ottla_testkit::wait::wait_for("the topic is gone", crate::bed::PATIENCE, || {
                (told(session.ask(&[])) == [(0, gone, 0)]).then_some(())
            });
        }
        assert_eq!(told(session.ask(&[])), [(0, gone, 0)], "v{version}");
        create_topic(&mut bed.client(), &topic.name, 1, &[]);
        if version == 13 {
            // Kafka knows the name behind the id; to us the old id is nobody's.
            let again = ours(100, kafka(103));
            if is_peer() {
                ottla_testkit::wait::wait_for("the topic is there", crate::bed::PATIENCE, || {
                    (told(session.ask(&[])) == [(0, again, 0)]).then_some(())
                });
            }
            assert_eq!(told(session.ask(&[])), [(0, again, 0)]);
        }
    }
}
