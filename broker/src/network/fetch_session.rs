//! Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, the client sends only what
//! changed, and the answer holds only what is new. Pure: time, and the ids of new sessions, come in.
//!
//! | request (id, epoch) | meaning |
//! |---|---|
//! | 0, −1 | no session, all partitions named, all answered |
//! | any, 0 | a new session (an old one of that id ends) |
//! | id, −1 | the session ends; answered like a request without one |
//! | id, n | incremental: n counts up from 1 and wraps to 1 |
//!
//! Where there is no room for another session the answer's id is 0, which tells the client to go on without.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

/// A session unused for so long may be ended for the sake of a new one
/// (`min.incremental.fetch.session.eviction.ms`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// A topic as the request named it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TopicRef {
    /// Fetch 4 to 12.
    Name(Str),
    /// Fetch 13 and later.
    Id(TopicId),
}

/// One partition that a request (or the session behind it) asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchPartition {
    pub(crate) topic: TopicRef,
    pub(crate) index: i32,
    pub(crate) fetch_offset: i64,
    /// −1: the client does not know it.
    pub(crate) current_leader_epoch: i32,
    /// −1: the client does not check for divergence.
    pub(crate) last_fetched_epoch: i32,
    pub(crate) max_bytes: i32,
}

/// What an answer about a partition says, as far as sessions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnsweredEnds {
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// An error, records, or a diverging epoch: said even when the ends are as before.
    pub(crate) is_news: bool,
}

/// How a request is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchContext {
    /// What the answer's `session_id` says.
    pub(crate) session_id: i32,
    /// Whether partitions without news are left out.
    pub(crate) is_incremental: bool,
    /// What to look at, in this order.
    pub(crate) partitions: Vec<FetchPartition>,
}

type Key = (TopicRef, i32);

#[derive(Debug)]
struct Session {
    uses_topic_ids: bool,
    next_epoch: i32,
    used_at: MonotonicTime,
    /// In the order in which they are looked at; ones that had records go to the end, so that each gets its turn.
    order: Vec<Key>,
    partitions: BTreeMap<Key, (FetchPartition, Option<AnsweredEnds>)>,
}

/// All sessions of a broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions: BTreeMap<i32, Session>,
    count_max: usize,
}

/// What a Fetch says about its session.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// Fetch 13 and later.
    pub(crate) uses_topic_ids: bool,
    pub(crate) partitions: Vec<FetchPartition>,
    pub(crate) forgotten: Vec<(TopicRef, i32)>,
}

impl FetchSessions {
    /// Room for `count_max` sessions (`max.incremental.fetch.session.cache.slots`).
    pub(crate) fn new(count_max: usize) -> FetchSessions {
        FetchSessions { sessions: BTreeMap::new(), count_max }
    }

    /// How many sessions there are.
    pub(crate) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// What the request asks for, with its session if it has one. `fresh_id` is tried as a new session's id.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND (70), INVALID_FETCH_SESSION_EPOCH (71), FETCH_SESSION_TOPIC_ID_ERROR (106).
    pub(crate) fn begin(
        &mut self,
        now: MonotonicTime,
        fresh_id: i32,
        request: SessionRequest,
    ) -> Result<FetchContext, ErrorCode> {
        match request.epoch {
            -1 => {
                self.sessions.remove(&request.id);
                Ok(FetchContext {
                    session_id: 0,
                    is_incremental: false,
                    partitions: last_of_each(request.partitions),
                })
            }
            0 => {
                self.sessions.remove(&request.id);
                let partitions = last_of_each(request.partitions);
                let session_id = self.create(now, fresh_id, request.uses_topic_ids, &partitions);
                Ok(FetchContext { session_id, is_incremental: false, partitions })
            }
            _ => self.resume(now, request),
        }
    }

    fn create(
        &mut self,
        now: MonotonicTime,
        fresh_id: i32,
        uses_topic_ids: bool,
        partitions: &[FetchPartition],
    ) -> i32 {
        // Without partitions there is nothing to remember.
        if partitions.is_empty() || !self.make_room(now) {
            return 0;
        }
        let mut id = fresh_id.checked_abs().unwrap_or(1).max(1);
        while self.sessions.contains_key(&id) {
            id = id.checked_add(1).unwrap_or(1);
        }
        let mut session = Session {
            uses_topic_ids,
            next_epoch: 1,
            used_at: now,
            order: Vec::with_capacity(partitions.len()),
            partitions: BTreeMap::new(),
        };
        for partition in partitions {
            session.put(partition.clone());
        }
        self.sessions.insert(id, session);
        id
    }

