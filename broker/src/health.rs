//! Whether a broker is alive and whether it is ready, as an orchestrator asks. Pure.
//!
//! *Alive* means that starting it again would help nothing: its shards take turns. A broker that recovers, whose disk is
//! full, or that stops is alive. *Ready* means that a client which is sent here now is served, its records included.

use std::time::Duration;

use ottla_runtime::MonotonicTime;

use crate::log::disk_state::DiskState;

/// A shard takes a turn each second, whatever there is to do, and never waits for the disk in one.
const TURN_AGE_MAX: Duration = Duration::from_secs(15);
/// A sync that takes so long may never end. Whoever waits for it is not served.
const SYNC_AGE_MAX: Duration = Duration::from_secs(30);

/// How far a broker has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It starts; the text says what it is at.
    Starting(&'static str),
    /// It serves clients.
    Serving,
    /// It stops.
    Stopping,
    /// It can't go on; the text says why.
    Failed(String),
}

/// What a broker that serves looks like from outside.
#[derive(Debug, Clone)]
pub(crate) struct Signs {
    /// When these signs were taken.
    pub(crate) now: MonotonicTime,
    /// When the shard that has gone longest without one took its last turn.
    pub(crate) oldest_turn: MonotonicTime,
    /// The data directory's state.
    pub(crate) disk: DiskState,
    /// Since when the oldest bytes wait that are to be synced, if any do.
    pub(crate) unsynced_since: Option<MonotonicTime>,
    /// Why the metadata log has failed, if it has.
    pub(crate) metadata_failure: Option<String>,
}

/// Whether it is alive; if not, why.
pub(crate) fn liveness(phase: &Phase, signs: Option<&Signs>) -> Result<(), String> {
    match (phase, signs) {
        (Phase::Failed(reason), _) => Err(reason.clone()),
        (Phase::Serving, Some(signs)) => {
            let age = signs.now.since(signs.oldest_turn);
            if TURN_AGE_MAX < age {
                return Err(format!("a shard has taken no turn for {} s", age.as_secs()));
            }
            Ok(())
        }
        (Phase::Starting(_) | Phase::Serving | Phase::Stopping, _) => Ok(()),
    }
}

/// Whether it is ready; if not, why.
pub(crate) fn readiness(phase: &Phase, signs: Option<&Signs>) -> Result<(), String> {
    let signs = match (phase, signs) {
        (Phase::Starting(what), _) => return Err(format!("starting: {what}")),
        (Phase::Stopping, _) => return Err("stopping".to_owned()),
        (Phase::Failed(_), _) | (Phase::Serving, None) => return liveness(phase, signs),
        (Phase::Serving, Some(signs)) => signs,
    };
    liveness(phase, Some(signs))?;
    match &signs.disk {
        DiskState::Failed(reason) => return Err(format!("the data directory has failed: {reason}")),
        DiskState::Full => {
            return Err("the disk is full: produce requests are refused, fetches are served".to_owned());
        }
        DiskState::Healthy => {}
    }
    if let Some(reason) = &signs.metadata_failure {
        return Err(reason.clone());
    }
    match signs.unsynced_since.map(|since| signs.now.since(since)) {
        Some(age) if SYNC_AGE_MAX < age => Err(format!("a sync has been under way for {} s", age.as_secs())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime(seconds * 1_000_000_000)
    }

    fn healthy() -> Signs {
        Signs {
            now: at(100),
            oldest_turn: at(99),
            disk: DiskState::Healthy,
            unsynced_since: Some(at(99)),
            metadata_failure: None,
        }
    }

    /// What the two probes say: nothing if all is well.
    fn check(phase: Phase, signs: Option<Signs>, live: Option<&str>, ready: Option<&str>) {
        let text = |result: Result<(), String>| result.err();
        let told = (text(liveness(&phase, signs.as_ref())), text(readiness(&phase, signs.as_ref())));
        assert_eq!(told, (live.map(str::to_owned), ready.map(str::to_owned)), "{phase:?} {signs:?}");
    }

    #[test]
    fn a_broker_that_serves_is_alive_and_ready() {
        check(Phase::Serving, Some(healthy()), None, None);
        check(Phase::Serving, Some(Signs { unsynced_since: None, ..healthy() }), None, None);
    }

    #[test]
    fn starting_and_stopping_are_alive_and_not_ready() {
        check(Phase::Starting("recovering logs"), None, None, Some("starting: recovering logs"));
        check(Phase::Stopping, None, None, Some("stopping"));
    }

    #[test]
    fn a_broker_that_failed_is_neither() {
        check(Phase::Failed("a bug".to_owned()), None, Some("a bug"), Some("a bug"));
    }

    #[test]
    fn shards_that_stand_still_are_not_alive() {
        for (last, age) in [(85, None), (84, Some(16)), (0, Some(100))] {
            let text = age.map(|age| format!("a shard has taken no turn for {age} s"));
            let signs = Signs { oldest_turn: at(last), ..healthy() };
            check(Phase::Serving, Some(signs), text.as_deref(), text.as_deref());
        }
    }

    #[test]
    fn what_the_disk_can_not_do_makes_it_unready_and_not_dead() {
        let full = "the disk is full: produce requests are refused, fetches are served";
        check(Phase::Serving, Some(Signs { disk: DiskState::Full, ..healthy() }), None, Some(full));
        let failed = DiskState::Failed("sync: EIO".into());
        let text = "the data directory has failed: sync: EIO";
        check(Phase::Serving, Some(Signs { disk: failed, ..healthy() }), None, Some(text));
        let signs = Signs { unsynced_since: Some(at(69)), ..healthy() };
        check(Phase::Serving, Some(signs), None, Some("a sync has been under way for 31 s"));
        let signs = Signs { metadata_failure: Some("the metadata log has failed".to_owned()), ..healthy() };
        check(Phase::Serving, Some(signs), None, Some("the metadata log has failed"));
    }
}
