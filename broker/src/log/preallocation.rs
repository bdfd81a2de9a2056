//! How much disk space an active segment asks for ahead of what is written.
//!
//! Space that is already there makes appends cheaper and their syncs quicker. Only `KEEP_SIZE` allocation is
//! meant: a file's size stays the log's end. A partition that hardly writes asks for nothing; one that does asks for
//! about two seconds' worth, 64 KiB to 64 MiB, while its directory's budget lasts. What was not used is given back
//! when the segment is rolled, closed or idle.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ottla_runtime::MonotonicTime;

const CHUNK_BYTES_MIN: u64 = 64 * 1024;
const CHUNK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Below this many bytes a second nothing is asked for.
const RATE_MIN: u64 = 16 * 1024;
/// How long a chunk should last.
const CHUNK_SECONDS: u64 = 2;
/// The rate is measured over at least this long.
const WINDOW: Duration = Duration::from_secs(1);

/// What the partitions of one data directory may hold unused, all together. Shared by the directory's shards.
#[derive(Debug)]
pub struct PreallocationBudget {
    left: AtomicU64,
    is_supported: AtomicBool,
}

impl PreallocationBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> PreallocationBudget {
        PreallocationBudget { left: AtomicU64::new(bytes), is_supported: AtomicBool::new(true) }
    }

    /// What is left of it.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What one active segment has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preallocation {
    /// Where the file ends.
    end: u64,
    /// How far space was asked for; not below `end` where any was.
    allocated_end: u64,
    /// Whether an answer is outstanding.
    is_asking: bool,
    window_began: MonotonicTime,
    window_bytes: u64,
    bytes_per_second: u64,
}

impl Preallocation {
    /// A segment whose file ends at `end`, with nothing asked for.
    pub fn new(now: MonotonicTime, end: u64) -> Preallocation {
        Preallocation {
            end,
            allocated_end: end,
            is_asking: false,
            window_began: now,
            window_bytes: 0,
            bytes_per_second: 0,
        }
    }

    /// The file now ends, or soon will, at `end`, which is not below what it was; it won't grow past `bytes_max`.
    /// Returns the range to ask for, if any; its outcome goes to [`Preallocation::on_answer`].
    pub fn on_append(
        &mut self,
        now: MonotonicTime,
        end: u64,
        bytes_max: u64,
        budget: &PreallocationBudget,
    ) -> Option<Range<u64>> {
        budget.give_back(end.min(self.allocated_end).saturating_sub(self.end));
        self.measure(now, end.saturating_sub(self.end));
        self.end = end;
        self.allocated_end = self.allocated_end.max(end);
        let chunk = self.chunk_bytes();
        let is_ahead = chunk / 2 <= self.allocated_end - self.end;
        if chunk == 0 || is_ahead || self.is_asking || !budget.is_supported.load(Ordering::Relaxed) {
            return None;
        }
        let range = self.allocated_end..bytes_max.min(self.allocated_end + chunk);
        if range.is_empty() || !budget.take(range.end - range.start) {
            return None;
        }
        self.allocated_end = range.end;
        self.is_asking = true;
        Some(range)
    }

    /// What became of the range that was asked for. A failure only means that there is no space ahead: whether the
    /// disk is full, the write finds out.
    pub fn on_answer(&mut self, result: &io::Result<()>, budget: &PreallocationBudget) {
        self.is_asking = false;
        if let Err(error) = result {
            if error.kind() == io::ErrorKind::Unsupported {
                budget.is_supported.store(false, Ordering::Relaxed);
            }
            self.give_back(budget);
        }
    }

    /// Whether a range was asked for and has not been answered.
    pub fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Gives up what was not used: the segment is rolled, closed or idle. Returns the length to truncate the file
    /// to, which is its length and frees what lies behind, or `None` if nothing was asked for.
    pub fn give_back(&mut self, budget: &PreallocationBudget) -> Option<u64> {
        let unused = self.allocated_end - self.end;
        budget.give_back(unused);
        self.allocated_end = self.end;
        (0 < unused).then_some(self.end)
    }