    fn make_room(&mut self, now: MonotonicTime) -> bool {
        if self.sessions.len() < self.count_max {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(id, session)| (session.used_at, **id));
        match oldest {
            Some((&id, session)) if EVICTABLE_AFTER <= now.since(session.used_at) => {
                self.sessions.remove(&id);
                true
            }
            _ => false,
        }
    }

    fn resume(&mut self, now: MonotonicTime, request: SessionRequest) -> Result<FetchContext, ErrorCode> {
        let session = self.sessions.get_mut(&request.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.next_epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next_epoch = session.next_epoch.checked_add(1).unwrap_or(1);
        session.used_at = now;
        for partition in request.partitions {
            session.put(partition);
        }
        session.forget(&request.forgotten);
        let partitions =
            session.order.iter().filter_map(|key| Some(session.partitions.get(key)?.0.clone())).collect();
        Ok(FetchContext { session_id: request.id, is_incremental: true, partitions })
    }

    /// Notes what is about to be answered, in the order of `context.partitions`, and says for each whether it goes
    /// into the answer.
    pub(crate) fn finish(&mut self, context: &FetchContext, answers: &[AnsweredEnds]) -> Vec<bool> {
        assert_eq!(context.partitions.len(), answers.len(), "each partition has its answer");
        let Some(session) = self.sessions.get_mut(&context.session_id) else {
            return vec![true; answers.len()];
        };
        let mut with_news = Vec::new();
        let included = context
            .partitions
            .iter()
            .zip(answers)
            .map(|(partition, answer)| {
                let key = (partition.topic.clone(), partition.index);
                let Some((_, told)) = session.partitions.get_mut(&key) else { return true };
                let ends = AnsweredEnds { is_news: false, ..*answer };
                let is_included = !context.is_incremental || answer.is_news || *told != Some(ends);
                *told = Some(ends);
                if answer.is_news {
                    with_news.push(key);
                }
                is_included
            })
            .collect();
        session.move_to_end(with_news);
        included
    }
}

impl Session {
    fn put(&mut self, partition: FetchPartition) {
        let key = (partition.topic.clone(), partition.index);
        match self.partitions.get_mut(&key) {
            Some((asked, _)) => *asked = partition,
            None => {
                self.order.push(key.clone());
                self.partitions.insert(key, (partition, None));
            }
        }
    }

    fn forget(&mut self, keys: &[Key]) {
        for key in keys {
            self.partitions.remove(key);
        }
        // Once for all of them: a request may name a hundred thousand.
        if self.partitions.len() < self.order.len() {
            self.order.retain(|key| self.partitions.contains_key(key));
        }
    }

