//! The `ottla` command.
//!
//! What concerns the whole process is set here and nowhere in the libraries: the allocator, logging, signals, limits,
//! the exit code. Exit codes: 0 it went well, 1 it failed (one line says why and what to do), 2 the command line or the
//! configuration is wrong.

mod bench;
mod cluster;
mod completions;
mod config;
mod dump;
mod group;
mod logging;
mod moment;
mod observe;
mod output;
mod produce;
mod progress;
mod serve;
mod similar;
mod table;
mod tail;
mod text;
mod topic;
mod txn;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A partitioned, replicated commit log that speaks Apache Kafka's wire protocol.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Start a broker
    Serve(serve::ServeArguments),
    /// Create, list, describe, alter and delete topics
    Topic(topic::TopicArguments),
    /// Show, set and delete configs of topics, brokers and groups
    Config(config::ConfigArguments),
    /// Send what is read, a record for each line
    Produce(produce::ProduceArguments),
    /// Print the records of a topic, and follow it
    Tail(tail::TailArguments),
    /// List, describe, reset and delete groups
    Group(group::GroupArguments),
    /// List, describe and abort transactions
    Txn(txn::TxnArguments),
    /// Show what the files of a log hold, and check them
    Dump(dump::DumpArguments),
    /// Measure a broker, and this machine
    Bench(bench::BenchArguments),
    /// Print a script that teaches a shell to complete this command
    Completions(completions::CompletionsArguments),
    /// What a word may become; for those scripts
    #[command(hide = true)]
    Complete(completions::CompleteArguments),
}

/// What every command's help says at its end.
const EXIT_CODES: &str = "Exit codes: 0 it went well, 1 it failed, 2 the command line is wrong.";

/// Why a command ended without having done its work.
#[derive(Debug)]
enum Failure {
    /// The command line or the configuration: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Failed(String),
    /// Whoever read the output has seen enough: exit code 0, and not a word.
    NobodyReads,
}

impl Failure {
    /// What it says.
    fn into_text(self) -> String {
        match self {
            Failure::Usage(text) | Failure::Failed(text) => text,
            Failure::NobodyReads => String::new(),
        }
    }
}

fn main() -> ExitCode {
    // clap ends the process by itself for --help (0) and for a wrong command line (2).
    let outcome = match Arguments::parse().command {
        Subcommands::Serve(arguments) => serve::run(arguments),
        Subcommands::Topic(arguments) => topic::run(arguments),
        Subcommands::Config(arguments) => config::run(arguments),
        Subcommands::Produce(arguments) => produce::run(arguments),
        Subcommands::Tail(arguments) => tail::run(arguments),
        Subcommands::Group(arguments) => group::run(arguments),
        Subcommands::Txn(arguments) => txn::run(arguments),
        Subcommands::Dump(arguments) => dump::run(arguments),
        Subcommands::Bench(arguments) => bench::run(arguments),
        Subcommands::Completions(arguments) => completions::run(arguments),
        Subcommands::Complete(arguments) => completions::complete(arguments),
    };
    let (text, code) = match outcome {
        Ok(()) | Err(Failure::NobodyReads) => return ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => (text, ExitCode::from(1)),
        Err(Failure::Usage(text)) => (text, ExitCode::from(2)),
    };
    report(&text);
    code
}

#[expect(clippy::print_stderr, reason = "the last word of a command line tool")]
fn report(text: &str) {
    eprintln!("ottla: {text}");
}
