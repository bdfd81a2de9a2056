//! Touches free memory before anything is measured, by filling it with page cache.
//!
//! Memory that a virtual machine's host has not backed yet costs some 2.5 CPU seconds a GB at its first touch, and a
//! log broker's steady state is a machine whose free memory is page cache. What the measured programs take first is given
//! back: pages that have just been touched.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::progress::Progress;

/// How little memory stays untouched.
const UNTOUCHED: u64 = 512 << 20;

/// How much is free afterwards.
const GIVEN_BACK: u64 = 2 << 30;

/// What is read at a time.
const PIECE: usize = 1 << 20;

/// The sparse file whose pages fill the memory; they stay until they are needed, or it is dropped.
pub(crate) struct WarmPages {
    path: PathBuf,
}

impl WarmPages {
    /// Fills memory for as long as `patience` at most, and says how far it came.
    pub(crate) fn fill(directory: &Path, patience: Duration, progress: &Progress) -> Result<WarmPages> {
        let warm = WarmPages { path: directory.join("warm-pages") };
        if patience.is_zero() {
            return Ok(warm);
        }
        progress.label("touching free memory");
        File::create(&warm.path)?.set_len(1 << 40)?;
        let file = File::open(&warm.path)?;
        let (began, next) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            let threads = [0, 1].map(|_| scope.spawn(|| touch(&file, &next, began + patience, progress)));
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
        })?;
        let filled = next.load(Ordering::Relaxed);
        let given_back = GIVEN_BACK.min(filled / 2);
        let (from, length) = (i64::try_from(filled - given_back)?, i64::try_from(given_back)?);
        posix_fadvise(&file, from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let left = free_memory()?.saturating_sub(given_back) as f64 / 1e9;
        progress.say(&format!(
            "touched {:.1} GB of free memory in {:.0} s; {left:.1} GB may still be cold",
            filled as f64 / 1e9,
            began.elapsed().as_secs_f64()
        ));
        Ok(warm)
    }
}

fn touch(file: &File, next: &AtomicU64, until: Instant, progress: &Progress) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    while Instant::now() < until && !progress.is_interrupted() && free_memory()? > UNTOUCHED {
        for _ in 0..64 {
            file.read_exact_at(&mut buffer, next.fetch_add(PIECE as u64, Ordering::Relaxed))?;
            progress.count(PIECE as u64);
        }
    }
    Ok(())
}

impl Drop for WarmPages {
    fn drop(&mut self) {
        // Its directory is removed in any case.
        let _gone = std::fs::remove_file(&self.path);
    }
}

fn free_memory() -> Result<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let line = meminfo.lines().find(|line| line.starts_with("MemFree:")).context("Linux says MemFree")?;
    let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024)
}
