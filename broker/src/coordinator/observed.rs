//! What one core contributes to the broker's metrics.

use metrics::Counter;

use super::kind::Kind;
use crate::metrics::GaugeShare;

/// The shares of one core in its kind's metrics. Once it is dropped the gauges forget it.
pub(super) struct Observed {
    gauges: Vec<GaugeShare>,
    counters: Vec<(Counter, u64)>,
    quantities: Vec<u64>,
}

impl Observed {
    pub(super) fn new<K: Kind>(kind: &K) -> Observed {
        let counters = kind.counters().into_iter().map(|counter| (counter, 0)).collect();
        Observed { gauges: kind.gauges(), counters, quantities: Vec::new() }
    }

    /// Shows the core as it is now.
    pub(super) fn note<K: Kind>(&mut self, kind: &K, core: &K::Core) {
        self.quantities.clear();
        kind.quantities(core, &mut self.quantities);
        let (gauges, counters) = self.quantities.split_at(self.gauges.len().min(self.quantities.len()));
        for (gauge, quantity) in self.gauges.iter_mut().zip(gauges) {
            gauge.set_count(*quantity);
        }
        for ((counter, before), quantity) in self.counters.iter_mut().zip(counters) {
            if *before < *quantity {
                counter.increment(*quantity - *before);
                *before = *quantity;
            }
        }
    }
}
