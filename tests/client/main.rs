//! The Rust client against brokers: the same tests against ours as a process, against ours on the simulated seams, and
//! against Apache Kafka.
//!
//! Kafka comes from Maven, once, under `target/kafka`; where Java or Maven is missing those tests say SKIPPED and why.
//! `OTTLA_KAFKA_LIBS` names a directory that has Kafka's jars already. One Kafka serves all tests of a run.

mod bed;
mod counting;
mod kafka;

mod admin;
mod consumer;
mod groups;
mod producer;

/// The same tests against each broker.
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        mod process {
            $(#[test] fn $name() { crate::bed::on_process(super::$name); })*
        }
        mod simulated {
            $(#[test] fn $name() { crate::bed::on_simulation(super::$name); })*
        }
        mod apache_kafka {
            $(#[test] fn $name() { crate::bed::on_kafka(super::$name); })*
        }
    };
}
use everywhere;

/// The same tests against each broker that is reached by sockets.
macro_rules! on_sockets {
    ($($name:ident),* $(,)?) => {
        mod process_alone {
            $(#[test] fn $name() { crate::bed::on_process(super::$name); })*
        }
        mod apache_kafka_alone {
            $(#[test] fn $name() { crate::bed::on_kafka(super::$name); })*
        }
    };
}
use on_sockets;