    fn move_to_end(&mut self, keys: Vec<Key>) {
        if keys.is_empty() || keys.len() == self.order.len() {
            return;
        }
        let moved: std::collections::BTreeSet<Key> = keys.into_iter().collect();
        self.order.retain(|key| !moved.contains(key));
        self.order.extend(moved);
    }
}

/// A partition named twice counts once, as it was named last.
fn last_of_each(partitions: Vec<FetchPartition>) -> Vec<FetchPartition> {
    let mut places: BTreeMap<Key, usize> = BTreeMap::new();
    let mut kept: Vec<FetchPartition> = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let next = kept.len();
        let place = *places.entry((partition.topic.clone(), partition.index)).or_insert(next);
        if place == next {
            kept.push(partition);
        } else if let Some(earlier) = kept.get_mut(place) {
            *earlier = partition;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32, fetch_offset: i64) -> FetchPartition {
        FetchPartition {
            topic: TopicRef::Name(Str::from("t")),
            index,
            fetch_offset,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            max_bytes: 1000,
        }
    }

    fn request(id: i32, epoch: i32, partitions: Vec<FetchPartition>) -> SessionRequest {
        SessionRequest { id, epoch, uses_topic_ids: false, partitions, forgotten: Vec::new() }
    }

    fn ends(high_watermark: i64, is_news: bool) -> AnsweredEnds {
        AnsweredEnds { high_watermark, last_stable_offset: high_watermark, log_start_offset: 0, is_news }
    }

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn requests_get_the_error_or_the_session_that_they_ask_for() {
        type Expected = Result<(i32, bool), ErrorCode>;
        let cases: [(i32, i32, bool, Expected); 9] = [
            (0, -1, false, Ok((0, false))),
            (0, 0, false, Ok((9, false))),
            (77, 0, false, Ok((9, false))),
            (5, 1, false, Ok((5, true))),
            (5, 2, false, Err(ErrorCode::InvalidFetchSessionEpoch)),
            (5, 1, true, Err(ErrorCode::FetchSessionTopicIdError)),
            (6, 1, false, Err(ErrorCode::FetchSessionIdNotFound)),
            (0, 1, false, Err(ErrorCode::FetchSessionIdNotFound)),
            (0, -2, false, Err(ErrorCode::FetchSessionIdNotFound)),
        ];
        for (id, epoch, uses_topic_ids, expected) in cases {
            let mut sessions = FetchSessions::new(10);
            sessions.begin(at(0), 5, request(0, 0, vec![partition(0, 0)])).expect("a new session");
            let asked = SessionRequest { uses_topic_ids, ..request(id, epoch, vec![partition(1, 0)]) };
            let found =
                sessions.begin(at(0), 9, asked).map(|context| (context.session_id, context.is_incremental));
            assert_eq!(found, expected, "id {id}, epoch {epoch}");
        }
    }

    #[test]
    fn an_incremental_answer_holds_only_what_is_new() {
        let mut sessions = FetchSessions::new(10);
        let all = (0..3).map(|index| partition(index, 0)).collect();
        let first = sessions.begin(at(0), 5, request(0, 0, all)).expect("a new session");
        assert_eq!(sessions.finish(&first, &[ends(0, false); 3]), [true; 3]);
        let next = sessions.begin(at(1), 0, request(5, 1, vec![])).expect("known");
        assert_eq!(next.partitions.len(), 3);
        assert_eq!(
            sessions.finish(&next, &[ends(0, false), ends(4, false), ends(0, true)]),
            [false, true, true]
        );
        // What had records comes last now; an error or unread records are said again, unchanged ends are not.
        let next = sessions.begin(at(2), 0, request(5, 2, vec![partition(2, 8)])).expect("known");
        let order: Vec<(i32, i64)> = next.partitions.iter().map(|p| (p.index, p.fetch_offset)).collect();
        assert_eq!(order, [(0, 0), (1, 0), (2, 8)]);
        assert_eq!(
            sessions.finish(&next, &[ends(0, false), ends(4, false), ends(0, true)]),
            [false, false, true]
        );
    }

    #[test]
    fn forgotten_partitions_are_looked_at_no_more() {
        let mut sessions = FetchSessions::new(10);
        let all = (0..2).map(|index| partition(index, 0)).collect();
        sessions.begin(at(0), 5, request(0, 0, all)).expect("a new session");
        let forgotten = vec![(TopicRef::Name(Str::from("t")), 0), (TopicRef::Name(Str::from("never")), 0)];
        let asked = SessionRequest { forgotten, ..request(5, 1, vec![]) };
        let context = sessions.begin(at(0), 0, asked).expect("known");
        assert_eq!(context.partitions, [partition(1, 0)]);
    }

    #[test]
    fn a_full_cache_ends_only_sessions_long_unused() {
        let mut sessions = FetchSessions::new(1);
        let one = || request(0, 0, vec![partition(0, 0)]);
        assert_eq!(sessions.begin(at(0), 5, one()).expect("room").session_id, 5);
        assert_eq!(sessions.begin(at(119), 6, one()).expect("no session").session_id, 0);
        assert_eq!(sessions.begin(at(120), 6, one()).expect("room").session_id, 6);
        let gone = sessions.begin(at(120), 0, request(5, 1, vec![]));
        assert_eq!(gone, Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn a_partition_named_twice_counts_once_as_named_last() {
        let asked = request(0, -1, vec![partition(0, 1), partition(1, 2), partition(0, 3)]);
        let context = FetchSessions::new(0).begin(at(0), 1, asked).expect("no session");
        assert_eq!(context.partitions, [partition(0, 3), partition(1, 2)]);
    }

    #[test]
    fn epochs_wrap_to_one() {
        let mut sessions = FetchSessions::new(1);
        sessions.begin(at(0), 5, request(0, 0, vec![partition(0, 0)])).expect("room");
        sessions.sessions.get_mut(&5).expect("there").next_epoch = i32::MAX;
        sessions.begin(at(0), 0, request(5, i32::MAX, vec![])).expect("the last epoch");
        sessions.begin(at(0), 0, request(5, 1, vec![])).expect("wrapped");
    }
}
