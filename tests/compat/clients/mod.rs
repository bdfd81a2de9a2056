//! Unmodified clients, brought under `target/compat/`, and the commands that run their checks. Each command still takes
//! the broker's address as its last argument, and ends with 0 when every check held.

mod kcat;
mod node;
mod python;

use std::path::{Path, PathBuf};
use std::process::Command;

use ottla_testkit::foreign::Store;

pub(crate) use kcat::kcat;
pub(crate) use node::NodePackages;
pub(crate) use python::PythonPackages;

fn store() -> Store {
    Store::beside(env!("CARGO_BIN_EXE_ottla"), "compat")
}

/// Where the checks are.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(name)
}

/// A program that is ended if it hangs.
fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("300").arg(program.as_ref());
    command
}
