//! Which logs of a shard are open, and which wait until there is room for them. Pure.
//!
//! Open logs cost files and memory, so there is a most. Beyond it the logs that were used longest ago have to leave, and
//! who needs another log waits in line: no burst of requests, however many logs it names, opens more. A log that has to
//! leave takes nothing new, else a busy one would never; it stays if nobody needs its place any more.

use std::collections::{BTreeSet, VecDeque};

use ottla_runtime::MonotonicTime;

/// The part of all places, one in so many, that may be on their way out at once.
const LEAVING_SHARE: usize = 4;

/// The logs that are open, by slot.
#[derive(Debug)]
pub(super) struct OpenLogs {
    count_max: usize,
    open: BTreeSet<u32>,
    opening_count: usize,
    leaving: BTreeSet<u32>,
    line: VecDeque<u32>,
    /// Those in `line`.
    waiting: BTreeSet<u32>,
}

impl OpenLogs {
    pub(super) fn new(count_max: usize) -> OpenLogs {
        OpenLogs {
            count_max: count_max.max(1),
            open: BTreeSet::new(),
            opening_count: 0,
            leaving: BTreeSet::new(),
            line: VecDeque::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// A log has to be opened: [`OpenLogs::next`] says when.
    pub(super) fn ask(&mut self, slot: u32) {
        if self.waiting.insert(slot) {
            self.line.push_back(slot);
        }
    }

    /// The next log to be opened, if there is room for one; followed by [`OpenLogs::on_opened`] or
    /// [`OpenLogs::on_not_opened`]. First come, first served.
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.count_max <= self.open.len() + self.opening_count {
            return None;
        }
        let slot = self.line.pop_front()?;
        self.waiting.remove(&slot);
        self.opening_count += 1;
        Some(slot)
    }

    pub(super) fn on_opened(&mut self, slot: u32) {
        self.opening_count -= 1;
        self.open.insert(slot);
    }

    pub(super) fn on_not_opened(&mut self) {
        self.opening_count -= 1;
    }

    /// A log was put to rest, or has failed.
    pub(super) fn on_closed(&mut self, slot: u32) {
        self.open.remove(&slot);
        self.leaving.remove(&slot);
    }

    /// Chooses logs that have to leave, so that those in line get their places: the ones that were used longest ago.
    pub(super) fn make_room(&mut self, used_at: impl Fn(u32) -> MonotonicTime) -> Vec<u32> {
        let at_once = self.count_max.div_ceil(LEAVING_SHARE);
        let wanted = self.line.len().min(at_once).saturating_sub(self.leaving.len());
        let is_full = self.count_max <= self.open.len() + self.opening_count;
        if wanted == 0 || !is_full {
            return Vec::new();
        }
        let staying = self.open.iter().filter(|slot| !self.leaving.contains(slot));
        let mut by_use: Vec<(MonotonicTime, u32)> = staying.map(|slot| (used_at(*slot), *slot)).collect();
        if wanted < by_use.len() {
            by_use.select_nth_unstable(wanted);
            by_use.truncate(wanted);
        }
        by_use.sort_unstable();
        let chosen: Vec<u32> = by_use.into_iter().map(|(_, slot)| slot).collect();
        self.leaving.extend(&chosen);
        chosen
    }

    /// An open log is to be put to rest as soon as nothing of it is under way.
    pub(super) fn let_leave(&mut self, slot: u32) {
        if self.open.contains(&slot) {
            self.leaving.insert(slot);
        }
    }

    /// Whether an open log is to be put to rest.
    pub(super) fn is_leaving(&self, slot: u32) -> bool {
        self.leaving.contains(&slot)
    }

    /// An open log that was to leave stays after all: its turn to be opened has come.
    pub(super) fn stay(&mut self, slot: u32) {
        self.leaving.remove(&slot);
    }

    /// An open log is wanted: says whether it may be used as it is. Otherwise its user has to get in line.
    pub(super) fn may_stay(&mut self, slot: u32) -> bool {
        if self.line.is_empty() {
            self.leaving.remove(&slot);
        }
        !self.leaving.contains(&slot)
    }

    /// How many more logs may be opened now for the broker's own purposes: those for which there is room, or a share
    /// of all.
    pub(super) fn room(&self) -> usize {
        let free = self.count_max.saturating_sub(self.open.len() + self.opening_count);
        free.max(self.count_max.div_ceil(LEAVING_SHARE)).saturating_sub(self.line.len())
    }

    /// The open logs, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.open.iter().copied()
    }

