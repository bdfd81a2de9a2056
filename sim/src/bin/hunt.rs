//! Long campaigns: runs seeds until one fails, or all are done. `docs/testing.md` has the commands.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use ottla_sim::campaign::Campaign;
use ottla_sim::history::Ending;
use ottla_sim::{AtOperation, Policy, ShortWork, Verdict, Work, run_coordinated_crash_point, run_work};

const USAGE: &str = "hunt [--work logs|coordinators | --crashes commit|join|end|compaction] [--seeds A..B | --seed N] \
     [--policy group|os|mixed] [--trace] [--log] [--keep-going] [--quiet]";

/// With `--crashes` a seed stands for an operation of the disk, and how it is met.
const CRASHES_PER_OPERATION: u64 = 4;

struct Arguments {
    work: Work,
    crashes: Option<ShortWork>,
    seeds: Range<u64>,
    policy: Policy,
    trace: bool,
    keep_going: bool,
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut campaign = Campaign::default();
    let count = arguments.seeds.end - arguments.seeds.start;
    for seed in arguments.seeds {
        let verdict = match arguments.crashes {
            Some(work) => crash(work, seed),
            None => run_work(arguments.work, seed, arguments.policy),
        };
        campaign.add(&verdict);
        if arguments.trace {
            print!("{}", ottla_sim::checker::whole(&verdict.history));
            println!("trace hash {:#018x}", verdict.trace_hash);
        }
        if !verdict.is_good() {
            println!("{}", verdict.report());
            println!(
                "after {} seeds; again: hunt --work {} --seed {seed} --policy {}",
                campaign.seeds, arguments.work, arguments.policy
            );
            if !arguments.keep_going {
                return ExitCode::from(1);
            }
        } else if !arguments.quiet && campaign.seeds.is_multiple_of(100) {
            eprintln!("{} seeds", campaign.seeds);
        }
    }
    print!("{}", campaign.report());
    let never = match arguments.work {
        Work::Logs => campaign.never(),
        Work::Coordinators => campaign.never_coordinated(),
    };
    if arguments.crashes.is_none() && count >= 200 && arguments.policy == Policy::Mixed && !never.is_empty() {
        println!("never happened: {never:?}");
        return ExitCode::from(1);
    }
    ExitCode::from(u8::from(campaign.bad > 0))
}

fn crash(work: ShortWork, seed: u64) -> Verdict {
    let ending = if seed.is_multiple_of(2) { Ending::Kill } else { Ending::PowerCut };
    let completed = seed / 2 % 2 == 1;
    let at = AtOperation {
        from: Duration::from_millis(if (seed / CRASHES_PER_OPERATION).is_multiple_of(2) { 0 } else { 150 }),
        count: 1 + seed / CRASHES_PER_OPERATION,
        completed,
    };
    run_coordinated_crash_point(work, seed, ending, at)
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        work: Work::Logs,
        crashes: None,
        seeds: 0..1000,
        policy: Policy::Mixed,
        trace: false,
        keep_going: false,
        quiet: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{flag} needs a value"));
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
        match flag.as_str() {
            "--seeds" => {
                let value = value()?;
                let (from, to) = value.split_once("..").ok_or("--seeds needs A..B")?;
                arguments.seeds = number(from)?..number(to)?;
            }
            "--seed" => {
                let seed = number(&value()?)?;
                arguments.seeds = seed..seed + 1;
            }
            "--work" => arguments.work = value()?.parse()?,
            "--crashes" => {
                arguments.work = Work::Coordinators;
                arguments.crashes = Some(match value()?.as_str() {
                    "commit" => ShortWork::Commit,
                    "join" => ShortWork::Join,
                    "end" => ShortWork::EndTransaction,
                    "compaction" => ShortWork::Compaction,
                    other => return Err(format!("{other:?}: commit, join, end or compaction")),
                });
            }
            "--policy" => arguments.policy = value()?.parse()?,
            "--trace" => arguments.trace = true,
            "--log" => {
                let log = tracing_subscriber::fmt().without_time().with_writer(std::io::stderr);
                log.init();
            }
            "--keep-going" => arguments.keep_going = true,
            "--quiet" => arguments.quiet = true,
            other => return Err(format!("{other:?} is not known")),
        }
    }
    Ok(arguments)
}
