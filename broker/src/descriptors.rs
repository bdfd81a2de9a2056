//! How the descriptors that the process may have open are shared out: half to logs, half to connections.
//!
//! Without a share of their own, clients that only connect would leave none for the files of the logs, and those who
//! are connected already could not be served.

/// Descriptors that are left to everything else: the metadata log, the runtime, the files that come and go.
const RESERVED: u64 = 64;

/// So few connections are let in in any case.
const CONNECTIONS_MIN: u64 = 16;

/// How many files the logs may keep open.
pub(crate) fn for_logs(descriptors: u64) -> u64 {
    descriptors.saturating_sub(RESERVED) / 2
}

/// How many connections may be open.
pub(crate) fn for_connections(descriptors: u64) -> u32 {
    let share = (descriptors.saturating_sub(RESERVED) / 2).max(CONNECTIONS_MIN);
    u32::try_from(share).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_connections_never_use_up_what_there_is() {
        for descriptors in [128, 256, 1024, 1 << 20, u64::from(u32::MAX)] {
            assert!(
                for_logs(descriptors) + u64::from(for_connections(descriptors)) + RESERVED <= descriptors
            );
        }
        assert_eq!((for_logs(0), for_connections(0)), (0, 16));
        assert_eq!(for_connections(u64::MAX), u32::MAX);
    }
}
