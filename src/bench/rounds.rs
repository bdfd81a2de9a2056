//! Rounds of contenders in turn, and their medians.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::load::Done;
use super::server::Cpu;

/// What one round did and took.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Of the process that was measured; none if that isn't known.
    pub(crate) cpu: Option<Cpu>,
    pub(crate) elapsed: Duration,
    pub(crate) done: Done,
}

impl Round {
    /// Measures what `process` needs for `work`.
    pub(crate) fn measure(process: Option<u32>, work: impl FnOnce() -> Result<Done>) -> Result<Round> {
        let before = process.map(Cpu::of).transpose()?;
        let began = Instant::now();
        let done = work()?;
        let elapsed = began.elapsed();
        let cpu = match (process.map(Cpu::of).transpose()?, before) {
            (Some(after), Some(before)) => Some(after - before),
            _ => None,
        };
        Ok(Round { cpu, elapsed, done })
    }

    pub(crate) fn gigabytes(&self) -> f64 {
        self.done.bytes as f64 / 1e9
    }

    /// Megabytes (of 10^6) a second.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.done.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn requests_per_second(&self) -> f64 {
        self.done.requests as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn records_per_second(&self) -> f64 {
        self.done.records as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU seconds a GB: user, system, both.
    pub(crate) fn cpu_per_gigabyte(&self) -> Cpu {
        self.cpu_per(self.gigabytes())
    }

    /// CPU microseconds a request: user, system, both.
    pub(crate) fn cpu_micros_per_request(&self) -> Cpu {
        self.cpu_per(self.done.requests as f64 / 1e6)
    }

    fn cpu_per(&self, work: f64) -> Cpu {
        let cpu = self.cpu.unwrap_or(Cpu { user: f64::NAN, system: f64::NAN, total: f64::NAN });
        Cpu { user: cpu.user / work, system: cpu.system / work, total: cpu.total / work }
    }
}

/// The rounds of one contender.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(pub(crate) Vec<Round>);

impl Rounds {
    pub(crate) fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.0.iter().map(of).collect())
    }

    /// The mean of the middle half. For what a round counts in few large steps, as user time in ticks of 10 ms: a median
    /// would be one of those steps.
    pub(crate) fn middle(&self, of: impl Fn(&Round) -> f64) -> f64 {
        middle(self.0.iter().map(of).collect())
    }

    /// The median over pairs of rounds that ran one after the other, of this one's figure over the other's.
    pub(crate) fn ratio(&self, other: &Rounds, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| of(ours) / of(theirs)).collect())
    }

    /// The median over pairs of rounds that ran one after the other, of this one's figure less the other's.
    pub(crate) fn difference(&self, other: &Rounds, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| of(ours) - of(theirs)).collect())
    }
}

/// The middle one; not a number where there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower =
        values.len().checked_sub(1).and_then(|last| values.get(last / 2)).copied().unwrap_or(f64::NAN);
    (lower + upper) / 2.0
}

/// The mean of the values without the lowest and the highest quarter; not a number where there is none.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let quarter = values.len() / 4;
    let kept = &values[quarter..values.len() - quarter];
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// Somebody who takes part in alternating rounds.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) round: Box<dyn FnMut() -> Result<Round> + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'a str, round: impl FnMut() -> Result<Round> + 'a) -> Contender<'a> {
        Contender { name, round: Box::new(round) }
    }
}

/// Lets each contender have a round in turn, `count` times.
pub(crate) fn alternate(count: usize, contenders: &mut [Contender<'_>]) -> Result<Vec<Rounds>> {
    use anyhow::Context as _;
    let mut rounds = vec![Rounds::default(); contenders.len()];
    for _ in 0..count {
        for (contender, rounds) in contenders.iter_mut().zip(&mut rounds) {
            let round = (contender.round)().with_context(|| format!("in a round of {}", contender.name))?;
            rounds.0.push(round);
        }
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        for (values, expected) in
            [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5), (vec![7.0], 7.0)]
        {
            assert!((median(values) - expected).abs() < 1e-9);
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn the_middle_is_the_mean_without_the_outermost_quarters() {
        for (values, expected) in [
            (vec![7.0], 7.0),
            (vec![1.0, 2.0, 6.0], 3.0),
            (vec![9.0, 1.0, 2.0, 4.0], 3.0),
            (vec![100.0, 3.0, 1.0, 2.0, 0.0], 2.0),
            (vec![8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 0.0], 4.5),
        ] {
            assert!((middle(values.clone()) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(middle(Vec::new()).is_nan());
    }
}
