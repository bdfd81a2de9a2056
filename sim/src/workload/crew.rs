//! Everybody who works in a run: makes its topics and sets its clients going.

use std::sync::Arc;

use ottla_runtime::{Rng, TaskHandle};

use super::{Admin, Producer, ProducerPlan, Topic, World, create_topic, observe, read};
use crate::marks::Mark;
use crate::scenario::Scenario;

/// Creates the topics that last for the whole run; the broker is running.
pub(crate) async fn create_topics(world: &World, scenario: &Scenario, rng: &mut Rng) {
    for planned in &scenario.topics {
        world.marks.hit(if planned.plan.flushes() { Mark::PolicyGroup } else { Mark::PolicyOs });
        let topic = Topic {
            plan: planned.plan.clone(),
            batch_bytes: planned.batch_bytes.clone(),
            churns: false,
            live: true,
        };
        // It gives up only when the run is over, which it is not before it began.
        let _id = create_topic(world, topic, rng).await;
    }
}

/// Starts the clients. Given back are those that end once the run drains; the others go on until it is over.
pub(crate) fn start_clients(world: &Arc<World>, scenario: &Scenario, rng: &mut Rng) -> Vec<TaskHandle> {
    let spawner = world.runtime.spawner.clone();
    let mut finishing = Vec::new();
    for acks in &scenario.producers {
        let plan = ProducerPlan { acks: *acks, pause_max: scenario.pause_max };
        let producer = Producer::new(Arc::clone(world), plan, rng.fork());
        finishing.push(spawner.spawn("producer", producer.run()));
    }
    let admin = Admin::new(Arc::clone(world), rng.fork(), scenario.churn_configs.clone());
    finishing.push(spawner.spawn("admin", admin.run()));
    for number in 0..scenario.readers {
        drop(spawner.spawn("reader", read(Arc::clone(world), number, rng.fork())));
    }
    drop(spawner.spawn("observer", observe(Arc::clone(world), rng.fork())));
    finishing
}
