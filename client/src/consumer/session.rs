//! The fetch session with one broker (KIP-227): the broker remembers what it was asked for, so that a request names only
//! what has changed, and an answer only what is new. Pure.
//!
//! | request (id, epoch) | meaning                                                                        |
//! |---------------------|--------------------------------------------------------------------------------|
//! | 0, 0                | everything is named; the broker may open a session, whose id the answer tells  |
//! | id, 0               | the same, and the old session ends                                             |
//! | id, n               | the n-th one in the session: names what has changed                            |
//!
//! What the broker remembers has changed with a request that arrived, answered or not. So where there is no answer, or
//! one that says that the two don't agree, the next request names everything again. A broker that knows no sessions, or
//! has no room for one, answers with id 0, and hears everything each time.

use std::collections::BTreeMap;

use ottla_protocol::api::fetch::FetchRequestPartition;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;

use super::TopicPartition;

/// What is known of a broker's session. At first there is none.
#[derive(Debug, Default)]
pub(super) struct FetchSession {
    /// 0: none.
    id: i32,
    /// The next request's; 0 names everything.
    epoch: i32,
    /// What the broker has been asked for last.
    known: BTreeMap<TopicPartition, (TopicId, FetchRequestPartition)>,
}

/// A partition that a fetch is to be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) row: FetchRequestPartition,
}

/// What a request says of the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionRequest {
    pub(super) id: i32,
    pub(super) epoch: i32,
    /// In the order in which they were wanted.
    pub(super) named: Vec<Wanted>,
    /// No longer wanted.
    pub(super) forgotten: Vec<(TopicPartition, TopicId)>,
}

impl FetchSession {
    /// What a request has to say so that its answer is about these partitions and no others. The next one follows when
    /// there is an answer to it, or none can come.
    pub(super) fn next(&mut self, wanted: Vec<Wanted>) -> SessionRequest {
        let rows = wanted.iter().map(|it| (it.name.clone(), (it.topic_id, it.row.clone())));
        let before = std::mem::replace(&mut self.known, rows.collect());
        // Brokers that know topics by name only cannot tell one that was created anew from the old one.
        let is_anew =
            |it: &Wanted| before.get(&it.name).is_some_and(|(topic_id, _)| *topic_id != it.topic_id);
        if wanted.iter().any(is_anew) {
            self.epoch = 0;
        }
        let (id, epoch) = (self.id, self.epoch);
        if epoch == 0 {
            return SessionRequest { id, epoch, named: wanted, forgotten: Vec::new() };
        }
        let has_changed = |it: &Wanted| before.get(&it.name).is_none_or(|(_, row)| *row != it.row);
        let named = wanted.into_iter().filter(has_changed).collect();
        let forgotten = before.into_iter().filter(|(name, _)| !self.known.contains_key(name));
        let forgotten = forgotten.map(|(name, (topic_id, _))| (name, topic_id)).collect();
        SessionRequest { id, epoch, named, forgotten }
    }

    /// The request was answered, with this session id.
    pub(super) fn on_answer(&mut self, id: i32) {
        if id == 0 {
            *self = FetchSession::default();
        } else if self.epoch == 0 {
            (self.id, self.epoch) = (id, 1);
        } else if id == self.id {
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        } else {
            self.on_no_answer();
        }
    }

    /// The request was refused as a whole.
    pub(super) fn on_refused(&mut self, code: i16) {
        if code == ErrorCode::FetchSessionIdNotFound.code() {
            *self = FetchSession::default();
        } else {
            self.on_no_answer();
        }
    }

