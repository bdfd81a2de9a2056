//! Tasks: how they end, and that nobody stands in another's way.

use std::time::Duration;

use ottla_runtime::TaskEnd;
use tokio::sync::{mpsc, oneshot};

use crate::world::Case;

pub(crate) async fn a_task_runs_to_its_end(case: Case) {
    let (send, receive) = oneshot::channel();
    let task = case.runtime.spawner.spawn("task", async move { send.send(7).unwrap() });
    assert_eq!(task.await, TaskEnd::Finished);
    assert_eq!(receive.await, Ok(7));
}

pub(crate) async fn a_panic_ends_one_task_and_is_reported(case: Case) {
    let spawner = &case.runtime.spawner;
    let literal = spawner.spawn("literal", async { panic!("as planned") });
    let formatted = spawner.spawn("formatted", async { panic!("as planned, {}", 2) });
    let calm = spawner.spawn("calm", async {});
    assert_eq!(literal.await, TaskEnd::Panicked("as planned".to_owned()));
    assert_eq!(formatted.await, TaskEnd::Panicked("as planned, 2".to_owned()));
    assert_eq!(calm.await, TaskEnd::Finished);
}

pub(crate) async fn an_aborted_task_ends_where_it_waits(case: Case) {
    let (send, receive) = oneshot::channel::<()>();
    let task = case.runtime.spawner.spawn("waiting", async move {
        let _kept = send;
        std::future::pending::<()>().await;
    });
    task.abort();
    assert_eq!(task.await, TaskEnd::Aborted);
    assert!(receive.await.is_err(), "what the task held is dropped");
}

pub(crate) async fn aborting_a_finished_task_changes_nothing(case: Case) {
    let (send, receive) = oneshot::channel();
    let task = case.runtime.spawner.spawn("task", async move { send.send(()).unwrap() });
    receive.await.unwrap();
    // The value may arrive a moment before the task's end.
    case.runtime.clock.sleep(Duration::from_millis(20)).await;
    task.abort();
    assert_eq!(task.await, TaskEnd::Finished);
}

pub(crate) async fn a_task_outlives_its_handle(case: Case) {
    let (send, receive) = oneshot::channel();
    let clock = case.runtime.clock.clone();
    drop(case.runtime.spawner.spawn("task", async move {
        clock.sleep(Duration::from_millis(2)).await;
        send.send(()).unwrap();
    }));
    assert_eq!(receive.await, Ok(()));
}

pub(crate) async fn tasks_run_beside_each_other(case: Case) {
    let (to_pong, mut from_ping) = mpsc::channel::<u32>(1);
    let (to_ping, mut from_pong) = mpsc::channel::<u32>(1);
    let pong = case.runtime.spawner.spawn("pong", async move {
        while let Some(number) = from_ping.recv().await {
            to_ping.send(number + 1).await.unwrap();
        }
    });
    let mut number = 0;
    for _ in 0..100 {
        to_pong.send(number).await.unwrap();
        number = from_pong.recv().await.unwrap();
    }
    drop(to_pong);
    assert_eq!((number, pong.await), (100, TaskEnd::Finished));
}

pub(crate) async fn a_task_starts_tasks(case: Case) {
    let spawner = case.runtime.spawner.clone();
    let outer = case.runtime.spawner.spawn("outer", async move {
        assert_eq!(spawner.spawn("inner", async {}).await, TaskEnd::Finished);
    });
    assert_eq!(outer.await, TaskEnd::Finished);
}

pub(crate) async fn a_task_apart_ends_as_any_other(case: Case) {
    let spawner = &case.runtime.spawner;
    let clock = case.runtime.clock.clone();
    let calm = spawner.spawn_apart("calm", async move { clock.sleep(Duration::from_millis(2)).await });
    let panicking = spawner.spawn_apart("panicking", async { panic!("as planned") });
    let waiting = spawner.spawn_apart("waiting", std::future::pending());
    waiting.abort();
    assert_eq!(calm.await, TaskEnd::Finished);
    assert_eq!(panicking.await, TaskEnd::Panicked("as planned".to_owned()));
    assert_eq!(waiting.await, TaskEnd::Aborted);
}
