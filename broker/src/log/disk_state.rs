//! The state of one data directory: healthy, full, or failed. Events in, what to do about it out.
//!
//! *Full* is a state like any other: appends are refused (KAFKA_STORAGE_ERROR, which clients retry) while fetching,
//! deleting and the broker's own small files go on, out of a reserve: a preallocated file that is given up when the
//! disk fills. Once there is room for the reserve and some more it is taken back, and only then appends resume, by
//! themselves. Where space can't be reserved, the last `ottla.disk.reserve.bytes` of the file system are left alone
//! instead. *Failed* is final: after a failed sync nobody knows what the disk holds (reliability: fsync-gate).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::disk::Space;

/// Appends resume when so much is free beyond the reserve, so that a full disk doesn't flutter.
pub const RESUME_MARGIN_BYTES: u64 = 16 * 1024 * 1024;

/// How often free space is looked at while the disk is full, and always where there is no reserve file.
pub const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What an error of the disk means for its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No space.
    Full,
    /// This process or machine ran out of something else for a moment: try the operation again later.
    Passing,
    /// Anything else: the directory can't be trusted.
    Failed,
}

/// What an error of a write, of making a file or of a rename means. Not for syncs, whose errors are all final, nor
/// for reads, which concern one range of one file.
pub fn trouble_of(error: &io::Error) -> Trouble {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
            Trouble::Passing
        }
        _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => Trouble::Passing,
        _ => Trouble::Failed,
    }
}

