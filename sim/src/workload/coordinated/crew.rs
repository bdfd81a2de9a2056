//! Makes the topics of a run about coordinators and compaction, and sets its clients going.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::{Rng, TaskHandle};

use super::classic_member::{ClassicMember, MemberPlan};
use super::committer::commit_without_members;
use super::consumer_member::ConsumerMember;
use super::keyed_producer::write_keys;
use super::log_reader::read_logs;
use super::transactional_producer::{TransactionalPlan, TransactionalProducer};
use super::{CoordinatedTopic, Use};
use crate::history::{GroupProtocol, TopicPartition, TransactionProtocol};
use crate::marks::Mark;
use crate::scenario::CoordinationPlan;
use crate::workload::{Phase, World, delete_topic, request_topic};

/// Creates the topics; the broker is running.
pub(crate) async fn create_coordinated_topics(world: &World, plan: &CoordinationPlan, rng: &mut Rng) {
    for (topic, purpose) in &plan.topics {
        let Some(id) = request_topic(world, topic, rng).await else { return };
        let topic = CoordinatedTopic { plan: topic.clone(), purpose: *purpose, live: true };
        world.coordination.topics.lock().insert(id, topic);
    }
}

/// Starts the clients. Given back are those that end once the run drains; the others go on until it is over.
pub(crate) fn start_coordinated_clients(
    world: &Arc<World>,
    plan: &CoordinationPlan,
    rng: &mut Rng,
) -> Vec<TaskHandle> {
    let spawner = world.runtime.spawner.clone();
    let mut finishing = Vec::new();
    let shared: BTreeSet<_> = world.coordination.partitions(&[Use::Groups]).into_iter().collect();
    let mut number = 0;
    for group in &plan.groups {
        world.history.lock().shared_out.insert(group.name.clone(), shared.clone());
        let topics: BTreeSet<String> = shared.iter().map(|of| world.coordination.name_of(of.topic)).collect();
        for member in 0..group.members {
            number += 1;
            let plan = MemberPlan {
                group: group.name.clone(),
                topics: topics.iter().cloned().collect(),
                partitions: shared.clone(),
                instance: (member < group.static_members).then(|| format!("{}-{member}", group.name)),
                session_timeout: plan.session_timeout,
                pause_max: plan.pause_max,
                is_fickle: plan.is_fickle,
            };
            let world = Arc::clone(world);
            match group.protocol {
                GroupProtocol::Classic => {
                    let member = ClassicMember::new(world, number, plan, rng.fork());
                    drop(spawner.spawn("classic-member", member.run()));
                }
                GroupProtocol::Consumer => {
                    let member = ConsumerMember::new(world, number, plan, rng.fork());
                    drop(spawner.spawn("consumer-member", member.run()));
                }
            }
        }
    }
    for group in &plan.simple_groups {
        let committer = commit_without_members(Arc::clone(world), group.clone(), plan.pause_max, rng.fork());
        finishing.push(spawner.spawn("committer", committer));
    }
    start_producers(world, plan, &shared, rng, &mut finishing);
    let all_groups = plan.all_groups();
    for _ in 0..plan.readers {
        let reader = read_logs(Arc::clone(world), all_groups.clone(), plan.pause_max * 3, rng.fork());
        drop(spawner.spawn("log-reader", reader));
    }
    if plan.churns {
        finishing.push(spawner.spawn("admin", churn(Arc::clone(world), rng.fork())));
    }
    finishing
}

fn start_producers(
    world: &Arc<World>,
    plan: &CoordinationPlan,
    inputs: &BTreeSet<TopicPartition>,
    rng: &mut Rng,
    finishing: &mut Vec<TaskHandle>,
) {
    let spawner = world.runtime.spawner.clone();
    let keyed = world.coordination.partitions(&[Use::TransactionalKeys]);
    let inputs: Vec<_> = inputs.iter().copied().collect();
    for index in 0..plan.transactional_producers {
        let at = usize::try_from(index).expect("small");
        let input = plan.transactional_groups.get(at).cloned().zip(inputs.first().copied());
        let plan = TransactionalPlan {
            id: format!("transactional-{index}"),
            protocol: if rng.chance(1, 2) { TransactionProtocol::One } else { TransactionProtocol::Two },
            timeout_ms: plan.transaction_timeout_ms,
            pause_max: plan.pause_max,
            input,
            keyed: keyed.get(at).copied(),
            finishes: rng.chance(1, 2),
        };
        let producer = TransactionalProducer::new(Arc::clone(world), plan, rng.fork());
        finishing.push(spawner.spawn("transactional-producer", producer.run()));
    }
    for to in world.coordination.partitions(&[Use::Keys]) {
        let writer = write_keys(Arc::clone(world), to, plan.pause_max, rng.fork());
        finishing.push(spawner.spawn("keyed-producer", writer));
    }
}

/// Deletes and creates a topic that transactions write to.
async fn churn(world: Arc<World>, mut rng: Rng) {
    let plan = crate::scenario::churned_topic();
    while world.phase() == Phase::Running {
        let Some(id) = request_topic(&world, &plan, &mut rng).await else { return };
        let topic = CoordinatedTopic { plan: plan.clone(), purpose: Use::Transactions, live: true };
        world.coordination.topics.lock().insert(id, topic);
        world.pause(Duration::from_millis(100 + rng.below(700))).await;
        if let Some(topic) = world.coordination.topics.lock().get_mut(&id) {
            topic.live = false;
        }
        if !delete_topic(&world, &plan.name, id, &mut rng).await {
            return;
        }
        world.marks.hit(Mark::TransactionalTopicDeleted);
        world.pause(Duration::from_millis(rng.below(200))).await;
    }
}
