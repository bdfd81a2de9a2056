//! The checker itself: a good history is accepted, and each kind of damage is called by its name.

use std::collections::BTreeMap;

use ottla_protocol::types::TopicId;
use ottla_sim::checker::check;
use ottla_sim::history::{
    Acks, Audit, Boot, BootEnd, ConfigsSeen, Deletion, Ending, History, MetadataSeen, Moment, Outcome, Poll,
    ProducerIdGiven, SeenBatch, SeenTopic, Sent, SequenceRefused, TopicEvent, TopicPartition, TopicPlan,
    ValueId,
};
use ottla_sim::payload::BadPayload;

const TOPIC: TopicId = TopicId([7; 16]);
const OF: TopicPartition = TopicPartition { topic: TOPIC, index: 0 };
const RECORDS: u64 = 12;
/// The broker's first life ends when so many records have been acknowledged.
const BEFORE_THE_CUT: u64 = 6;

fn value(number: u64) -> ValueId {
    ValueId { producer: 1, number }
}

fn read(history: &mut History, boot: Boot, from: u64, to: u64) {
    let (invoked, completed) = (history.tick(), history.tick());
    let records = (from..to).map(|number| Ok(value(number))).collect();
    history.polls.push(Poll {
        reader: 0,
        boot,
        of: OF,
        invoked,
        completed,
        asked: from as i64,
        log_start: Some(0),
        high_watermark: Some(to as i64),
        batches: vec![SeenBatch { base_offset: from as i64, leader_epoch: boot.0 as i32, records }],
    });
}

fn look(history: &mut History, boot: Boot) {
    let (invoked, completed) = (history.tick(), history.tick());
    let leader_epochs = BTreeMap::from([(0, boot.0 as i32)]);
    let topics = BTreeMap::from([("topic".to_owned(), SeenTopic { id: TOPIC, leader_epochs })]);
    history.metadata.push(MetadataSeen { boot, invoked, completed, topics });
    let overrides = history.topics[&TOPIC].configs.clone();
    history.configs.push(ConfigsSeen { invoked, completed, name: "topic".to_owned(), overrides });
}

/// Records sent, acknowledged and read over two lives, with a power cut between; all as it should be.
fn good(policy: &str, acks: Acks) -> History {
    let mut history = History::default();
    let configs = BTreeMap::from([("ottla.flush.policy".to_owned(), policy.to_owned())]);
    let plan = TopicPlan { name: "topic".to_owned(), partition_count: 1, configs };
    history.topics.insert(TOPIC, plan);
    for event in [TopicEvent::Creating, TopicEvent::Created { id: TOPIC }] {
        let at = history.tick();
        history.topic_events.push((at, "topic".to_owned(), event));
    }
    for id in [1, 2] {
        let at = history.tick();
        history.producer_ids.push(ProducerIdGiven { at, id, epoch: 0 });
    }
    for number in 0..RECORDS {
        let boot = Boot(if number < BEFORE_THE_CUT { 1 } else { 2 });
        let (invoked, at) = (history.tick(), history.tick());
        let outcome = Outcome::Acknowledged { base_offset: Some(number as i64), boot, at };
        history.sent.push(Sent { to: OF, first: value(number), count: 1, acks, invoked, outcome });
        read(&mut history, boot, number, number + 1);
        look(&mut history, boot);
        if number + 1 == BEFORE_THE_CUT {
            let at = history.tick();
            let durable_ends = BTreeMap::from([(OF, BEFORE_THE_CUT as i64)]);
            history.boot_ends.push(BootEnd { boot, ending: Ending::PowerCut, at, durable_ends });
            audit(&mut history, Boot(2), BEFORE_THE_CUT, false);
        }
    }
    audit(&mut history, Boot(2), RECORDS, true);
    history
}

fn audit(history: &mut History, boot: Boot, end: u64, settled: bool) {
    let invoked = history.tick();
    let values = (0..end).map(|number| (number as i64, value(number))).collect();
    let (log_start, end) = (0, end as i64);
    history.audits.push(Audit { boot, of: OF, invoked, log_start, end, settled, values, bytes: 1000 });
}

