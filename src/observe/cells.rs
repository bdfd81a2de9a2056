//! What stands behind a handle: numbers that many threads add to without getting in each other's way.
//!
//! A counter or a histogram is kept in a few stripes, each in cache lines of its own, and a thread adds to the stripe
//! that is its own for as long as it runs. An addition is one relaxed instruction on a line that is there already; who
//! reads adds the stripes up. A histogram takes the same memory however much it was told, and is never drained.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};
use ottla_broker::metrics::DURATION_BOUNDS_SECONDS;

/// Threads that share a stripe lose a little time, never a count.
const STRIPES: usize = 8;

/// So much that no two stripes share a line, nor the pair of lines that processors fetch together.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded<T>(T);

/// The stripe of the thread that asks.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        own.get()
    })
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(super) struct StripedCounter {
    stripes: [Padded<AtomicU64>; STRIPES],
}

impl StripedCounter {
    pub(super) fn value(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

impl CounterFn for StripedCounter {
    fn increment(&self, value: u64) {
        if let Some(stripe) = self.stripes.get(stripe()) {
            stripe.0.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Only for one caller at a time, which nobody here is.
    fn absolute(&self, value: u64) {
        self.increment(value.saturating_sub(self.value()));
    }
}

/// A number that goes up and down: the bits of an `f64`.
#[derive(Debug, Default)]
pub(super) struct GaugeCell(AtomicU64);

impl GaugeCell {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, value: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // It is tried again until it succeeds.
        let _before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// The buckets of a histogram, the one without a bound included.
const BUCKETS: usize = DURATION_BOUNDS_SECONDS.len() + 1;

/// How often something took how long, in the buckets that all histograms have.
#[derive(Debug, Default)]
pub(super) struct StripedHistogram {
    stripes: [Padded<HistogramStripe>; STRIPES],
}

#[derive(Debug, Default)]
struct HistogramStripe {
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// What a histogram has been told so far.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct HistogramValues {
    /// How many fell into each bucket, not added up.
    pub(super) buckets: [u64; BUCKETS],
    /// All of them together.
    pub(super) sum_seconds: f64,
}

impl StripedHistogram {
    pub(super) fn values(&self) -> HistogramValues {
        let (mut buckets, mut nanos) = ([0; BUCKETS], 0);
        for Padded(stripe) in &self.stripes {
            nanos += stripe.nanos.load(Ordering::Relaxed);
            for (sum, bucket) in buckets.iter_mut().zip(&stripe.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
        }
        HistogramValues { buckets, sum_seconds: nanos as f64 / 1e9 }
    }
}

impl HistogramFn for StripedHistogram {
    fn record(&self, seconds: f64) {
        self.record_many(seconds, 1);
    }

    fn record_many(&self, seconds: f64, count: usize) {
        let count = count as u64;
        let place = DURATION_BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        let Some(Padded(stripe)) = self.stripes.get(stripe()) else { return };
        if let Some(bucket) = stripe.buckets.get(place) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        // Negative and absurd durations count as none and as the longest there is.
        stripe.nanos.fetch_add(((seconds * 1e9) as u64).wrapping_mul(count), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_additions_are_there() {
        let (counter, histogram) = (StripedCounter::default(), StripedHistogram::default());
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 3 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.increment(2);
                        histogram.record(0.5);
                    }
                });
            }
        });
        let threads = STRIPES as u64 + 3;
        assert_eq!(counter.value(), threads * 2000);
        let values = histogram.values();
        assert_eq!(values.buckets.iter().sum::<u64>(), threads * 1000);
        assert!((values.sum_seconds - threads as f64 * 500.0).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn bounds_belong_to_their_buckets() {
        for (seconds, place) in [
            (0.0, 0),
            (-1.0, 0),
            (0.000_05, 0),
            (0.000_051, 1),
            (0.001, 4),
            (10.0, BUCKETS - 2),
            (10.1, BUCKETS - 1),
            (f64::MAX, BUCKETS - 1),
        ] {
            let histogram = StripedHistogram::default();
            histogram.record(seconds);
            let buckets = histogram.values().buckets;
            assert_eq!(buckets.iter().position(|count| *count == 1), Some(place), "{seconds}");
        }
    }

    #[test]
    fn gauges_move_and_are_set() {
        let gauge = GaugeCell::default();
        gauge.increment(5.0);
        gauge.decrement(1.5);
        assert_eq!(gauge.value(), 3.5);
        gauge.set(-2.0);
        assert_eq!(gauge.value(), -2.0);
    }
}
