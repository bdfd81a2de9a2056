//! Rounds of two contenders in turn, and their medians.

use std::time::Duration;

use super::cpu::Cpu;
use super::now;
use anyhow::Result;

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) cpu: Cpu,
    pub(crate) elapsed: Duration,
    /// How much work it was, in whatever unit the section counts.
    pub(crate) work: f64,
}

impl Round {
    /// Measures `work` done by `process`; `work` says how much it was.
    pub(crate) fn measure(process: u32, work: impl FnOnce() -> Result<f64>) -> Result<Round> {
        let (before, began) = (Cpu::of(process)?, now());
        let work = work()?;
        let elapsed = began.elapsed();
        Ok(Round { cpu: Cpu::of(process)? - before, elapsed, work })
    }
}

/// The rounds of one contender.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<Round>);

impl Rounds {
    pub(crate) fn push(&mut self, round: Round) {
        self.0.push(round);
    }

    pub(crate) fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// CPU seconds for each unit of work: user, system, both.
    pub(crate) fn cpu(&self) -> (f64, f64, f64) {
        (
            self.median(|round| round.cpu.user / round.work),
            self.median(|round| round.cpu.system / round.work),
            self.median(|round| round.cpu.total() / round.work),
        )
    }

    /// Units of work a second.
    pub(crate) fn rate(&self) -> f64 {
        self.median(|round| round.work / round.elapsed.as_secs_f64())
    }

    /// What one round of each cost in CPU, ours over the other's, the median of the pairs.
    pub(crate) fn cpu_ratio(&self, other: &Rounds) -> f64 {
        let mut ratios: Vec<f64> = self
            .0
            .iter()
            .zip(&other.0)
            .map(|(ours, theirs)| (ours.cpu.total() / ours.work) / (theirs.cpu.total() / theirs.work))
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Prints one contender's line: units a second, then CPU a unit.
pub(crate) fn print_line(
    name: &str,
    rounds: &Rounds,
    rate: &str,
    rate_scale: f64,
    cpu: &str,
    cpu_scale: f64,
) {
    let (user, system, total) = rounds.cpu();
    println!(
        "{name:<44} {:>9.0} {rate:<10} {:>7.3} user {:>7.3} system {:>7.3} {cpu}",
        rounds.rate() * rate_scale,
        user * cpu_scale,
        system * cpu_scale,
        total * cpu_scale,
    );
}
