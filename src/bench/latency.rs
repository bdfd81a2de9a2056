//! Latencies: a histogram with three significant digits, and the percentiles that are shown.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longer ones count as so long.
const NANOS_MAX: u64 = 600_000_000_000;

/// The percentiles that are shown.
const SHOWN: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// How long requests took.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("these bounds are in order"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(NANOS_MAX).max(1));
    }

    pub(crate) fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of requests did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }

    /// The names and values that are shown, in milliseconds.
    pub(crate) fn shown(&self) -> Vec<(&'static str, f64)> {
        let mut shown: Vec<_> =
            SHOWN.iter().map(|(name, quantile)| (*name, self.quantile_ms(*quantile))).collect();
        shown.push(("max", self.0.max() as f64 / 1e6));
        shown
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        object.extend(self.shown().into_iter().map(|(name, ms)| (format!("{name}_ms"), json!(ms))));
        object.insert("mean_ms".to_owned(), json!(self.0.mean() / 1e6));
        object.insert("count".to_owned(), json!(self.0.len()));
        Value::Object(object)
    }
}