    fn measure(&mut self, now: MonotonicTime, bytes: u64) {
        self.window_bytes += bytes;
        let passed = now.since(self.window_began);
        if WINDOW <= passed {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.bytes_per_second = self.window_bytes.saturating_mul(1000) / millis;
            self.window_began = now;
            self.window_bytes = 0;
        }
    }

    fn chunk_bytes(&self) -> u64 {
        if self.bytes_per_second < RATE_MIN {
            return 0;
        }
        let wanted = self.bytes_per_second.saturating_mul(CHUNK_SECONDS).min(CHUNK_BYTES_MAX);
        wanted.next_power_of_two().clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const SEGMENT: u64 = 1024 * MIB;

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime(seconds * 1_000_000_000)
    }

    /// Writes `rate` bytes each second for `seconds`, grants what is asked, and returns the sizes asked for.
    fn asked(rate: u64, seconds: u64, budget: &PreallocationBudget) -> (Preallocation, Vec<u64>) {
        let mut file = Preallocation::new(at(0), 0);
        let mut sizes = Vec::new();
        for second in 1..=seconds {
            if let Some(range) = file.on_append(at(second), second * rate, SEGMENT, budget) {
                sizes.push(range.end - range.start);
                file.on_answer(&Ok(()), budget);
            }
        }
        (file, sizes)
    }

    #[test]
    fn chunks_grow_with_the_rate() {
        let check = |rate, chunk: Option<u64>| {
            let budget = PreallocationBudget::new(SEGMENT);
            assert_eq!(asked(rate, 3, &budget).1.first().copied(), chunk, "{rate}");
        };
        check(100, None);
        check(16 * 1024, Some(64 * 1024));
        check(MIB, Some(2 * MIB));
        check(20 * MIB, Some(64 * MIB));
        check(300 * MIB, Some(64 * MIB));
    }

    #[test]
    fn the_budget_limits_and_comes_back() {
        let budget = PreallocationBudget::new(3 * MIB);
        let (mut first, sizes) = asked(MIB, 1, &budget);
        assert_eq!((sizes, budget.left()), (vec![2 * MIB], MIB));
        assert_eq!(asked(MIB, 1, &budget).1, Vec::<u64>::new());
        // Half of the chunk is written: that much is no longer unused.
        first.on_append(at(2), 2 * MIB, SEGMENT, &budget);
        assert_eq!(budget.left(), 2 * MIB);
        assert_eq!(first.give_back(&budget), Some(2 * MIB));
        assert_eq!(first.give_back(&budget), None);
        assert_eq!(budget.left(), 3 * MIB);
    }

    #[test]
    fn nothing_is_asked_beyond_the_segment() {
        let budget = PreallocationBudget::new(SEGMENT);
        let mut file = Preallocation::new(at(0), 0);
        assert_eq!(file.on_append(at(1), 9 * MIB, 10 * MIB, &budget), Some(9 * MIB..10 * MIB));
        file.on_answer(&Ok(()), &budget);
        assert_eq!(file.on_append(at(2), 10 * MIB, 10 * MIB, &budget), None);
        assert_eq!(budget.left(), SEGMENT);
    }

    #[test]
    fn where_it_is_unsupported_nobody_asks_again() {
        let budget = PreallocationBudget::new(SEGMENT);
        let mut file = Preallocation::new(at(0), 0);
        assert!(file.on_append(at(1), MIB, SEGMENT, &budget).is_some());
        file.on_answer(&Err(io::ErrorKind::Unsupported.into()), &budget);
        assert_eq!(asked(MIB, 5, &budget).1, Vec::<u64>::new());
        assert_eq!(budget.left(), SEGMENT);
    }

    #[test]
    fn one_question_at_a_time() {
        let budget = PreallocationBudget::new(SEGMENT);
        let mut file = Preallocation::new(at(0), 0);
        assert!(file.on_append(at(1), MIB, SEGMENT, &budget).is_some());
        assert_eq!(file.on_append(at(2), 4 * MIB, SEGMENT, &budget), None);
        file.on_answer(&Err(io::ErrorKind::StorageFull.into()), &budget);
        assert_eq!(budget.left(), SEGMENT);
        assert!(file.on_append(at(3), 5 * MIB, SEGMENT, &budget).is_some());
    }
}
