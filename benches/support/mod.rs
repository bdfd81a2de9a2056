//! What the sections share: a broker, the limits beside it, frames, CPU times, medians.

pub(crate) mod cpu;
pub(crate) mod limits;
pub(crate) mod load;
pub(crate) mod pages;
pub(crate) mod requests;
pub(crate) mod rounds;
pub(crate) mod sections;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use tempfile::TempDir;

/// The time it is.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A directory on the disk of the build, not in memory as `/tmp` may be.
pub(crate) fn workspace() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A broker whose topics need no fsync. `OTTLA_BENCH_PROGRAM` names another build of it, to
/// compare two.
pub(crate) fn start_broker(workspace: &Path) -> BrokerProcess {
    let program = std::env::var("OTTLA_BENCH_PROGRAM");
    let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_ottla").to_owned());
    BrokerCommand::new(program, workspace.join("data")).set("ottla.flush.policy", "os").start()
}
