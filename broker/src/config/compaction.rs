//! The work of compaction, which is the same for every topic: `log.cleaner.*`. What a topic can choose for itself is in
//! `topic.rs`.

use super::layers::BrokerLayers;
use super::values::Values;

/// How logs are compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionConfig {
    /// `log.cleaner.enable`: default true. Read at start.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`: when nothing has to be compacted, logs are looked at again after so long. From 0, default
    /// 15000.
    pub backoff_ms: u64,
    /// `log.cleaner.dedupe.buffer.size`: the most memory that the keys of a log take while it is compacted. From 1, default
    /// 134217728; less than 4194304 counts as that.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`, in millionths: how full that memory may be. Default 900000; what lies outside of
    /// 100000 to 990000 counts as the nearer of these.
    pub load_factor_millionths: u32,
    /// `log.cleaner.io.max.bytes.per.second`: what may be read and written in a second, together. No limit where the value
    /// is at least 2⁶⁴, as by default.
    pub io_bytes_per_second_max: Option<u64>,
}

impl Default for CompactionConfig {
    fn default() -> CompactionConfig {
        CompactionConfig {
            enabled: true,
            backoff_ms: 15_000,
            dedupe_buffer_bytes: 128 * 1024 * 1024,
            load_factor_millionths: 900_000,
            io_bytes_per_second_max: None,
        }
    }
}

const BUFFER_BYTES_MIN: u64 = 4 * 1024 * 1024;

impl CompactionConfig {
    pub(super) fn read(values: &Values<'_>) -> CompactionConfig {
        CompactionConfig {
            enabled: values.required("log.cleaner.enable").truth(),
            backoff_ms: values.required("log.cleaner.backoff.ms").unsigned(),
            dedupe_buffer_bytes: values.required("log.cleaner.dedupe.buffer.size").unsigned(),
            load_factor_millionths: values.required("log.cleaner.io.buffer.load.factor").millionths(),
            io_bytes_per_second_max: rate(values.required("log.cleaner.io.max.bytes.per.second").fraction()),
        }
        .clamped()
    }

    /// The same, with what was set at run time.
    #[must_use]
    pub fn with_dynamic(self, layers: &BrokerLayers) -> CompactionConfig {
        let text = |key| layers.value(key);
        let number = |key| text(key).and_then(|text| text.trim().parse::<u64>().ok());
        let fraction = |key| text(key).and_then(|text| text.trim().parse::<f64>().ok());
        let backoff_ms = number("log.cleaner.backoff.ms").unwrap_or(self.backoff_ms);
        let dedupe_buffer_bytes =
            number("log.cleaner.dedupe.buffer.size").unwrap_or(self.dedupe_buffer_bytes);
        let load_factor_millionths =
            fraction("log.cleaner.io.buffer.load.factor").map_or(self.load_factor_millionths, millionths);
        let io_bytes_per_second_max =
            fraction("log.cleaner.io.max.bytes.per.second").map_or(self.io_bytes_per_second_max, rate);
        CompactionConfig {
            backoff_ms,
            dedupe_buffer_bytes,
            load_factor_millionths,
            io_bytes_per_second_max,
            ..self
        }
        .clamped()
    }

    fn clamped(mut self) -> CompactionConfig {
        self.dedupe_buffer_bytes = self.dedupe_buffer_bytes.max(BUFFER_BYTES_MIN);
        self.load_factor_millionths = self.load_factor_millionths.clamp(100_000, 990_000);
        self
    }
}

/// A fraction as a whole number. What doesn't fit is the nearest that does.
pub(super) fn millionths(fraction: f64) -> u32 {
    (fraction * 1e6).round() as u32
}

fn rate(bytes_per_second: f64) -> Option<u64> {
    // A rate of nothing would stop it for ever, which is what `log.cleaner.enable` is for.
    (bytes_per_second < u64::MAX as f64).then_some((bytes_per_second as u64).max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_set_at_run_time_counts() {
        let set: BTreeMap<String, String> = [
            ("log.cleaner.backoff.ms", "7"),
            ("log.cleaner.dedupe.buffer.size", "5"),
            ("log.cleaner.io.buffer.load.factor", "2.5"),
            ("log.cleaner.io.max.bytes.per.second", "1000.9"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let layers = BrokerLayers::with_dynamic(BTreeMap::new(), BTreeMap::new(), set);
        let expected = CompactionConfig {
            enabled: true,
            backoff_ms: 7,
            dedupe_buffer_bytes: BUFFER_BYTES_MIN,
            load_factor_millionths: 990_000,
            io_bytes_per_second_max: Some(1000),
        };
        assert_eq!(CompactionConfig::default().with_dynamic(&layers), expected);
        let layers = BrokerLayers::new(BTreeMap::new());
        assert_eq!(CompactionConfig::default().with_dynamic(&layers), CompactionConfig::default());
    }
}
