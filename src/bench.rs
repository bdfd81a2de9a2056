//! `ottla bench`: what a broker does and what it costs, beside the least that the same work costs on this machine.
//!
//! It measures any broker that speaks Kafka's protocol. Requests are built beforehand and sent by blocking threads, one
//! for each connection, so that the generator isn't what is measured. `limits` and `--against-limits` run minimal programs
//! (`limits/programs.rs`), each a process of its own, in rounds that alternate with the broker's: on a virtual machine
//! only rounds that ran one after the other compare (`docs/performance.md`).
//!
//! | file           | has                                                                             |
//! |----------------|---------------------------------------------------------------------------------|
//! | `options`      | what the commands share on the command line; sizes and durations                |
//! | `control`      | topics, leaders, offsets and versions, through `ottla_client`                   |
//! | `batches`      | batches built beforehand                                                        |
//! | `frames`       | whole requests built from them                                                  |
//! | `wire`         | a blocking connection that knows frames                                         |
//! | `load`         | the generator: closed loops, open loops                                         |
//! | `latency`      | percentiles                                                                     |
//! | `server`       | the broker's CPU time and memory; `server_process` finds its process            |
//! | `limits/`      | the least that the same work costs                                              |
//! | `rounds`       | alternating rounds and medians                                                  |
//! | `pages`        | memory touched beforehand                                                       |
//! | `own_broker`   | a broker of our own and the directory it is in                                  |
//! | `report`       | tables and JSON; `progress` says on standard error how far it is                |
//! | `produce`, `fetch`, `end_to_end`, `commit` | the commands of these names                         |
//! | `compaction`   | the command of this name                                                        |
//! | `figures/`     | every figure that Ottla is held to, in one run                                  |

#![expect(clippy::disallowed_methods, reason = "it measures real time, with threads and sockets of its own")]

mod batches;
mod commit;
mod compaction;
mod control;
mod end_to_end;
mod fetch;
mod figures;
mod frames;
mod latency;
mod limits;
mod load;
mod options;
mod own_broker;
mod pages;
mod produce;
mod progress;
mod report;
mod rounds;
mod server;
mod server_process;
mod topic;
mod wire;

use clap::{Args, Subcommand};

use crate::Failure;

/// What `ottla bench` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "The data goes through a topic that is created for it and deleted afterwards. How to read the figures: \
    docs/performance.md."
)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Send batches as fast as it goes, or at a rate
    Produce(produce::ProduceArguments),
    /// Read what was written beforehand
    Fetch(fetch::FetchArguments),
    /// How long a record takes from a producer to a consumer
    EndToEnd(end_to_end::EndToEndArguments),
    /// Commit offsets of groups, or ask for them
    Commit(commit::CommitArguments),
    /// How fast a log is compacted, and what that does to a reader of another; it starts its own broker
    Compaction(compaction::CompactionArguments),
    /// What this machine can do at best: no broker is needed
    Limits(limits::LimitsArguments),
    /// Every figure that Ottla is held to, beside this machine's limits; it starts its own broker
    Figures(figures::FiguresArguments),
    /// One limit's program, started by the other commands
    #[command(hide = true)]
    LimitProgram(limits::programs::ProgramArguments),
}

pub(crate) fn run(arguments: BenchArguments) -> Result<(), Failure> {
    let outcome = match arguments.command {
        BenchCommand::Produce(arguments) => produce::run(&arguments),
        BenchCommand::Fetch(arguments) => fetch::run(&arguments),
        BenchCommand::EndToEnd(arguments) => end_to_end::run(&arguments),
        BenchCommand::Commit(arguments) => commit::run(&arguments),
        BenchCommand::Compaction(arguments) => compaction::run(&arguments),
        BenchCommand::Limits(arguments) => limits::run(&arguments),
        BenchCommand::Figures(arguments) => figures::run(&arguments),
        BenchCommand::LimitProgram(arguments) => limits::programs::run(&arguments),
    };
    outcome.map_err(|error| Failure::Failed(format!("{error:#}")))
}
