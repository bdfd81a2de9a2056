//! The recorder behind the `metrics` facade, and what it has recorded as Prometheus reads it.
//!
//! Names, kinds and help come from the broker's table; a metric that the table lacks is not shown. Registering takes a
//! lock and looks the labels up; whoever counts often keeps the handle (`ottla_broker::metrics`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use ottla_broker::metrics::{ALL, DURATION_BOUNDS_SECONDS, Metric};

use super::cells::{GaugeCell, HistogramValues, StripedCounter, StripedHistogram};

/// Keeps what is counted. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    series: Arc<Mutex<Series>>,
}

/// By name, and then by labels as they are written.
#[derive(Debug, Default)]
struct Series {
    counters: BTreeMap<String, BTreeMap<String, Arc<StripedCounter>>>,
    gauges: BTreeMap<String, BTreeMap<String, Arc<GaugeCell>>>,
    histograms: BTreeMap<String, BTreeMap<String, Arc<StripedHistogram>>>,
}

impl Recorder {
    /// Everything in the text format of Prometheus, version 0.0.4, in the order of the table.
    pub(crate) fn render(&self) -> String {
        let series = self.lock();
        let mut text = String::with_capacity(1 << 14);
        for metric in ALL {
            let mut lines = String::new();
            for (labels, counter) in series.counters.get(metric.name).into_iter().flatten() {
                write_sample(&mut lines, metric.name, labels, counter.value());
            }
            for (labels, gauge) in series.gauges.get(metric.name).into_iter().flatten() {
                write_sample(&mut lines, metric.name, labels, gauge.value());
            }
            for (labels, histogram) in series.histograms.get(metric.name).into_iter().flatten() {
                write_histogram(&mut lines, metric.name, labels, &histogram.values());
            }
            if !lines.is_empty() {
                write_header(&mut text, metric);
                text.push_str(&lines);
            }
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Series> {
        // Nothing that holds it can leave it half changed.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl metrics::Recorder for Recorder {
    // The table says it all.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cell(&mut self.lock().counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cell(&mut self.lock().gauges, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(cell(&mut self.lock().histograms, key))
    }
}

fn cell<C: Default>(series: &mut BTreeMap<String, BTreeMap<String, Arc<C>>>, key: &Key) -> Arc<C> {
    let labels = labels_of(key);
    if !series.contains_key(key.name()) {
        series.insert(key.name().to_owned(), BTreeMap::new());
    }
    let by_labels = series.get_mut(key.name()).expect("it is there now");
    if let Some(cell) = by_labels.get(&labels) {
        return Arc::clone(cell);
    }
    Arc::clone(by_labels.entry(labels).or_default())
}

/// `a="x",b="y"`, with the values escaped.
fn labels_of(key: &Key) -> String {
    let mut text = String::new();
    for label in key.labels() {
        let comma = if text.is_empty() { "" } else { "," };
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        append(&mut text, format_args!("{comma}{}=\"{value}\"", label.key()));
    }
    text
}

/// The lines that say what a metric is.
pub(super) fn write_header(text: &mut String, metric: &Metric) {
    append(text, format_args!("# HELP {} {}\n", metric.name, metric.help.replace('\\', "\\\\")));
    append(text, format_args!("# TYPE {} {}\n", metric.name, metric.kind.name()));
}

/// One sample. Labels are as [`labels_of`] writes them, and may be none.
pub(super) fn write_sample(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    if labels.is_empty() {
        append(text, format_args!("{name} {value}\n"));
    } else {
        append(text, format_args!("{name}{{{labels}}} {value}\n"));
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, values: &HistogramValues) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bounds = DURATION_BOUNDS_SECONDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut count = 0;
    for (bound, in_bucket) in bounds.zip(values.buckets) {
        count += in_bucket;
        append(text, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}\n"));
    }
    write_sample(text, &format!("{name}_sum"), labels, values.sum_seconds);
    write_sample(text, &format!("{name}_count"), labels, count);
}

fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes whatever is written");
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use ottla_broker::metrics::table;

    use super::*;

    fn recorded(what: impl FnOnce()) -> String {
        let recorder = Recorder::default();
        with_local_recorder(&recorder, what);
        recorder.render()
    }

    #[test]
    fn each_kind_is_written_as_prometheus_reads_it() {
        let text = recorded(|| {
            table::REQUESTS.counter(&["Fetch"]).increment(3);
            table::REQUESTS.counter(&["Fetch"]).increment(1);
            table::REQUESTS.counter(&["Produce"]).increment(2);
            table::CONNECTIONS.gauge(&[]).set(1.5);
        });
        let expected = "\
# HELP ottla_requests_total Requests that have arrived whole
# TYPE ottla_requests_total counter
ottla_requests_total{api=\"Fetch\"} 4
ottla_requests_total{api=\"Produce\"} 2
# HELP ottla_connections Connections that are open
# TYPE ottla_connections gauge
ottla_connections 1.5
";
        assert_eq!(text, expected);
    }

    #[test]
    fn buckets_add_up() {
        let text = recorded(|| {
            let histogram = table::FLUSH_DURATION.histogram(&[]);
            [0.000_04, 0.000_2, 0.000_2, 99.0].iter().for_each(|seconds| histogram.record(*seconds));
        });
        for line in [
            "ottla_flush_duration_seconds_bucket{le=\"0.00005\"} 1",
            "ottla_flush_duration_seconds_bucket{le=\"0.0001\"} 1",
            "ottla_flush_duration_seconds_bucket{le=\"0.00025\"} 3",
            "ottla_flush_duration_seconds_bucket{le=\"10\"} 3",
            "ottla_flush_duration_seconds_bucket{le=\"+Inf\"} 4",
            "ottla_flush_duration_seconds_sum 99.00044",
            "ottla_flush_duration_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let text = recorded(|| table::DISK_FULL.gauge(&["/a \"b\"\\\nc"]).set(1.0));
        assert!(text.contains("ottla_disk_full{directory=\"/a \\\"b\\\"\\\\\\nc\"} 1\n"), "{text}");
    }

    #[test]
    fn what_the_table_lacks_is_not_shown() {
        assert_eq!(recorded(|| metrics::counter!("something_else").increment(1)), "");
    }
}