/// What the checker finds once `damage` was done to a good history.
fn found(policy: &str, damage: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = good(policy, Acks::All);
    damage(&mut history);
    let mut names: Vec<_> = check(&history).into_iter().map(|violation| violation.anomaly).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn check_damage(anomaly: &str, damage: impl Fn(&mut History)) {
    for policy in ["group", "os"] {
        let found = found(policy, &damage);
        assert!(found.contains(&anomaly), "{policy}: {anomaly} expected, found {found:?}");
    }
}

#[test]
fn a_good_history_is_accepted() {
    for policy in ["group", "os"] {
        for acks in [Acks::All, Acks::One] {
            assert_eq!(check(&good(policy, acks)), []);
        }
    }
}

#[test]
fn a_suffix_that_a_power_cut_takes_is_allowed_under_os_and_never_under_group() {
    let cut = |history: &mut History| {
        // The last two before the cut were not durable, and their offsets are used again.
        let lost = BEFORE_THE_CUT as usize - 2;
        history.boot_ends[0].durable_ends.insert(OF, lost as i64);
        for audit in &mut history.audits {
            audit.values.retain(|_, value| !(lost as u64..BEFORE_THE_CUT).contains(&value.number));
            let values = std::mem::take(&mut audit.values).into_values();
            audit.values = (0..).zip(values).collect();
            audit.end -= 2;
        }
        for sent in history.sent.iter_mut().skip(BEFORE_THE_CUT as usize) {
            if let Outcome::Acknowledged { base_offset: Some(base), .. } = &mut sent.outcome {
                *base -= 2;
            }
        }
        for poll in history.polls.iter_mut().filter(|poll| poll.boot == Boot(2)) {
            poll.asked -= 2;
            poll.high_watermark = poll.high_watermark.map(|end| end - 2);
            poll.batches.iter_mut().for_each(|batch| batch.base_offset -= 2);
        }
    };
    assert_eq!(found("os", cut), [] as [&str; 0]);
    let found = found("group", cut);
    for anomaly in ["high-watermark-regression", "inconsistent-offset", "lost-write", "sequence-gap"] {
        assert!(found.contains(&anomaly), "{anomaly} expected, found {found:?}");
    }
}

#[test]
fn more_than_the_unsynced_suffix_lost_is_found_under_os() {
    let found = found("os", |history| {
        let audit = &mut history.audits[0];
        audit.end = 3;
        audit.values.retain(|offset, _| *offset < 3);
    });
    assert!(found.contains(&"lost-beyond-sync"), "{found:?}");
}

#[test]
fn a_lost_record_is_found() {
    check_damage("lost-write", |history| {
        let last = history.audits.last_mut().unwrap();
        last.end -= 1;
        last.values.pop_last();
        history.polls.pop();
    });
}

#[test]
fn a_record_that_was_only_read_and_vanished_is_found() {
    check_damage("vanished-read", |history| {
        let last = history.audits.last_mut().unwrap();
        last.end -= 1;
        last.values.pop_last();
        history.sent.last_mut().unwrap().outcome = Outcome::Unknown;
    });
}

#[test]
fn a_hole_is_found() {
    check_damage("lost-write", |history| {
        history.audits.last_mut().unwrap().values.remove(&4);
    });
}

#[test]
fn a_record_at_two_offsets_is_found() {
    check_damage("duplicate", |history| {
        let last = history.audits.last_mut().unwrap();
        last.values.insert(last.end, value(RECORDS - 1));
        last.end += 1;
    });
}

#[test]
fn two_records_at_one_offset_are_found() {
    check_damage("inconsistent-offset", |history| {
        history.audits.last_mut().unwrap().values.insert(2, value(3));
    });
}

#[test]
fn records_in_another_order_are_found() {
    check_damage("nonmonotonic-send", |history| {
        for sent in &mut history.sent {
            sent.outcome = Outcome::Unknown;
        }
        history.polls.clear();
        let last = history.audits.last_mut().unwrap();
        last.values.insert(8, value(9));
        last.values.insert(9, value(8));
    });
}

#[test]
fn a_record_between_two_of_its_producer_that_is_missing_is_found() {
    check_damage("sequence-gap", |history| {
        history.boot_ends.clear();
        for sent in &mut history.sent {
            sent.outcome = Outcome::Unknown;
        }
        history.audits.last_mut().unwrap().values.remove(&4);
    });
}

#[test]
fn a_skipping_read_is_found() {
    check_damage("poll-skip", |history| {
        let poll = &mut history.polls[3];
        poll.asked -= 1;
    });
    check_damage("poll-skip", |history| {
        let poll = &mut history.polls[3];
        let next = SeenBatch { base_offset: 5, leader_epoch: 1, records: vec![Ok(value(5))] };
        poll.batches.push(next);
    });
}

#[test]
fn a_read_beyond_the_high_watermark_is_found() {
    check_damage("read-beyond-high-watermark", |history| {
        history.polls[3].high_watermark = Some(3);
    });
}

#[test]
fn a_stranger_is_found() {
    check_damage("phantom", |history| {
        history.polls[3].batches[0].records[0] = Ok(value(1000));
    });
    check_damage("phantom", |history| {
        history.polls[3].batches[0].records[0] = Err(BadPayload::Elsewhere(value(3)));
    });
}

#[test]
fn a_damaged_payload_is_found() {
    check_damage("corrupt", |history| {
        history.polls[3].batches[0].records[0] = Err(BadPayload::Corrupt);
    });
}

#[test]
fn a_refused_record_that_is_read_is_found() {
    check_damage("refused-write-visible", |history| {
        history.sent[3].outcome = Outcome::Refused { code: 87 };
    });
}

#[test]
fn an_end_that_goes_back_is_found() {
    check_damage("high-watermark-regression", |history| {
        history.polls[4].high_watermark = Some(1);
    });
}

#[test]
fn a_start_that_goes_back_is_found() {
    check_damage("log-start-regression", |history| {
        history.polls[3].log_start = Some(2);
    });
}

#[test]
fn a_leader_epoch_that_goes_back_is_found() {
    check_damage("leader-epoch-regression", |history| {
        let topic = history.metadata.last_mut().unwrap().topics.get_mut("topic").unwrap();
        topic.leader_epochs.insert(0, 0);
    });
}

#[test]
fn a_producer_id_that_is_given_twice_is_found() {
    check_damage("producer-id-twice", |history| {
        history.producer_ids[1].id = 1;
    });
}

#[test]
fn a_sequence_that_is_refused_without_a_power_cut_is_found() {
    check_damage("sequence-refused", |history| {
        history.boot_ends.clear();
        let at = history.tick();
        let refused =
            SequenceRefused { producer: 1, at, boot: Boot(2), at_partition: OF, code: 45, acks: Acks::All };
        history.sequences_refused.push(refused);
    });
}

#[test]
fn a_topic_that_is_gone_is_found() {
    check_damage("lost-topic", |history| {
        history.metadata.last_mut().unwrap().topics.clear();
    });
}

#[test]
fn a_topic_under_another_id_is_found() {
    check_damage("wrong-topic-id", |history| {
        let topic = history.metadata.last_mut().unwrap().topics.get_mut("topic").unwrap();
        topic.id = TopicId([8; 16]);
    });
}

#[test]
fn a_topic_that_was_deleted_and_is_there_is_found() {
    check_damage("deleted-topic-visible", |history| {
        for event in [TopicEvent::Deleting, TopicEvent::Deleted] {
            let at = history.tick();
            history.topic_events.push((at, "topic".to_owned(), event));
        }
        look(history, Boot(2));
    });
}

#[test]
fn a_topic_id_that_is_given_twice_is_found() {
    check_damage("topic-id-twice", |history| {
        let at = history.tick();
        history.topic_events.push((at, "other".to_owned(), TopicEvent::Created { id: TOPIC }));
    });
}

#[test]
fn a_config_that_is_gone_is_found() {
    check_damage("lost-config", |history| {
        history.configs.last_mut().unwrap().overrides.clear();
    });
}

#[test]
fn removing_what_should_stay_is_found() {
    check_damage("removed-too-much", |history| {
        history.polls.last_mut().unwrap().log_start = Some(3);
    });
    let too_small = found("group", |history| {
        history
            .topics
            .get_mut(&TOPIC)
            .unwrap()
            .configs
            .insert("retention.bytes".to_owned(), "5000".to_owned());
        let audit = history.audits.last_mut().unwrap();
        audit.log_start = 3;
        audit.values = audit.values.split_off(&3);
    });
    assert!(too_small.contains(&"removed-too-much"), "{too_small:?}");
}

#[test]
fn deleted_records_that_come_back_are_found() {
    let delete = |history: &mut History| {
        history.deletions.push(Deletion { of: OF, completed: Moment(0), log_start: 1 });
    };
    assert_eq!(found("group", delete), ["deleted-records-back"]);
    assert_eq!(found("os", delete), [""; 0], "the end may go from under the beginning");
}

#[test]
fn an_unexpected_answer_is_found() {
    check_damage("unexpected-answer", |history| history.unexpected(None, "an odd error"));
}

#[test]
fn what_acks_one_wrote_may_go_in_a_power_cut_unless_somebody_read_it() {
    let mut history = good("group", Acks::One);
    let lost = BEFORE_THE_CUT - 1;
    history.boot_ends[0].durable_ends.insert(OF, lost as i64);
    history.sent[lost as usize].outcome =
        Outcome::Acknowledged { base_offset: Some(lost as i64), boot: Boot(1), at: Moment(50) };
    history.polls.retain(|poll| poll.boot == Boot(1) && poll.asked < lost as i64);
    history.sent.truncate(BEFORE_THE_CUT as usize);
    for audit in &mut history.audits {
        audit.end = lost as i64;
        audit.values.retain(|offset, _| *offset < lost as i64);
    }
    assert_eq!(check(&history), []);
    read(&mut history, Boot(1), lost, lost + 1);
    assert!(!check(&history).is_empty());
}
