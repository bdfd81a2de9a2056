//! One broker's part of a gauge that all brokers of the process share.

use metrics::Gauge;

/// A part of a gauge. It moves the gauge by what changes, and takes its part back when it is dropped.
pub(crate) struct GaugeShare {
    gauge: Gauge,
    part: f64,
}

impl GaugeShare {
    /// A part that is 0.
    pub(crate) fn new(gauge: Gauge) -> GaugeShare {
        GaugeShare { gauge, part: 0.0 }
    }

    /// The part is so much now.
    pub(crate) fn set(&mut self, part: f64) {
        if part != self.part {
            self.gauge.increment(part - self.part);
            self.part = part;
        }
    }

    /// The same for a quantity. Beyond 2^53 the last digits are lost, as they are to Prometheus.
    pub(crate) fn set_count(&mut self, part: u64) {
        self.set(part as f64);
    }
}

impl Drop for GaugeShare {
    fn drop(&mut self) {
        self.set(0.0);
    }
}
