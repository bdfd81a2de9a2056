//! The one who creates and deletes topics; nobody else does, so the history knows what has to be there.
//!
//! An answer that got lost is asked for again until one is definite.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_runtime::Rng;

use super::{Phase, Topic, World};
use crate::client::{CallError, Client};
use crate::history::{TopicEvent, TopicPlan};
use crate::marks::Mark;

/// How many names there are for topics that come and go.
const NAMES: u64 = 3;

/// Creates and deletes topics until the run drains.
pub(crate) struct Admin {
    world: Arc<World>,
    rng: Rng,
    /// Configs that every topic that comes and goes has.
    configs: BTreeMap<String, String>,
    /// Those that are there, by name.
    present: BTreeMap<String, TopicId>,
    names_used: BTreeMap<String, u64>,
}

impl Admin {
    pub(crate) fn new(world: Arc<World>, rng: Rng, configs: BTreeMap<String, String>) -> Admin {
        Admin { world, rng, configs, present: BTreeMap::new(), names_used: BTreeMap::new() }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let pause = Duration::from_millis(30 + self.rng.below(400));
            self.world.pause(pause).await;
            if self.world.phase() != Phase::Running {
                return;
            }
            let name = format!("churn-{}", self.rng.below(NAMES));
            match self.present.remove(&name) {
                Some(id) => self.delete(&name, id).await,
                None => self.create(name).await,
            }
        }
    }

    async fn create(&mut self, name: String) {
        let mut configs = self.configs.clone();
        if self.rng.chance(1, 2) {
            configs.insert("segment.index.bytes".to_owned(), "32".to_owned());
            configs.insert("index.interval.bytes".to_owned(), "0".to_owned());
        }
        let partition_count = 1 + i32::try_from(self.rng.below(2)).expect("small");
        let plan = TopicPlan { name: name.clone(), partition_count, configs };
        let topic = Topic { plan, batch_bytes: 100..6_000, churns: true, live: true };
        let Some(id) = create_topic(&self.world, topic, &mut self.rng).await else { return };
        let times = self.names_used.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            self.world.marks.hit(Mark::TopicRecreated);
        }
        self.present.insert(name, id);
    }

    async fn delete(&mut self, name: &str, id: TopicId) {
        if let Some(topic) = self.world.topics.lock().get_mut(&id) {
            topic.live = false;
        }
        if delete_topic(&self.world, name, id, &mut self.rng).await {
            self.world.marks.hit(Mark::TopicDeleted);
        }
    }
}

/// Deletes a topic, asking until it is gone. False if the run is over before.
pub(super) async fn delete_topic(world: &World, name: &str, id: TopicId, rng: &mut Rng) -> bool {
    note(world, name, TopicEvent::Deleting);
    let mut asked = 0;
    loop {
        let Some(client) = world.connect(rng).await else { return false };
        asked += 1;
        let code = match client.delete_topic(id).await {
            Ok(code) => ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError),
            Err(error) => {
                report(world, error);
                continue;
            }
        };
        match code {
            ErrorCode::None => break,
            // An attempt before this one may have done it.
            ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition if asked > 1 => break,
            code if code.is_retriable() && code != ErrorCode::UnknownTopicId => {
                world.pause(Duration::from_millis(50)).await;
            }
            code => {
                let text = format!("deleting {name} ({id}) got error {code}");
                world.history.lock().unexpected(None, text);
                break;
            }
        }
    }
    note(world, name, TopicEvent::Deleted);
    true
}

/// Creates a topic, asking until it is there; nothing if the run is over before.
pub(crate) async fn create_topic(world: &World, topic: Topic, rng: &mut Rng) -> Option<TopicId> {
    let id = request_topic(world, &topic.plan, rng).await?;
    world.topics.lock().insert(id, topic);
    Some(id)
}

/// Has a topic created, asking until it is there; nothing if the run is over before.
pub(super) async fn request_topic(world: &World, plan: &TopicPlan, rng: &mut Rng) -> Option<TopicId> {
    let name = plan.name.clone();
    note(world, &name, TopicEvent::Creating);
    let mut asked = 0;
    let id = loop {
        let client = world.connect(rng).await?;
        asked += 1;
        let (code, id) = match client.create_topic(plan).await {
            Ok((code, id)) => (ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError), id),
            Err(error) => {
                report(world, error);
                continue;
            }
        };
        match code {
            ErrorCode::None => break id,
            ErrorCode::TopicAlreadyExists if asked > 1 => match id_of(&client, &name).await {
                Some(id) => break id,
                None => world.pause(Duration::from_millis(20)).await,
            },
            code if code.is_retriable() => world.pause(Duration::from_millis(50)).await,
            code => {
                let text = format!("creating {name} got error {code}");
                world.history.lock().unexpected(None, text);
                world.pause(Duration::from_millis(500)).await;
            }
        }
    };
    let mut history = world.history.lock();
    let at = history.tick();
    history.topic_events.push((at, name, TopicEvent::Created { id }));
    history.topics.insert(id, plan.clone());
    Some(id)
}

async fn id_of(client: &Client, name: &str) -> Option<TopicId> {
    client.metadata().await.ok()?.get(name).map(|topic| topic.id)
}

fn note(world: &World, name: &str, event: TopicEvent) {
    let mut history = world.history.lock();
    let at = history.tick();
    history.topic_events.push((at, name.to_owned(), event));
}

fn report(world: &World, error: CallError) {
    if let CallError::Unreadable(text) = error {
        world.history.lock().unexpected(None, text);
    }
}
