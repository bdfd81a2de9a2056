//! Random schedules: members come, go, crash, lose answers and take their time, topics come, grow and go. No partition is
//! ever used by two members, epochs don't go back, and when all is quiet everybody has what it should.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_runtime::Rng;

use super::play::{GROUP, Play};

const TOPICS: [&str; 4] = ["t1", "t2", "u", "x"];

/// A client as it should behave.
#[derive(Debug, Default, Clone)]
struct Client {
    epoch: i32,
    /// What the broker said.
    assigned: BTreeSet<(TopicId, i32)>,
    /// What it uses: all that it was assigned, and what it has not yet got round to giving up.
    owned: BTreeSet<(TopicId, i32)>,
    names: Vec<&'static str>,
    regex: Option<&'static str>,
    instance: Option<String>,
    /// It says everything with its next heartbeat, since an answer was lost.
    says_all: bool,
}

struct Schedule {
    clients_max: usize,
    play: Play,
    rng: Rng,
    clients: BTreeMap<String, Client>,
    next_client: u32,
    epochs: BTreeMap<String, i32>,
}

impl Schedule {
    fn new(seed: u64) -> Schedule {
        let mut schedule = Schedule {
            clients_max: 8,
            play: Play::new(),
            rng: Rng::seeded(seed),
            clients: BTreeMap::new(),
            next_client: 0,
            epochs: BTreeMap::new(),
        };
        schedule.play.rules.assignment_interval =
            std::time::Duration::from_millis(if schedule.below(2) == 0 { 0 } else { 1000 });
        schedule
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn some_client(&mut self) -> Option<String> {
        let count = u64::try_from(self.clients.len()).expect("few");
        if count == 0 {
            return None;
        }
        let nth = usize::try_from(self.below(count)).expect("few");
        self.clients.keys().nth(nth).cloned()
    }

    fn subscribe(&mut self) -> (Vec<&'static str>, Option<&'static str>) {
        match self.below(6) {
            0 => (vec![], Some("t.*")),
            1 => (vec!["x"], Some("t1|u")),
            2 => (vec!["u"], None),
            3 => (vec!["t1", "u", "x"], None),
            _ => (vec!["t1", "t2"], None),
        }
    }

    fn step(&mut self) {
        match self.below(100) {
            0..=9 if self.clients.len() < self.clients_max => self.join(),
            10..=12 => self.leave(),
            13..=14 => self.crash(),
            15..=16 => {
                let topic = TOPICS[usize::try_from(self.below(4)).expect("small")];
                let count = i32::try_from(self.below(6)).expect("small") + 1;
                self.play.topic(topic, count);
            }
            17 => {
                let topic = TOPICS[usize::try_from(self.below(4)).expect("small")];
                if self.play.image.topic(topic).is_some() {
                    self.play.delete(topic);
                }
            }
            18..=19 => {
                if let Some(id) = self.some_client() {
                    let (names, regex) = self.subscribe();
                    let client = self.clients.get_mut(&id).expect("it is there");
                    (client.names, client.regex, client.says_all) = (names, regex, true);
                }
            }
            20 => self.play.reload(),
            21..=30 => {
                let ms = self.below(2000);
                self.play.wait(ms);
            }
            31..=50 => {
                // Somebody gives up what it was told to.
                if let Some(id) = self.some_client() {
                    let client = self.clients.get_mut(&id).expect("it is there");
                    client.owned = client.assigned.clone();
                }
            }
            _ => {
                if let Some(id) = self.some_client() {
                    let is_lost = self.below(10) == 0;
                    self.beat(&id, is_lost);
                }
            }
        }
        self.assert_disjoint();
    }

    fn join(&mut self) {
        self.next_client += 1;
        let id = format!("m{}", self.next_client);
        let (names, regex) = self.subscribe();
        let instance = (self.below(3) == 0).then(|| format!("i{}", self.below(3)));
        let client = Client { names, regex, instance, says_all: true, ..Client::default() };
        self.clients.insert(id.clone(), client);
        self.beat(&id, false);
    }

    fn request(id: &str, client: &Client) -> ConsumerGroupHeartbeatRequest {
        let mut owned: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, index) in &client.owned {
            owned.entry(*topic).or_default().push(*index);
        }
        let rows = owned.into_iter().map(|(topic_id, partitions)| {
            ConsumerGroupHeartbeatRequestTopicPartitions { topic_id, partitions }
        });
        let all = client.says_all || client.epoch == 0;
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP,
            member_id: Str::copy_of(id),
            member_epoch: client.epoch,
            instance_id: client.instance.as_deref().map(Str::copy_of),
            rebalance_timeout_ms: if all { 20_000 } else { -1 },
            subscribed_topic_names: all.then(|| client.names.iter().map(|name| Str::copy_of(name)).collect()),
            subscribed_topic_regex: all.then(|| Str::copy_of(client.regex.unwrap_or_default())),
            topic_partitions: Some(rows.collect()),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    fn beat(&mut self, id: &str, is_lost: bool) {
        let client = self.clients.get(id).expect("it is there").clone();
        match self.play.heartbeat(1, &Schedule::request(id, &client)) {
            Ok(response) if !is_lost => self.hear(id, &response),
            Ok(_) => self.clients.get_mut(id).expect("it is there").says_all = true,
            Err(error) => {
                let client = self.clients.get_mut(id).expect("it is there");
                match error.code() {
                    // It gives up everything and joins anew, as it is.
                    ErrorCode::FencedMemberEpoch
                    | ErrorCode::UnknownMemberId
                    | ErrorCode::GroupIdNotFound => {
                        let (names, regex, instance) =
                            (client.names.clone(), client.regex, client.instance.clone());
                        *client = Client { names, regex, instance, says_all: true, ..Client::default() };
                        self.epochs.remove(id);
                    }
                    ErrorCode::UnreleasedInstanceId | ErrorCode::FencedInstanceId => {
                        self.clients.remove(id);
                    }
                    other => panic!("{id}: {other:?}"),
                }
            }
        }
    }

    fn hear(&mut self, id: &str, response: &ConsumerGroupHeartbeatResponse) {
        let before = self.epochs.insert(id.to_owned(), response.member_epoch);
        assert!(before.is_none_or(|before| before <= response.member_epoch), "{id}'s epoch went back");
        let client = self.clients.get_mut(id).expect("it is there");
        client.epoch = response.member_epoch;
        client.says_all = false;
        if let Some(assignment) = &response.assignment {
            client.assigned = assignment
                .topic_partitions
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)))
                .collect();
            client.owned.extend(client.assigned.iter().copied());
        }
    }

    fn leave(&mut self) {
        let Some(id) = self.some_client() else { return };
        let client = self.clients.remove(&id).expect("it is there");
        let is_for_a_while = client.instance.is_some() && self.below(2) == 0;
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP,
            member_id: Str::copy_of(&id),
            member_epoch: if is_for_a_while { -2 } else { -1 },
            instance_id: client.instance.as_deref().map(Str::copy_of),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        // It may have been fenced without knowing.
        let _told = self.play.heartbeat(1, &request);
        self.epochs.remove(&id);
    }

    fn crash(&mut self) {
        if let Some(id) = self.some_client() {
            self.clients.remove(&id);
            self.epochs.remove(&id);
        }
    }

    /// Members that the group knows use nothing that another one uses.
    fn assert_disjoint(&self) {
        let mut users: BTreeMap<(TopicId, i32), &String> = BTreeMap::new();
        for (id, client) in &self.clients {
            // One that was fenced may not know yet; the group waited for it as long as it has to.
            let is_known = self.play.group.members.get(&Str::copy_of(id));
            if is_known.is_none_or(|member| member.current.epoch == -2) || client.epoch == 0 {
                continue;
            }
            for place in &client.owned {
                let other = users.insert(*place, id);
                assert_eq!(other, None, "{place:?} is used by {id} too");
            }
        }
    }

    /// Everybody behaves and nothing changes any more.
    fn settle(&mut self, seconds: u32) {
        for _ in 0..seconds {
            for id in self.clients.keys().cloned().collect::<Vec<_>>() {
                self.beat(&id, false);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.owned = client.assigned.clone();
                }
                self.assert_disjoint();
            }
            self.play.wait(1000);
        }
    }

    fn assert_settled(&mut self) {
        let expected = if self.clients.is_empty() { "Empty" } else { "Stable" };
        assert_eq!(self.play.group.state(), expected);
        let mut given: BTreeSet<(TopicId, i32)> = BTreeSet::new();
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        for client in self.clients.values() {
            assert_eq!(client.owned, client.assigned);
            given.extend(client.owned.iter().copied());
            wanted.extend(client.names.iter());
            wanted.extend(TOPICS.iter().filter(|topic| match client.regex {
                Some("t.*") => topic.starts_with('t'),
                Some(_) => matches!(**topic, "t1" | "u"),
                None => false,
            }));
        }
        let mut all = BTreeSet::new();
        for topic in wanted.into_iter().filter_map(|name| self.play.image.topic(name)) {
            all.extend((0i32..).zip(topic.partitions()).map(|(index, _)| (topic.id(), index)));
        }
        assert_eq!(given, all, "everything that is wanted is given, and nothing else");
    }
}