    /// Nobody knows whether the request arrived.
    pub(super) fn on_no_answer(&mut self) {
        self.epoch = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::types::PartitionIndex;

    /// Plays `a-0:5 a-1:7`, which is what is wanted and from where (`b/2-0:5`: of the topic's second life); `= ID`, an
    /// answer; `! CODE`, a refusal; `lost`. Gives what each request says: `ID/EPOCH`, what it names, and what it forgets.
    fn play(session: &mut FetchSession, steps: &str) -> Vec<String> {
        let mut said = Vec::new();
        for step in steps.split('|').map(str::trim) {
            if let Some(id) = step.strip_prefix("= ") {
                session.on_answer(id.parse().expect("an id"));
            } else if let Some(code) = step.strip_prefix("! ") {
                session.on_refused(code.parse().expect("a code"));
            } else if step == "lost" {
                session.on_no_answer();
            } else {
                let SessionRequest { id, epoch, named, forgotten } =
                    session.next(step.split_whitespace().map(wanted).collect());
                let mut words = vec![format!("{id}/{epoch}")];
                words.extend(named.iter().map(|it| format!("{}:{}", it.name, it.row.fetch_offset)));
                words.extend(forgotten.iter().map(|(name, _)| format!("-{name}")));
                said.push(words.join(" "));
            }
        }
        said
    }

    fn wanted(word: &str) -> Wanted {
        let (name, offset) = word.split_once(':').expect("name:offset");
        let (topic, index) = name.rsplit_once('-').expect("topic-index");
        let (topic, life) = topic.split_once('/').unwrap_or((topic, "1"));
        let partition: i32 = index.parse().expect("an index");
        let fetch_offset = offset.parse().expect("an offset");
        Wanted {
            name: TopicPartition::new(topic, PartitionIndex(partition)),
            topic_id: TopicId([life.parse().expect("a number"); 16]),
            row: FetchRequestPartition { partition, fetch_offset, ..FetchRequestPartition::default() },
        }
    }

    #[track_caller]
    fn check(steps: &str, expected: &[&str]) {
        assert_eq!(play(&mut FetchSession::default(), steps), expected, "{steps}");
    }

    #[test]
    fn a_session_names_what_has_changed() {
        check(
            "a-0:5 a-1:7 | = 9 | a-0:5 a-1:7 | = 9 | a-0:6 a-1:7 | = 9 | a-1:7 a-2:0 | = 9 | a-2:0 | = 9 | a-0:6 a-2:1",
            &["0/0 a-0:5 a-1:7", "9/1", "9/2 a-0:6", "9/3 a-2:0 -a-0", "9/4 -a-1", "9/5 a-0:6 a-2:1"],
        );
    }

    #[test]
    fn what_is_named_keeps_its_order() {
        check("b-0:1 a-0:1 | = 9 | c-0:1 a-0:2 b-0:2", &["0/0 b-0:1 a-0:1", "9/1 c-0:1 a-0:2 b-0:2"]);
    }

    #[test]
    fn a_broker_without_sessions_hears_everything_each_time() {
        check("a-0:5 | = 0 | a-0:5 | = 0 | a-0:6", &["0/0 a-0:5", "0/0 a-0:5", "0/0 a-0:6"]);
        // It may open one later, and may end one.
        check(
            "a-0:5 | = 0 | a-0:5 | = 9 | a-0:5 | = 0 | a-0:5",
            &["0/0 a-0:5", "0/0 a-0:5", "9/1", "0/0 a-0:5"],
        );
    }

    #[test]
    fn where_the_two_do_not_agree_everything_is_named_again() {
        // FETCH_SESSION_ID_NOT_FOUND: there is no session to be ended.
        check(
            "a-0:5 | = 9 | a-0:6 | ! 70 | a-0:6 | = 10 | a-0:6",
            &["0/0 a-0:5", "9/1 a-0:6", "0/0 a-0:6", "10/1"],
        );
        // INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR, and others: the old session ends.
        for code in [71, 106, -1] {
            check(
                &format!("a-0:5 | = 9 | a-0:6 | ! {code} | a-0:6 | = 10 | a-0:6"),
                &["0/0 a-0:5", "9/1 a-0:6", "9/0 a-0:6", "10/1"],
            );
        }
        check(
            "a-0:5 | = 9 | a-0:6 | lost | a-0:6 | lost | a-0:6",
            &["0/0 a-0:5", "9/1 a-0:6", "9/0 a-0:6", "9/0 a-0:6"],
        );
        // The answer of another session.
        check("a-0:5 | = 9 | a-0:6 | = 8 | a-0:6", &["0/0 a-0:5", "9/1 a-0:6", "9/0 a-0:6"]);
    }

    #[test]
    fn a_topic_that_was_created_anew_begins_a_session() {
        check(
            "a-0:5 b-0:5 | = 9 | a-0:5 b/2-0:0 | = 10 | a-0:5 b/2-0:0",
            &["0/0 a-0:5 b-0:5", "9/0 a-0:5 b-0:0", "10/1"],
        );
    }

    #[test]
    fn epochs_begin_again_at_one() {
        let mut session = FetchSession { id: 9, epoch: i32::MAX, ..FetchSession::default() };
        assert_eq!(play(&mut session, "a-0:5 | = 9 | a-0:5"), ["9/2147483647 a-0:5", "9/1"]);
    }
}
