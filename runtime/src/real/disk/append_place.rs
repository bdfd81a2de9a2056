//! Whether an append is carried out at once, by whoever submits it, or on a thread for writes.
//!
//! A small append is a copy into the page cache: some microseconds, where the way to another thread and back costs
//! tens of them. But it can also wait: for the file system's journal while a sync is under way, or for the disk once the
//! kernel holds more unwritten data than it likes. Then the tasks of the submitter's thread would wait with it. So it is
//! done at once only while nothing is known that it could wait for, and one that did wait takes the way over the threads
//! for everybody for a while, longer each time. Decided here by counts and times alone.

use std::time::Duration;

/// An append that is longer than this takes the way over the threads: its copying alone would hold others up.
const BYTES_MAX: usize = 128 * 1024;
/// One that took longer than this and waited for anything but a processor has stalled, and so have those on the threads if
/// none of them ended for as long.
const STALL: Duration = Duration::from_millis(2);
/// How long none is done at once after one that waited, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is known of the disk. Times are counted from any one moment.
#[derive(Debug, Default)]
pub(super) struct AppendPlace {
    /// Appends that are queued or under way on the threads.
    on_threads: usize,
    /// When the last of them ended, or the first of them came.
    moved_at: Duration,
    /// Syncs that are.
    syncs: usize,
    pause: Duration,
    paused_until: Duration,
}

impl AppendPlace {
    /// Whether `bytes` may be appended by whoever submits them. If not, they count as on the threads from now on.
    pub(super) fn begin(&mut self, now: Duration, bytes: usize) -> bool {
        let threads_are_stuck = self.on_threads > 0 && self.moved_at + STALL < now;
        let at_once = !threads_are_stuck && self.syncs == 0 && bytes <= BYTES_MAX && self.paused_until <= now;
        if !at_once {
            if self.on_threads == 0 {
                self.moved_at = now;
            }
            self.on_threads += 1;
        }
        at_once
    }

    /// An append on the threads is done.
    pub(super) fn end_on_threads(&mut self, now: Duration) {
        self.on_threads -= 1;
        self.moved_at = self.moved_at.max(now);
    }

    /// Whether one that was done at once took so long that it may have stalled.
    pub(super) fn is_long(took: Duration) -> bool {
        STALL <= took
    }

    /// One that was done at once has waited for something.
    pub(super) fn stalled(&mut self, now: Duration) {
        // If it went well for as long as it was paused before, that is forgotten.
        let is_again = now.saturating_sub(self.paused_until) < self.pause;
        self.pause = if is_again { (self.pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
        self.paused_until = now + self.pause;
    }

    /// A sync begins.
    pub(super) fn begin_sync(&mut self) {
        self.syncs += 1;
    }

    /// A sync is done.
    pub(super) fn end_sync(&mut self) {
        self.syncs -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1000;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_small_append_to_an_idle_disk_is_done_at_once() {
        for (bytes, at_once) in [(0, true), (SMALL, true), (BYTES_MAX, true), (BYTES_MAX + 1, false)] {
            assert_eq!(AppendPlace::default().begin(millis(0), bytes), at_once, "{bytes}");
        }
    }

    #[test]
    fn an_append_does_not_follow_others_that_are_stuck_on_the_threads() {
        let mut place = AppendPlace::default();
        assert!(!place.begin(millis(10), BYTES_MAX + 1));
        assert!(!place.begin(millis(10), BYTES_MAX + 1));
        assert!(place.begin(millis(12), SMALL), "they have not been there for long");
        assert!(!place.begin(millis(13), SMALL), "nothing moves");
        place.end_on_threads(millis(14));
        assert!(place.begin(millis(16), SMALL), "one has ended");
        assert!(!place.begin(millis(17), SMALL));
        for _ in 0..3 {
            place.end_on_threads(millis(20));
        }
        assert!(place.begin(millis(90), SMALL), "none is there any more");
        assert!(!place.begin(millis(90), BYTES_MAX + 1));
        assert!(place.begin(millis(91), SMALL), "time counts from the first that comes");
    }

    #[test]
    fn an_append_does_not_wait_for_a_sync() {
        let mut place = AppendPlace::default();
        place.begin_sync();
        place.begin_sync();
        place.end_sync();
        assert!(!place.begin(millis(0), SMALL));
        place.end_on_threads(millis(0));
        place.end_sync();
        assert!(place.begin(millis(0), SMALL));
    }

    /// For how many milliseconds nothing is done at once after stalls at these moments.
    fn pauses(stalls: &[u64]) -> Vec<u64> {
        let mut place = AppendPlace::default();
        let mut pauses = Vec::new();
        for at in stalls {
            place.stalled(millis(*at));
            assert!(!place.begin(place.paused_until - millis(1), SMALL));
            place.end_on_threads(place.paused_until);
            assert!(place.begin(place.paused_until, SMALL));
            pauses.push(u64::try_from(place.pause.as_millis()).unwrap());
        }
        pauses
    }

    #[test]
    fn a_stall_pauses_them_and_the_next_one_for_longer() {
        assert_eq!(pauses(&[0]), [1_000]);
        assert_eq!(pauses(&[0, 1_500, 3_600, 8_000]), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(pauses(&[0, 1_500, 6_000]), [1_000, 2_000, 1_000], "it went well for long enough");
        let many: Vec<u64> = (0..20).map(|n| n * 200_000).collect();
        assert!(pauses(&many).iter().all(|pause| *pause <= 300_000));
    }

    #[test]
    fn only_one_that_took_long_may_have_stalled() {
        assert!(!AppendPlace::is_long(STALL - Duration::from_micros(1)));
        assert!(AppendPlace::is_long(STALL));
    }
}
