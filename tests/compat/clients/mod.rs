//! Unmodified clients, brought under `target/compat/`, and the commands that run their checks. Each command still takes
//! the broker's address as its last argument, and ends with 0 when every check held.

mod go;
mod java;
mod kcat;
mod node;
mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ottla_testkit::foreign::{Skip, Store};

pub(crate) use go::go;
pub(crate) use java::{java, old_java};
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

/// Compiles a program of ours. That its compiler and its client are there is known by then, so a failure is ours too.
fn compile(command: &mut Command) {
    let output = command.output().expect("the compiler ran a moment ago");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// The names and text of all files below a folder: what a client is built from.
fn contents(folder: &Path) -> Result<String, Skip> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    let mut all = String::new();
    for path in entries {
        all += &match path.is_dir() {
            true => contents(&path)?,
            false => format!("{}\n{}", path.display(), fs::read_to_string(&path)?),
        };
    }
    Ok(all)
}