fn run(seed: u64) -> usize {
    let mut schedule = Schedule::new(seed);
    schedule.play.topic("t1", 3);
    schedule.play.topic("u", 2);
    for _ in 0..150 {
        schedule.step();
    }
    schedule.settle(60);
    schedule.assert_settled();
    schedule.play.reload();
    schedule.play.log.len()
}

#[test]
fn random_schedules_never_share_a_partition_and_settle() {
    for seed in 0..150 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_schedule_plays_the_same_twice() {
    assert_eq!(run(77), run(77));
}

/// T-51: a storm of five hundred members. Everybody has what it should within ten seconds of quiet, but for those who are
/// gone without a word, whose sessions have to end first.
#[test]
fn five_hundred_members_settle_within_ten_seconds() {
    let mut schedule = Schedule::new(51);
    schedule.clients_max = 500;
    schedule.play.topic("t1", 1200);
    schedule.play.topic("u", 800);
    for _ in 0..500 {
        schedule.join();
    }
    for _ in 0..400 {
        schedule.step();
    }
    // Whoever crashed is out.
    for _ in 0..10 {
        schedule.settle(1);
        schedule.play.wait(4000);
    }
    for id in schedule.clients.keys().take(50).cloned().collect::<Vec<_>>() {
        let client = schedule.clients.remove(&id).expect("it is there");
        let request = Schedule::request(&id, &client);
        let request = ConsumerGroupHeartbeatRequest { member_epoch: -1, topic_partitions: None, ..request };
        assert!(schedule.play.heartbeat(1, &request).is_ok());
        schedule.epochs.remove(&id);
    }
    schedule.settle(10);
    schedule.assert_settled();
}
