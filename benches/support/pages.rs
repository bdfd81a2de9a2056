//! Touches free memory before anything is measured, by filling it with page cache.
//!
//! Memory that a virtual machine's host has not backed yet costs some 2.5 CPU seconds a GB at its first touch, and a
//! log broker's steady state is a machine whose free memory is page cache.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::now;

/// How long filling may take, and how much stays free.
const PATIENCE: Duration = Duration::from_secs(10);
const LEFT_FREE: u64 = 2 << 30;

/// The sparse file whose pages fill the memory; gone with its directory.
pub(crate) struct WarmPages {
    path: PathBuf,
    filled: u64,
    took: Duration,
}

impl WarmPages {
    pub(crate) fn fill(workspace: &Path) -> Result<WarmPages> {
        let path = workspace.join("warm");
        File::create(&path)?.set_len(1 << 40)?;
        let mut file = File::open(&path)?;
        let mut buffer = vec![0; 1 << 20];
        let (began, mut filled) = (now(), 0);
        while began.elapsed() < PATIENCE && free_memory()? > LEFT_FREE {
            for _ in 0..64 {
                filled += file.read(&mut buffer)? as u64;
            }
        }
        Ok(WarmPages { path, filled, took: began.elapsed() })
    }
}

impl Drop for WarmPages {
    fn drop(&mut self) {
        // Its directory is removed in any case.
        let _gone = std::fs::remove_file(&self.path);
    }
}

impl std::fmt::Display for WarmPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (gigabytes, seconds) = (self.filled as f64 / 1e9, self.took.as_secs_f64());
        write!(f, "touched {gigabytes:.1} GB of free memory in {seconds:.1} s")
    }
}

fn free_memory() -> Result<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let line = meminfo.lines().find(|line| line.starts_with("MemFree:")).context("Linux says MemFree")?;
    let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024)
}