/// Whether a data directory takes appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskState {
    /// It does.
    Healthy,
    /// Not now: there is no space.
    Full,
    /// Never again. The text says which operation failed, and how.
    Failed(Arc<str>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskEffect {
    /// The state changed: publish it, and log one line.
    Announce(DiskState),
    /// Make the reserve file and preallocate this many bytes for it; answer with `on_reserve`.
    TakeReserve {
        /// Its size.
        bytes: u64,
    },
    /// Cut the reserve file to nothing; answer with `on_released`. Nothing else is under way on it.
    ReleaseReserve,
}

/// Keeps the state of one data directory.
#[derive(Debug)]
pub struct DiskHealth {
    state: DiskState,
    reserve: Reserve,
    reserve_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reserve {
    Absent,
    Asked,
    /// It is being taken, and is to be given up as soon as that has ended: whatever is done to the file meanwhile, the
    /// space would be taken after it.
    Unwanted,
    Held,
    /// It is being given up.
    Released,
    /// The file system can't reserve space.
    Unsupported,
}

impl DiskHealth {
    /// A directory at start, with `ottla.disk.reserve.bytes`, and what to do first. It counts as healthy until it
    /// turns out otherwise.
    pub fn start(reserve_bytes: u64) -> (DiskHealth, Option<DiskEffect>) {
        let mut health = DiskHealth { state: DiskState::Healthy, reserve: Reserve::Absent, reserve_bytes };
        let effect = (0 < reserve_bytes).then(|| health.take_reserve());
        (health, effect)
    }

    /// The state.
    pub fn state(&self) -> &DiskState {
        &self.state
    }

    /// Whether free space is to be looked at every [`SPACE_CHECK_INTERVAL`] for [`DiskHealth::on_space`].
    pub fn wants_space_checks(&self) -> bool {
        match self.state {
            DiskState::Healthy => self.reserve == Reserve::Unsupported,
            DiskState::Full => true,
            DiskState::Failed(_) => false,
        }
    }

    /// A write, the making of a file or a rename failed.
    pub fn on_error(&mut self, operation: &str, error: &io::Error, effects: &mut Vec<DiskEffect>) {
        self.on_trouble(operation, &error.to_string(), trouble_of(error), effects);
    }

    /// The same, for whoever has kept of an error what it means and what it says.
    pub fn on_trouble(
        &mut self,
        operation: &str,
        message: &str,
        trouble: Trouble,
        effects: &mut Vec<DiskEffect>,
    ) {
        match trouble {
            Trouble::Full => self.fill_up(effects),
            Trouble::Passing => {}
            Trouble::Failed => self.fail(operation, message, effects),
        }
    }

    /// A sync failed: the end of this directory, whatever the error says.
    pub fn on_sync_error(&mut self, error: &io::Error, effects: &mut Vec<DiskEffect>) {
        self.fail("sync", &error.to_string(), effects);
    }

    /// Free space was looked at.
    pub fn on_space(&mut self, space: Space, effects: &mut Vec<DiskEffect>) {
        let resumes_at = self.reserve_bytes.saturating_add(RESUME_MARGIN_BYTES);
        match (&self.state, self.reserve) {
            (DiskState::Healthy, Reserve::Unsupported) if space.free < self.reserve_bytes => {
                self.enter(DiskState::Full, effects);
            }
            (DiskState::Full, Reserve::Absent) if resumes_at <= space.free => {
                if self.reserve_bytes == 0 {
                    self.enter(DiskState::Healthy, effects);
                } else {
                    effects.push(self.take_reserve());
                }
            }
            (DiskState::Full, Reserve::Unsupported) if resumes_at <= space.free => {
                self.enter(DiskState::Healthy, effects);
            }
            _ => {}
        }
    }

    /// The reserve was taken, or not.
    pub fn on_reserve(&mut self, result: io::Result<()>, effects: &mut Vec<DiskEffect>) {
        match self.reserve {
            Reserve::Asked => {}
            Reserve::Unwanted => {
                self.release_reserve(effects);
                return;
            }
            Reserve::Absent | Reserve::Held | Reserve::Released | Reserve::Unsupported => return,
        }
        match result {
            Ok(()) => self.reserve = Reserve::Held,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.reserve = Reserve::Unsupported,
            Err(error) => {
                // Whatever part of it was allocated is to be given back.
                self.release_reserve(effects);
                match trouble_of(&error) {
                    Trouble::Full | Trouble::Passing => self.enter(DiskState::Full, effects),
                    Trouble::Failed => self.fail("reserve", &error.to_string(), effects),
                }
                return;
            }
        }
        if self.state == DiskState::Full {
            self.enter(DiskState::Healthy, effects);
        }
    }

    /// The reserve was given up, as far as it could be.
    pub fn on_released(&mut self) {
        if self.reserve == Reserve::Released {
            self.reserve = Reserve::Absent;
        }
    }

    fn release_reserve(&mut self, effects: &mut Vec<DiskEffect>) {
        self.reserve = Reserve::Released;
        effects.push(DiskEffect::ReleaseReserve);
    }

    fn take_reserve(&mut self) -> DiskEffect {
        self.reserve = Reserve::Asked;
        DiskEffect::TakeReserve { bytes: self.reserve_bytes }
    }

    fn fill_up(&mut self, effects: &mut Vec<DiskEffect>) {
        if self.state != DiskState::Healthy {
            return;
        }
        match self.reserve {
            Reserve::Held => self.release_reserve(effects),
            Reserve::Asked => self.reserve = Reserve::Unwanted,
            Reserve::Absent | Reserve::Unwanted | Reserve::Released | Reserve::Unsupported => {}
        }
        self.enter(DiskState::Full, effects);
    }

    fn fail(&mut self, operation: &str, error: &str, effects: &mut Vec<DiskEffect>) {
        self.enter(DiskState::Failed(Arc::from(format!("{operation}: {error}"))), effects);
    }

    fn enter(&mut self, state: DiskState, effects: &mut Vec<DiskEffect>) {
        let changes = std::mem::discriminant(&state) != std::mem::discriminant(&self.state);
        if changes && !matches!(self.state, DiskState::Failed(_)) {
            self.state = state.clone();
            effects.push(DiskEffect::Announce(state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 64 * 1024 * 1024;
    const ENOUGH: u64 = RESERVE + RESUME_MARGIN_BYTES;

    /// Runs events on a directory and expects the effects of the last one, in words.
    fn check(events: &[&str], expected: &str) {
        let (mut health, first) = DiskHealth::start(RESERVE);
        assert_eq!(first, Some(DiskEffect::TakeReserve { bytes: RESERVE }));
        let mut effects = Vec::new();
        for event in events {
            effects.clear();
            let space = |free| Space { free, total: u64::MAX };
            match *event {
                "reserved" => health.on_reserve(Ok(()), &mut effects),
                "cannot reserve" => health.on_reserve(Err(io::ErrorKind::Unsupported.into()), &mut effects),
                "no space to reserve" => {
                    health.on_reserve(Err(io::ErrorKind::StorageFull.into()), &mut effects)
                }
                "released" => health.on_released(),
                "no space to write" => {
                    health.on_error("write", &io::ErrorKind::StorageFull.into(), &mut effects);
                }
                "no descriptor" => health.on_error("open", &io::Error::from_raw_os_error(24), &mut effects),
                "bad write" => health.on_error("write", &io::Error::from_raw_os_error(5), &mut effects),
                "bad sync" => health.on_sync_error(&io::ErrorKind::StorageFull.into(), &mut effects),
                "little free" => health.on_space(space(RESERVE - 1), &mut effects),
                "some free" => health.on_space(space(ENOUGH - 1), &mut effects),
                "enough free" => health.on_space(space(ENOUGH), &mut effects),
                other => panic!("no such event: {other}"),
            }
        }
        let word = |effect: &DiskEffect| match effect {
            DiskEffect::Announce(DiskState::Healthy) => "healthy".to_owned(),
            DiskEffect::Announce(DiskState::Full) => "full".to_owned(),
            DiskEffect::Announce(DiskState::Failed(why)) => {
                format!("failed in {}", why.split(':').next().unwrap())
            }
            DiskEffect::TakeReserve { .. } => "take".to_owned(),
            DiskEffect::ReleaseReserve => "release".to_owned(),
        };
        let found: Vec<_> = effects.iter().map(word).collect();
        assert_eq!(found.join(", "), expected, "{events:?}");
        assert_eq!(
            health.wants_space_checks(),
            match health.state() {
                DiskState::Healthy => events.contains(&"cannot reserve"),
                DiskState::Full => true,
                DiskState::Failed(_) => false,
            }
        );
    }

    #[test]
    fn a_full_disk_gives_its_reserve_up_once() {
        check(&["reserved"], "");
        check(&["reserved", "no space to write"], "release, full");
        check(&["reserved", "no space to write", "no space to write"], "");
        check(&["no space to write"], "full");
    }

    #[test]
    fn a_reserve_that_is_still_being_taken_is_given_up_when_it_is_there() {
        check(&["no space to write", "reserved"], "release");
        check(&["no space to write", "cannot reserve"], "release");
        check(&["no space to write", "enough free"], "");
        check(&["no space to write", "reserved", "enough free"], "");
        check(&["no space to write", "reserved", "released", "enough free"], "take");
    }

    #[test]
    fn it_resumes_when_the_reserve_is_back() {
        let full = ["reserved", "no space to write", "released"];
        let then = |more: &[&'static str]| [&full[..], more].concat();
        check(&then(&["some free"]), "");
        check(&then(&["enough free"]), "take");
        check(&then(&["enough free", "enough free"]), "");
        check(&then(&["enough free", "reserved"]), "healthy");
        check(&then(&["enough free", "no space to reserve"]), "release");
        check(&then(&["enough free", "no space to reserve", "enough free"]), "");
        check(&then(&["enough free", "no space to reserve", "released", "enough free"]), "take");
        check(&then(&["enough free", "reserved", "no space to write"]), "release, full");
    }

    #[test]
    fn a_disk_that_has_no_room_for_the_reserve_is_full_from_the_start() {
        check(&["no space to reserve"], "release, full");
    }

    #[test]
    fn where_space_cannot_be_reserved_the_last_of_it_is_left_alone() {
        check(&["cannot reserve"], "");
        check(&["cannot reserve", "some free"], "");
        check(&["cannot reserve", "little free"], "full");
        check(&["cannot reserve", "little free", "some free"], "");
        check(&["cannot reserve", "little free", "enough free"], "healthy");
    }

    #[test]
    fn running_out_of_descriptors_is_not_the_disks_failure() {
        check(&["reserved", "no descriptor"], "");
    }

    #[test]
    fn a_failed_disk_stays_failed() {
        check(&["reserved", "bad write"], "failed in write");
        check(&["reserved", "bad sync"], "failed in sync");
        check(&["reserved", "no space to write", "bad sync"], "failed in sync");
        check(&["reserved", "bad sync", "no space to write"], "");
        check(&["reserved", "bad sync", "bad write"], "");
        check(&["reserved", "no space to write", "bad sync", "enough free"], "");
    }
}
