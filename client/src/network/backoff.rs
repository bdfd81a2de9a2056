//! How long to wait before the next try. Pure: randomness comes in.

use std::time::Duration;

use ottla_runtime::Rng;

/// Waiting times that double from `first` to `max`, each up to a fifth shorter or longer, so that clients that failed
/// together don't come back together (KIP-580).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// How long to wait after so many failures in a row; nothing after none.
    pub(crate) fn delay(self, failures: u32, rng: &mut Rng) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let middle = self.first.saturating_mul(factor).min(self.max.max(self.first));
        let percent = u32::try_from(rng.below(41)).unwrap_or(0) + 80;
        middle.saturating_mul(percent) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_end_and_strays_by_a_fifth() {
        let backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_secs(1) };
        let mut rng = Rng::seeded(1);
        let mut check = |failures, middle: u64| {
            for _ in 0..200 {
                let delay = backoff.delay(failures, &mut rng).as_millis();
                let expected = u128::from(middle * 8 / 10)..=u128::from(middle * 12 / 10);
                assert!(expected.contains(&delay), "{failures} failures: {delay} ms");
            }
        };
        check(0, 0);
        check(1, 50);
        check(2, 100);
        check(5, 800);
        check(6, 1000);
        check(u32::MAX, 1000);
    }

    #[test]
    fn two_clients_wait_for_different_times() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(1) };
        let delays = |seed| {
            let mut rng = Rng::seeded(seed);
            [1, 2, 3, 4].map(|failures| backoff.delay(failures, &mut rng))
        };
        assert_ne!(delays(1), delays(2));
        assert_eq!(delays(1), delays(1));
    }
}
