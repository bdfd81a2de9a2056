//! Determinism, fairness, time, limits, panics, crashes of tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::Runtime;
use crate::disk::OpenMode;
use crate::simulated::{Crash, Limits, Rate, Simulation, SimulationError};
use crate::spawn::{TaskEnd, yield_now};

/// Many tasks with timers, channels and files, on two machines of which one crashes.
fn busy_run(seed: u64) -> (u64, u64, Vec<u64>) {
    let simulation = Simulation::new(seed);
    simulation.set_stalls(Rate::one_in(50), Duration::from_millis(5));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (send, mut receive) = mpsc::channel::<u64>(3);
    let stable = simulation.machine("stable");
    let shaky = simulation.machine("shaky");
    for number in 0..20 {
        let machine = if number % 2 == 0 { &stable } else { &shaky };
        let runtime = machine.runtime();
        let send = send.clone();
        machine.runtime().spawner.spawn("writer", async move {
            let mut rng = runtime.rng.fork();
            for round in 0..5 {
                runtime.clock.sleep(Duration::from_micros(rng.below(300))).await;
                write_something(&runtime, number, round).await;
                if send.send(number * 100 + round).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(send);
    let heard_by_task = Arc::clone(&heard);
    simulation.block_on(async {
        while let Some(number) = receive.recv().await {
            heard_by_task.lock().push(number);
            if heard_by_task.lock().len() == 30 {
                shaky.crash(Crash::PowerCut);
            }
        }
    });
    let heard = heard.lock().clone();
    (simulation.trace_hash(), simulation.steps(), heard)
}

async fn write_something(runtime: &Runtime, number: u64, round: u64) {
    let (send, receive) = tokio::sync::oneshot::channel();
    let path = format!("file-{}", number % 4);
    let done = Box::new(move |file| drop(send.send(file)));
    runtime.disk.open(path.as_ref(), OpenMode::Create, done);
    let file = receive.await.unwrap().unwrap();
    let (send, receive) = tokio::sync::oneshot::channel();
    let bytes = Bytes::from(vec![number as u8; 700]);
    file.write_at(round * 700, vec![bytes], Box::new(move |result| drop(send.send(result))));
    receive.await.unwrap().unwrap();
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in 0..30 {
        assert_eq!(busy_run(seed), busy_run(seed), "seed {seed}");
    }
}

#[test]
fn other_seeds_give_other_traces() {
    let mut hashes: Vec<_> = (0..30).map(|seed| busy_run(seed).0).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 30);
}

#[test]
fn every_runnable_task_runs_in_the_end() {
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        let runtime = simulation.machine("one").runtime();
        let counts: Vec<_> = (0..50).map(|_| Arc::new(AtomicU64::new(0))).collect();
        for count in &counts {
            let count = Arc::clone(count);
            runtime.spawner.spawn("spinner", async move {
                loop {
                    count.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            });
        }
        // Time goes on although some task can always run.
        simulation.run_for(Duration::from_millis(20));
        let lowest = counts.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap();
        assert!(lowest >= simulation.steps() / 50 / 64, "seed {seed}: {lowest}");
    }
}

#[test]
fn stalls_hold_single_tasks_up_for_a_while() {
    let (mut held_up, mut prompt) = (0, 0);
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        simulation.set_stalls(Rate::one_in(10), Duration::from_secs(1));
        let runtime = simulation.machine("one").runtime();
        let clock = runtime.clock.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        runtime.spawner.spawn("sleeper", async move {
            clock.sleep(Duration::from_millis(1)).await;
            send.send(clock.now()).unwrap();
        });
        let woke = simulation.block_on(receive).unwrap();
        if woke.0 < 2_000_000 {
            prompt += 1
        } else {
            held_up += 1
        }
        assert!(woke.0 < 5_000_000_000, "not for ever");
    }
    assert!(0 < held_up && held_up < prompt, "{held_up} {prompt}");
}

#[test]
fn time_jumps_to_the_next_timer() {
    let simulation = Simulation::new(7);
    let machine = simulation.machine("one");
    let clock = machine.runtime().clock;
    let (before, wall_before) = (clock.now(), clock.wall());
    simulation.block_on(clock.sleep(Duration::from_secs(3600)));
    assert!(clock.now().since(before) >= Duration::from_secs(3600));
    assert!(clock.now().since(before) < Duration::from_secs(3601));
    let wall_after = clock.wall();
    assert!((3_600_000..3_601_000).contains(&(wall_after.0 - wall_before.0)));
    machine.jump_wall(-5_000);
    assert_eq!(clock.wall().0, wall_after.0 - 5_000);
    machine.crash(Crash::Kill);
    assert_eq!(machine.restart().clock.wall().0, wall_after.0 - 5_000, "the jump outlives a restart");
}

#[test]
fn waiting_for_nothing_is_an_error_that_names_the_seed() {
    let simulation = Simulation::new(11);
    let never = std::future::pending::<()>();
    let error = simulation.run_until(never).unwrap_err();
    assert_eq!(error, SimulationError::Stuck { seed: 11 });
    assert!(error.to_string().contains("seed 11"));
}

#[test]
fn runs_end_at_their_limits() {
    let simulation = Simulation::new(12);
    simulation.set_limits(Limits { steps: 1000, time: Duration::from_secs(10) });
    let spin = async {
        loop {
            yield_now().await;
        }
    };
    let error = simulation.run_until(spin).unwrap_err();
    assert_eq!(error, SimulationError::StepLimit { seed: 12, steps: 1000 });
    let error = simulation.run_until(simulation.clock().sleep(Duration::from_secs(11))).unwrap_err();
    assert_eq!(error, SimulationError::TimeLimit { seed: 12, time: Duration::from_secs(10) });
}

#[test]
fn a_panic_of_a_task_ends_the_run_unless_it_is_expected() {
    let simulation = Simulation::new(13);
    let runtime = simulation.machine("one").runtime();
    let handle = runtime.spawner.spawn("doomed", async { panic!("broken {}", 1) });
    let clock = simulation.clock();
    let error = simulation.run_until(clock.sleep(Duration::from_secs(1))).unwrap_err();
    assert_eq!(error.to_string(), "seed 13: task \"doomed\" of machine \"one\" panicked: broken 1");
    simulation.expect_panics();
    assert_eq!(simulation.block_on(handle), TaskEnd::Panicked("broken 1".to_owned()));
    assert_eq!(simulation.panics().len(), 1);
}

#[test]
fn a_crash_drops_the_tasks_of_its_machine_alone() {
    let simulation = Simulation::new(14);
    let (crashing, staying) = (simulation.machine("crashing"), simulation.machine("staying"));
    let spawn = |runtime: &Runtime| {
        let clock = runtime.clock.clone();
        runtime.spawner.spawn("sleeper", async move { clock.sleep(Duration::from_secs(5)).await })
    };
    let (dropped, ended) = (spawn(&crashing.runtime()), spawn(&staying.runtime()));
    let late = crashing.runtime();
    simulation.run_for(Duration::from_secs(1));
    crashing.crash(Crash::Kill);
    assert!(!crashing.is_up());
    assert_eq!(simulation.block_on(dropped), TaskEnd::Aborted);
    assert_eq!(
        simulation.block_on(spawn(&late)),
        TaskEnd::Aborted,
        "nothing starts on a machine that is down"
    );
    assert_eq!(simulation.block_on(ended), TaskEnd::Finished);
    let restarted = crashing.restart();
    assert_eq!(restarted.clock.now().0, 0, "a new start has a clock of its own");
    assert_eq!(simulation.block_on(spawn(&restarted)), TaskEnd::Finished);
}

#[test]
#[should_panic(expected = "no threads")]
fn threads_are_refused() {
    let simulation = Simulation::new(15);
    simulation.machine("one").runtime().spawner.spawn_thread("thread", || {});
}

#[test]
fn a_simulation_that_ends_drops_its_tasks() {
    let alive = Arc::new(());
    let simulation = Simulation::new(16);
    let runtime = simulation.machine("one").runtime();
    let held = Arc::clone(&alive);
    let clock = runtime.clock.clone();
    runtime.spawner.spawn("holder", async move {
        let _held = held;
        loop {
            clock.sleep(Duration::from_secs(1)).await;
        }
    });
    simulation.run_for(Duration::from_secs(3));
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(runtime);
    drop(simulation);
    assert_eq!(Arc::strong_count(&alive), 1);
}
