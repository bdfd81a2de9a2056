//! Whole brokers on the simulated seams: a seed in, a verdict out.
//!
//! A run has one broker on a machine that crashes, and clients on another that doesn't. The seed decides the topics and
//! their configs, what the clients do, every fault and crash, and how the simulated world behaves; so a failure is
//! found again by its seed alone. Everything that clients ask and are answered goes into a [`history::History`], which
//! the [`checker`] judges when the run is over.
//!
//! | part             | does                                                              |
//! |------------------|-------------------------------------------------------------------|
//! | `scenario`       | draws what a seed means                                           |
//! | `run`            | lives and ends of the broker, faults, the final read              |
//! | `live`           | the same clients and checks against a broker outside              |
//! | `workload`       | producers, readers, the one who creates topics, the one who looks; |
//! |                  | members of groups, transactional producers, writers of keys       |
//! | `client`         | a small Kafka client on the network seam                          |
//! | `history`        | what was asked and answered                                       |
//! | `checker`        | one file for each property                                        |
//! | `marks`          | which faults and branches a campaign went through                 |
//! | `campaign`       | many seeds                                                        |

mod broker_machine;
pub mod campaign;
pub mod checker;
pub mod client;
pub mod history;
mod live;
pub mod marks;
pub mod payload;
mod run;
mod scenario;
mod workload;

pub use broker_machine::{BrokerMachine, Running};
pub use live::Live;
pub use run::{Verdict, run_coordinated_crash_point, run_crash_point, run_seed, run_work};
pub use scenario::{AtOperation, Policy, ShortWork, Work};
