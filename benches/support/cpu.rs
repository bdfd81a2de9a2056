//! CPU times and memory of a process, from `/proc`.

use std::ops::{Add, Sub};

use anyhow::{Context as _, Result};

/// Linux counts in hundredths of a second for every architecture's user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all threads of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// What the process has used so far.
    pub(crate) fn of(process: u32) -> Result<Cpu> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name, in brackets, may hold anything; the state is the first field behind it.
        let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let mut next = || -> Result<f64> { Ok(times.next().context("more fields")?? / TICKS_PER_SECOND) };
        Ok(Cpu { user: next()?, system: next()? })
    }

    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, other: Cpu) -> Cpu {
        Cpu { user: self.user - other.user, system: self.system - other.system }
    }
}

impl Add for Cpu {
    type Output = Cpu;

    fn add(self, other: Cpu) -> Cpu {
        Cpu { user: self.user + other.user, system: self.system + other.system }
    }
}

/// The largest resident memory that the process has had so far, in MiB.
pub(crate) fn peak_resident_mib(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("Linux says VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib / 1024.0)
}
