//! The clock: cases for a running one, and what only a clock that is moved by hand can show.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ottla_runtime::{Clock, MonotonicTime, WallTime};

use crate::world::Case;

const STEP: Duration = Duration::from_millis(5);

pub(crate) async fn a_sleep_does_not_end_early(case: Case) {
    let clock = &case.runtime.clock;
    for steps in 1..4 {
        let deadline = clock.now().after(STEP * steps);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
    }
}

pub(crate) async fn a_deadline_that_has_passed_completes_at_once(case: Case) {
    let clock = &case.runtime.clock;
    clock.sleep(STEP).await;
    clock.sleep_until(MonotonicTime(0)).await;
    clock.sleep_until(clock.now()).await;
    clock.sleep(Duration::ZERO).await;
}

/// Sleeps together until each of `deadlines`, in steps from now, and returns the order in which they ended.
async fn order_of_ends(clock: &Clock, deadlines: &[u32]) -> Vec<usize> {
    let began = clock.now();
    let sleeps: FuturesUnordered<_> = (deadlines.iter().enumerate())
        .map(|(index, steps)| {
            let sleep = clock.sleep_until(began.after(STEP * *steps));
            async move {
                sleep.await;
                index
            }
        })
        .collect();
    sleeps.collect().await
}

pub(crate) async fn timers_fire_in_the_order_of_their_deadlines(case: Case) {
    assert_eq!(order_of_ends(&case.runtime.clock, &[8, 6, 7, 9, 5]).await, [4, 1, 2, 0, 3]);
}

pub(crate) async fn timers_of_one_moment_fire_in_the_order_in_which_they_were_set(case: Case) {
    assert_eq!(order_of_ends(&case.runtime.clock, &[8; 6]).await, [0, 1, 2, 3, 4, 5]);
}

pub(crate) async fn now_never_goes_back(case: Case) {
    let clock = &case.runtime.clock;
    let mut last = clock.now();
    for round in 0..1_000 {
        if round % 250 == 0 {
            clock.sleep(Duration::from_millis(1)).await;
        }
        let now = clock.now();
        assert!(last <= now);
        last = now;
    }
}

pub(crate) async fn a_dropped_sleep_disturbs_no_other(case: Case) {
    let clock = &case.runtime.clock;
    let mut dropped = Box::pin(clock.sleep(STEP));
    assert_eq!(poll_once(dropped.as_mut()), Poll::Pending);
    let kept = clock.sleep(STEP * 2);
    drop(dropped);
    kept.await;
}

pub(crate) async fn an_earlier_sleep_overtakes_one_that_is_being_waited_for(case: Case) {
    let clock = case.runtime.clock.clone();
    let long = case.runtime.clock.sleep(Duration::from_secs(3_600));
    let waiting = case.runtime.spawner.spawn("long", long);
    clock.sleep(STEP).await;
    clock.sleep(STEP).await;
    waiting.abort();
}

fn poll_once(future: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_manual_clock_stands_still_until_it_is_moved() {
    let (clock, handle) = Clock::manual(WallTime(1_000));
    assert_eq!((clock.now(), clock.wall()), (MonotonicTime(0), WallTime(1_000)));
    handle.advance(Duration::from_millis(7));
    assert_eq!((clock.now(), clock.wall()), (MonotonicTime(7_000_000), WallTime(1_007)));
}

#[test]
fn a_manual_clock_never_goes_back() {
    let (clock, handle) = Clock::manual(WallTime(0));
    handle.advance_to(MonotonicTime(5_000_000));
    handle.advance_to(MonotonicTime(3_000_000));
    assert_eq!((clock.now(), clock.wall()), (MonotonicTime(5_000_000), WallTime(5)));
}

#[test]
fn the_calendar_counts_whole_milliseconds_however_small_the_steps() {
    let (clock, handle) = Clock::manual(WallTime(0));
    for _ in 0..10 {
        handle.advance(Duration::from_micros(300));
    }
    assert_eq!(clock.wall(), WallTime(3));
}

#[test]
fn the_calendar_jumps_without_moving_timers() {
    let (clock, handle) = Clock::manual(WallTime(0));
    let mut sleep = pin!(clock.sleep(STEP));
    assert_eq!(poll_once(sleep.as_mut()), Poll::Pending);
    handle.set_wall(WallTime(i64::MAX / 2));
    assert_eq!(poll_once(sleep.as_mut()), Poll::Pending);
    assert_eq!((clock.now(), clock.wall()), (MonotonicTime(0), WallTime(i64::MAX / 2)));
}

#[test]
fn a_manual_clock_names_its_next_deadline() {
    let (clock, handle) = Clock::manual(WallTime(0));
    assert_eq!(handle.next_deadline(), None);
    let mut late = pin!(clock.sleep(STEP * 2));
    assert_eq!(poll_once(late.as_mut()), Poll::Pending);
    {
        let mut early = pin!(clock.sleep(STEP));
        assert_eq!(poll_once(early.as_mut()), Poll::Pending);
        assert_eq!(handle.next_deadline(), Some(MonotonicTime(0).after(STEP)));
    }
    assert_eq!(handle.next_deadline(), Some(late.deadline()));
    handle.advance(STEP * 2);
    assert_eq!(handle.next_deadline(), None);
    assert_eq!(poll_once(late.as_mut()), Poll::Ready(()));
}
