//! Randomness that is passed in. One seed decides everything that a simulated run draws.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng as _, RngExt as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A generator that one part owns. Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The generator of this seed: the same seed draws the same numbers.
    pub fn seeded(seed: u64) -> Rng {
        Rng(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Another generator, decided by this one, for a part that needs its own.
    pub fn fork(&mut self) -> Rng {
        Rng::seeded(self.next_u64())
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `end`, which is not included and must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// Whether something happens that happens `numerator` times out of `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// Gives each part a generator of its own. Cheap to clone; clones share one line of seeds.
#[derive(Debug, Clone)]
pub struct RngSource(Arc<Mutex<Rng>>);

impl RngSource {
    /// Generators that `seed` decides.
    pub fn seeded(seed: u64) -> RngSource {
        RngSource(Arc::new(Mutex::new(Rng::seeded(seed))))
    }

    /// A generator that no other part has.
    pub fn fork(&self) -> Rng {
        self.0.lock().fork()
    }
}