    /// Whether none is open, being opened or waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.opening_count == 0 && self.line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// So many places, and this many logs open in them, from slot 0 on.
    fn logs(count_max: usize, open: u32) -> OpenLogs {
        let mut logs = OpenLogs::new(count_max);
        for slot in 0..open {
            logs.ask(slot);
            assert_eq!(logs.next(), Some(slot));
            logs.on_opened(slot);
        }
        logs
    }

    /// Slots with a high number were used longer ago.
    fn high_first(slot: u32) -> MonotonicTime {
        MonotonicTime::default().after(Duration::from_secs(u64::from(1000 - slot)))
    }

    #[test]
    fn no_more_are_open_than_may_be_however_many_are_asked_for() {
        let mut logs = OpenLogs::new(3);
        (0..10).for_each(|slot| logs.ask(slot));
        let started: Vec<u32> = std::iter::from_fn(|| logs.next()).collect();
        assert_eq!(started, [0, 1, 2]);
        logs.on_not_opened();
        assert_eq!(logs.next(), Some(3));
        assert_eq!(logs.next(), None);
    }

    #[test]
    fn who_asks_twice_stands_in_line_once() {
        let mut logs = OpenLogs::new(4);
        [7, 7, 8, 7].into_iter().for_each(|slot| logs.ask(slot));
        assert_eq!((logs.next(), logs.next(), logs.next()), (Some(7), Some(8), None));
    }

    #[test]
    fn the_logs_used_longest_ago_leave_and_no_more_of_them_than_are_needed() {
        for (count_max, in_line, chosen) in
            [(8, 1, &[7][..]), (8, 2, &[7, 6]), (8, 100, &[7, 6]), (1, 5, &[0]), (9, 3, &[])]
        {
            let mut logs = logs(count_max, 8.min(u32::try_from(count_max).unwrap()));
            (100..100 + in_line).for_each(|slot| logs.ask(slot));
            assert_eq!(logs.make_room(high_first), chosen, "{count_max} places, {in_line} in line");
            assert_eq!(logs.make_room(high_first), [], "those are on their way already");
        }
    }

    #[test]
    fn a_place_that_becomes_free_goes_to_the_first_in_line() {
        let mut logs = logs(2, 2);
        logs.ask(5);
        logs.ask(6);
        assert_eq!(logs.make_room(high_first), [1]);
        assert_eq!(logs.next(), None);
        logs.on_closed(1);
        assert_eq!((logs.next(), logs.next()), (Some(5), None));
    }

    #[test]
    fn a_log_that_has_to_leave_takes_nothing_new_while_others_need_its_place() {
        let mut logs = logs(2, 2);
        logs.ask(5);
        logs.make_room(high_first);
        assert!(logs.may_stay(0));
        assert!(!logs.may_stay(1));
        logs.on_closed(0);
        assert_eq!(logs.next(), Some(5));
        assert!(logs.may_stay(1));
        assert!(!logs.is_leaving(1));
    }

    #[test]
    fn the_brokers_own_purposes_have_a_share_when_there_is_no_room() {
        let mut logs = logs(8, 8);
        assert_eq!(logs.room(), 2);
        logs.ask(20);
        assert_eq!(logs.room(), 1);
        (0..4).for_each(|slot| logs.on_closed(slot));
        assert_eq!(logs.room(), 3);
    }

    #[test]
    fn only_open_logs_leave() {
        let mut logs = logs(2, 1);
        logs.let_leave(0);
        logs.let_leave(1);
        assert!(logs.is_leaving(0) && !logs.is_leaving(1));
        logs.on_closed(0);
        assert!(!logs.is_leaving(0) && logs.is_idle());
        assert_eq!(logs.room(), 2);
    }
}
