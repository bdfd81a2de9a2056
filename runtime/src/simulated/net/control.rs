//! What a test may do to the network.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::super::machine::Machine;
use super::super::world::World;
use crate::simulated::Rate;

/// How the network behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFaults {
    /// How long a segment is on its way, drawn evenly. Those of one connection don't overtake each other.
    pub delay: Range<Duration>,
    /// How many bytes one direction of a connection holds, on the way and unread together. Then its writer waits.
    pub buffer_bytes: usize,
    /// A write or read that moves fewer bytes than it could.
    pub short: Rate,
    /// A connection that is refused although somebody listens.
    pub refuse: Rate,
    /// A write upon which the connection is reset.
    pub reset: Rate,
    /// A segment, and with it what follows on that connection, that takes up to `stall_max` longer.
    pub stall: Rate,
    /// How much longer.
    pub stall_max: Duration,
}

impl Default for NetworkFaults {
    fn default() -> NetworkFaults {
        NetworkFaults {
            delay: Duration::from_micros(20)..Duration::from_micros(300),
            buffer_bytes: 128 * 1024,
            short: Rate::one_in(4),
            refuse: Rate::NEVER,
            reset: Rate::NEVER,
            stall: Rate::NEVER,
            stall_max: Duration::from_secs(2),
        }
    }
}

/// The network between the machines as a test sees it. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedNetwork {
    world: Arc<World>,
}

impl SimulatedNetwork {
    pub(in crate::simulated) fn new(world: Arc<World>) -> SimulatedNetwork {
        SimulatedNetwork { world }
    }

    /// How it behaves from now on.
    pub fn set_faults(&self, faults: NetworkFaults) {
        self.world.network.state.lock().faults = faults;
    }

    /// Nothing that `from` sends arrives at `to` any more. It is not lost: it arrives after [`SimulatedNetwork::heal`], as
    /// TCP would send it again.
    pub fn cut(&self, from: &Machine, to: &Machine) {
        self.world.network.state.lock().cuts.insert((from.id(), to.id()));
    }

    /// Ends every cut.
    pub fn heal(&self) {
        self.world.network.heal(&self.world);
    }
}
