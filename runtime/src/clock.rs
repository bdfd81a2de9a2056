//! Time as a value. `now` never goes back; `wall` is what the calendar says and may jump.
//!
//! Timers are a queue of ours that the clock's driver advances. tokio's timers are used nowhere, because its paused
//! clock jumps while real sockets wait, and a test with a stock client needs virtual time beside real sockets.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};

use crate::spawn::Spawner;

/// A moment on this process's own clock: nanoseconds since the clock began. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonotonicTime(pub u64);

impl MonotonicTime {
    /// The moment `duration` later, or the last one there is.
    pub fn after(self, duration: Duration) -> MonotonicTime {
        MonotonicTime(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: MonotonicTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A moment on the calendar: milliseconds since the Unix epoch, as Kafka's timestamps count. May jump either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub i64);

/// What time it is, and timers. Cheap to clone; clones share their timers.
#[derive(Clone)]
pub struct Clock {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    timers: Mutex<Timers>,
    /// Tells the system clock's thread that an earlier deadline has come in.
    changed: Condvar,
}

enum Source {
    System { began: Instant },
    Manual(Mutex<(MonotonicTime, WallTime)>),
}

#[derive(Default)]
struct Timers {
    /// Deadline and a serial number, so that timers due at one moment fire in the order in which they were set.
    queue: BTreeMap<(MonotonicTime, u64), Waker>,
    next_serial: u64,
    /// When the system clock's thread looks at the queue again by itself. A task that sets the same deadline anew
    /// each time it is polled need not wake it.
    driver_looks_at: MonotonicTime,
    closed: bool,
}

impl Clock {
    /// The machine's clock. Its timers are driven by one thread that lives until the last clone is dropped.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks what time it is")]
    pub fn system(spawner: &Spawner) -> Clock {
        let shared = Arc::new(Shared {
            source: Source::System { began: Instant::now() },
            timers: Mutex::default(),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&shared);
        spawner.spawn_thread("ottla-timers", move || drive_system_timers(&weak));
        Clock { shared }
    }

    /// A clock that stands still until its handle moves it.
    pub fn manual(wall: WallTime) -> (Clock, ClockHandle) {
        let shared = Arc::new(Shared {
            source: Source::Manual(Mutex::new((MonotonicTime(0), wall))),
            timers: Mutex::default(),
            changed: Condvar::new(),
        });
        (Clock { shared: Arc::clone(&shared) }, ClockHandle { shared })
    }

    /// The moment it is. Never goes back.
    pub fn now(&self) -> MonotonicTime {
        self.shared.now()
    }

    /// What the calendar says. May jump.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks what time it is")]
    pub fn wall(&self) -> WallTime {
        match &self.shared.source {
            Source::System { .. } => {
                let since_epoch =
                    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(times) => times.lock().1,
        }
    }

    /// Completes at `deadline`, or at once if that has passed.
    pub fn sleep_until(&self, deadline: MonotonicTime) -> Sleep {
        Sleep { shared: Arc::clone(&self.shared), deadline, set: None }
    }

    /// Completes once `duration` has passed.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().after(duration))
    }
}

impl Shared {
    fn now(&self) -> MonotonicTime {
        match &self.source {
            Source::System { began } => {
                MonotonicTime(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
            }
            Source::Manual(times) => times.lock().0,
        }
    }

    /// Takes the wakers whose time has come. They are woken outside the lock.
    fn take_due(&self, now: MonotonicTime) -> Vec<Waker> {
        let mut timers = self.timers.lock();
        let later = timers.queue.split_off(&(now, u64::MAX));
        std::mem::replace(&mut timers.queue, later).into_values().collect()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // The driving thread holds only a weak reference; the last strong one wakes it so that it can leave.
        if Arc::strong_count(&self.shared) == 1 {
            self.shared.timers.lock().closed = true;
            self.shared.changed.notify_all();
        }
    }
}

fn drive_system_timers(weak: &Weak<Shared>) {
    while let Some(shared) = weak.upgrade() {
        for waker in shared.take_due(shared.now()) {
            waker.wake();
        }
        let mut timers = shared.timers.lock();
        let now = shared.now();
        let deadline = timers.queue.first_key_value().map(|((deadline, _), _)| *deadline);
        if deadline.is_some_and(|deadline| deadline <= now) {
            continue;
        }
        if timers.closed {
            return;
        }
        let idle_check = now.after(IDLE_CHECK);
        timers.driver_looks_at = deadline.map_or(idle_check, |deadline| deadline.min(idle_check));
        let pause = timers.driver_looks_at.since(now);
        shared.changed.wait_for(&mut timers, pause);
    }
}

/// How long the timer thread sleeps at most, so that it notices in time that nobody holds the clock any more.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// Moves a manual clock.
pub struct ClockHandle {
    shared: Arc<Shared>,
}

impl ClockHandle {
    /// Moves time on to `moment`, with the calendar by as much, and wakes what is due. Time never goes back: an
    /// earlier moment changes nothing.
    pub fn advance_to(&self, moment: MonotonicTime) {
        if let Source::Manual(times) = &self.shared.source {
            let mut times = times.lock();
            if times.0 < moment {
                let millis_before = times.0.0 / 1_000_000;
                times.0 = moment;
                times.1.0 += i64::try_from(moment.0 / 1_000_000 - millis_before).unwrap_or(i64::MAX);
            }
        }
        for waker in self.shared.take_due(self.shared.now()) {
            waker.wake();
        }
    }

    /// Moves time on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.shared.now().after(duration));
    }

    /// Sets the calendar alone, as an operator or NTP would.
    pub fn set_wall(&self, wall: WallTime) {
        if let Source::Manual(times) = &self.shared.source {
            times.lock().1 = wall;
        }
    }

    /// When the next timer is due, if any is set.
    pub fn next_deadline(&self) -> Option<MonotonicTime> {
        self.shared.timers.lock().queue.first_key_value().map(|((deadline, _), _)| *deadline)
    }
}

/// Waits for a moment. Dropping it takes the timer back.
pub struct Sleep {
    shared: Arc<Shared>,
    deadline: MonotonicTime,
    /// The timer's serial number, and whom it wakes.
    set: Option<(u64, Waker)>,
}

impl Sleep {
    /// The moment it waits for.
    pub fn deadline(&self) -> MonotonicTime {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= self.shared.now() {
            return Poll::Ready(());
        }
        // A timer leaves the queue only when it is due.
        if self.set.as_ref().is_some_and(|(_, waker)| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        let shared = Arc::clone(&self.shared);
        let mut timers = shared.timers.lock();
        let serial = self.set.take().map(|(serial, _)| serial).unwrap_or_else(|| {
            timers.next_serial += 1;
            timers.next_serial
        });
        let driver_is_late = self.deadline < timers.driver_looks_at;
        timers.queue.insert((self.deadline, serial), context.waker().clone());
        drop(timers);
        self.set = Some((serial, context.waker().clone()));
        if driver_is_late {
            shared.changed.notify_all();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((serial, _)) = self.set {
            self.shared.timers.lock().queue.remove(&(self.deadline, serial));
        }
    }
}
