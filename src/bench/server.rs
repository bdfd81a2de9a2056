//! What a process costs: CPU time and memory, from `/proc`.

use std::ops::{Add, Sub};

use anyhow::{Context as _, Result};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Linux counts in hundredths of a second for every architecture's user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all threads of a process, those that have ended included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Counted in hundredths.
    pub(crate) user: f64,
    /// Counted in hundredths.
    pub(crate) system: f64,
    /// Both, counted in nanoseconds.
    pub(crate) total: f64,
}

impl Cpu {
    /// What the process has used so far.
    pub(crate) fn of(process: u32) -> Result<Cpu> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))
            .with_context(|| format!("process {process} can't be looked at"))?;
        // The name, in brackets, may hold anything; the state is the first field behind it.
        let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let mut next = || -> Result<f64> { Ok(times.next().context("more fields")?? / TICKS_PER_SECOND) };
        let (user, system) = (next()?, next()?);
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(process)?)).and_then(|clock| clock.now());
        let exact = clock.ok().map(|time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9);
        Ok(Cpu { user, system, total: exact.unwrap_or(user + system) })
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, other: Cpu) -> Cpu {
        Cpu {
            user: self.user - other.user,
            system: self.system - other.system,
            total: self.total - other.total,
        }
    }
}

impl Add for Cpu {
    type Output = Cpu;

    fn add(self, other: Cpu) -> Cpu {
        Cpu {
            user: self.user + other.user,
            system: self.system + other.system,
            total: self.total + other.total,
        }
    }
}

/// Resident memory of a process, in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resident {
    pub(crate) now: f64,
    /// The most that it has had since it started.
    pub(crate) peak: f64,
}

impl Resident {
    pub(crate) fn of(process: u32) -> Result<Resident> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))
            .with_context(|| format!("process {process} can't be looked at"))?;
        let mib = |name: &str| -> Result<f64> {
            let line =
                status.lines().find(|line| line.starts_with(name)).context("Linux says how much it is")?;
            let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
            Ok(kib / 1024.0)
        };
        Ok(Resident { now: mib("VmRSS:")?, peak: mib("VmHWM:")? })
    }
}
