//! The recorder behind the `metrics` facade: the one of `metrics-exporter-prometheus`, which also writes the page that
//! Prometheus reads.
//!
//! It keeps 16 bytes of each duration until the page is written or somebody tells it to sum them up: [`sum_up`] does,
//! each second, so the memory it takes is bounded by what is timed within one.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use ottla_broker::metrics::DURATION_BOUNDS_SECONDS;
use ottla_runtime::Clock;

/// Durations are kept one by one for so long.
const SUM_UP_EVERY: Duration = Duration::from_secs(1);

/// A recorder with the buckets that all histograms of ours have. Nothing is installed.
pub(super) fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new().set_buckets(DURATION_BOUNDS_SECONDS);
    builder.expect("there are bounds").build_recorder()
}

/// Sums up what histograms were told, until it is aborted.
pub(super) async fn sum_up(handle: PrometheusHandle, clock: Clock) {
    loop {
        clock.sleep(SUM_UP_EVERY).await;
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use ottla_broker::metrics::{ALL, Kind, Metric, table};
    use ottla_runtime::simulated::Simulation;

    use super::*;

    /// The page after `what` has been counted, of metrics that were described first.
    fn page(what: impl FnOnce()) -> String {
        let recorder = recorder();
        with_local_recorder(&recorder, || {
            ottla_broker::metrics::describe();
            what();
        });
        recorder.handle().render()
    }

    #[track_caller]
    fn has_lines(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} in\n{text}");
        }
    }

    #[test]
    fn each_kind_is_written_as_prometheus_reads_it() {
        let text = page(|| {
            table::REQUESTS.counter(&["Fetch"]).increment(3);
            table::REQUESTS.counter(&["Fetch"]).increment(1);
            table::REQUESTS.counter(&["Produce"]).increment(2);
            table::CONNECTIONS.gauge(&[]).set(1.5);
        });
        let whole = "\
# HELP ottla_requests_total Requests that have arrived whole
# TYPE ottla_requests_total counter
";
        assert!(text.contains(whole), "{text}");
        has_lines(
            &text,
            &[
                "ottla_requests_total{api=\"Fetch\"} 4",
                "ottla_requests_total{api=\"Produce\"} 2",
                "# HELP ottla_connections Connections that are open",
                "# TYPE ottla_connections gauge",
                "ottla_connections 1.5",
            ],
        );
    }

    #[test]
    fn every_metric_has_its_help_and_its_kind() {
        let one_of = |metric: &Metric| {
            let values = vec!["x"; metric.labels.len()];
            match metric.kind {
                Kind::Counter => metric.counter(&values).increment(1),
                Kind::Gauge => metric.gauge(&values).set(1.0),
                Kind::Histogram => metric.histogram(&values).record(1.0),
            }
        };
        let text = page(|| ALL.iter().for_each(|metric| one_of(metric)));
        for metric in ALL {
            let help = format!("# HELP {} {}", metric.name, metric.help);
            let kind = format!("# TYPE {} {}", metric.name, metric.kind.name());
            has_lines(&text, &[&help, &kind]);
        }
    }

    #[test]
    fn buckets_add_up_whenever_they_are_summed_up() {
        let recorder = recorder();
        let handle = recorder.handle();
        with_local_recorder(&recorder, || {
            let histogram = table::FLUSH_DURATION.histogram(&[]);
            histogram.record(0.000_04);
            handle.run_upkeep();
            histogram.record_many(0.000_2, 2);
            handle.run_upkeep();
            histogram.record(99.0);
        });
        has_lines(
            &handle.render(),
            &[
                "# TYPE ottla_flush_duration_seconds histogram",
                "ottla_flush_duration_seconds_bucket{le=\"0.00005\"} 1",
                "ottla_flush_duration_seconds_bucket{le=\"0.0001\"} 1",
                "ottla_flush_duration_seconds_bucket{le=\"0.00025\"} 3",
                "ottla_flush_duration_seconds_bucket{le=\"10\"} 3",
                "ottla_flush_duration_seconds_bucket{le=\"+Inf\"} 4",
                "ottla_flush_duration_seconds_sum 99.00044",
                "ottla_flush_duration_seconds_count 4",
            ],
        );
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let text = page(|| table::DISK_FULL.gauge(&["/a \"b\"\nc"]).set(1.0));
        has_lines(&text, &["ottla_disk_full{directory=\"/a \\\"b\\\"\\nc\"} 1"]);
    }

    #[test]
    fn summing_up_goes_on_while_durations_come() {
        let simulation = Simulation::new(7);
        let runtime = simulation.machine("broker").runtime();
        let recorder = recorder();
        let histogram = with_local_recorder(&recorder, || table::FLUSH_DURATION.histogram(&[]));
        simulation.block_on(async {
            drop(runtime.spawner.spawn("metrics", sum_up(recorder.handle(), runtime.clock.clone())));
            for _ in 0..5 {
                histogram.record(0.1);
                runtime.clock.sleep(SUM_UP_EVERY * 3 / 4).await;
            }
        });
        has_lines(&recorder.handle().render(), &["ottla_flush_duration_seconds_count 5"]);
    }
}
