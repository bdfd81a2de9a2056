//! What the broker tells its operators in numbers: every metric by name, and how handles to them are had.
//!
//! The numbers go to the recorder that the process has installed for the `metrics` facade, if any: the library installs
//! none, and without one a handle does nothing. Handles on hot paths are made once and kept (`requests`, `log`);
//! what happens rarely asks for its handle then. Brokers of one process share its metrics, so gauges are moved, not
//! set (`GaugeShare`), and every one is the sum over them. No label's values are unbounded: no topics, no clients.

mod log;
mod requests;
mod share;
pub mod table;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Unit};

pub(crate) use self::log::{CountedEnds, FlushMetrics, ReadMetrics, ShardMetrics};
pub(crate) use self::requests::{Asked, FetchMetrics, RequestMetrics, RequestTally};
pub(crate) use self::share::GaugeShare;
pub use self::table::ALL;

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long, in [`DURATION_BOUNDS_SECONDS`].
    Histogram,
}

impl Kind {
    /// The word that Prometheus has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The upper bounds of every histogram's buckets, inclusive, in seconds. Beyond the last there is one more.
pub const DURATION_BOUNDS_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// One metric, as it is declared in [`table`].
#[derive(Debug)]
pub struct Metric {
    /// Its name, in Prometheus's conventions: base units, `_total` for counters.
    pub name: &'static str,
    /// What its numbers mean.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, as one sentence without a full stop.
    pub help: &'static str,
}

static METADATA: Metadata<'static> = Metadata::new("ottla", Level::INFO, Some(module_path!()));

impl Metric {
    /// Its unit, which its name ends with.
    pub fn unit(&self) -> Option<Unit> {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        if name.ends_with("_seconds") {
            Some(Unit::Seconds)
        } else if name.ends_with("_bytes") {
            Some(Unit::Bytes)
        } else {
            None
        }
    }

    /// A handle of a counter; `values` are those of its labels, in their order.
    pub fn counter(&self, values: &[&str]) -> Counter {
        assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        metrics::with_recorder(|recorder| recorder.register_counter(&self.key(values), &METADATA))
    }

    /// A handle of a gauge; `values` are those of its labels, in their order.
    pub fn gauge(&self, values: &[&str]) -> Gauge {
        assert_eq!(self.kind, Kind::Gauge, "{}", self.name);
        metrics::with_recorder(|recorder| recorder.register_gauge(&self.key(values), &METADATA))
    }

    /// A handle of a histogram; `values` are those of its labels, in their order.
    pub fn histogram(&self, values: &[&str]) -> Histogram {
        assert_eq!(self.kind, Kind::Histogram, "{}", self.name);
        metrics::with_recorder(|recorder| recorder.register_histogram(&self.key(values), &METADATA))
    }

    /// One more of something that happens rarely: the handle is looked up now.
    pub(crate) fn count(&self, values: &[&str], count: u64) {
        self.counter(values).increment(count);
    }

    fn key(&self, values: &[&str]) -> Key {
        assert_eq!(self.labels.len(), values.len(), "{} has the labels {:?}", self.name, self.labels);
        let labels =
            self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        Key::from_parts(self.name, labels.collect::<Vec<Label>>())
    }

    fn describe(&self) {
        let name = KeyName::from_const_str(self.name);
        metrics::with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.describe_counter(name, self.unit(), self.help.into()),
            Kind::Gauge => recorder.describe_gauge(name, self.unit(), self.help.into()),
            Kind::Histogram => recorder.describe_histogram(name, self.unit(), self.help.into()),
        });
    }
}

/// Tells the recorder that is installed the unit and the meaning of every metric, and makes those without labels
/// begin at 0 instead of with what they first count. For whoever has installed it.
pub fn describe() {
    for metric in ALL {
        metric.describe();
        if metric.labels.is_empty() && metric.kind == Kind::Counter {
            metric.count(&[], 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus() {
        for metric in ALL {
            let name = metric.name;
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(name.bytes().all(is_word), "{name}");
            assert!(name.starts_with("ottla_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert_eq!(
                name.ends_with("_seconds"),
                name.contains("seconds") && !name.ends_with("_total"),
                "{name}"
            );
            let parts = ["_millis", "_ms", "_kb", "_mb", "_count", "_sum", "_bucket"];
            assert!(
                !parts.iter().any(|part| name.ends_with(part)),
                "{name}: base units, and no suffix of a histogram's"
            );
            if metric.kind == Kind::Histogram {
                assert_eq!(metric.unit(), Some(Unit::Seconds), "{name}");
            }
        }
    }

    #[test]
    fn each_metric_is_declared_once_and_explained() {
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for metric in ALL {
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.name);
            assert!(!metric.help.contains(['|', '\n']), "{}: it stands in a table", metric.name);
        }
    }

    #[test]
    fn labels_have_few_values() {
        let bounded = [
            "acks",
            "api",
            "directory",
            "error",
            "kind",
            "outcome",
            "path",
            "reason",
            "result",
            "state",
            // Of coordinators: the internal topics.
            "topic",
            "type",
            "version",
            "by",
        ];
        for metric in ALL {
            assert!(metric.labels.iter().all(|label| bounded.contains(label)), "{}", metric.name);
        }
    }
}
