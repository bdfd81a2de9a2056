//! `ottla bench figures`: every figure that Ottla is held to, in one run.
//!
//! It starts brokers of its own, as users start them, in a directory of its own. Each figure's rounds alternate with
//! those of a limit, or of what it is compared with; medians are shown, beside what is asked for. `--peer` adds the same
//! loads against another broker of this machine, for the comparison of the two.

mod alone;
mod peer;
mod produced;
mod read;
mod subject;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::subject::Setting;
use super::options::OutputArguments;
use super::own_broker::Workspace;
use super::pages::WarmPages;
use super::progress::Progress;
use super::report::{self, Table, finite, number};

/// What `ottla bench figures` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Takes some minutes and some GB of disk. Sections: produce, fetch, many, tiny, single, group, latency; with \
    --peer also peer. Exit code 0 says that it has measured, not that every target was met."
)]
pub(crate) struct FiguresArguments {
    /// Only these sections
    #[arg(value_name = "SECTION")]
    sections: Vec<String>,
    /// Rounds of each contender, of which medians are taken
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Another build of `ottla` to measure [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Another broker on this machine, such as an Apache Kafka, to be compared with
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<String>,
    /// Its process [default: found by its port]
    #[arg(long, value_name = "PID")]
    peer_pid: Option<u32>,
    #[command(flatten)]
    output: OutputArguments,
}

/// What a section measures.
type Section = fn(&Setting<'_>) -> Result<Vec<Figure>>;

const SECTIONS: [(&str, Section); 7] = [
    ("produce", produced::large_batches),
    ("fetch", read::large_batches),
    ("many", read::many_partitions),
    ("tiny", read::tiny_batches),
    ("single", alone::one_at_a_time),
    ("group", produced::group_commit),
    ("latency", alone::sync_latency),
];

/// The section that needs `--peer`.
const PEER: &str = "peer";

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) section: &'static str,
    /// What it is, unit included.
    pub(crate) name: String,
    pub(crate) value: f64,
    /// What was asked for; none if it is shown for what it is.
    pub(crate) target: Option<Target>,
    /// What it was made of.
    pub(crate) detail: String,
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    fn is_met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.value <= most,
            Target::AtLeast(least) => least <= self.value,
        })
    }

    fn row(&self) -> Vec<String> {
        let target = match self.target {
            Some(Target::AtMost(most)) => format!("<= {}", number(most)),
            Some(Target::AtLeast(least)) => format!(">= {}", number(least)),
            None => String::new(),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        // Whoever reads wants the detail to begin at one place.
        let cells = [&self.name, &number(self.value), &target, verdict].map(str::to_owned);
        cells.into_iter().chain([format!("  {}", self.detail)]).collect()
    }

    fn to_json(&self) -> Value {
        let (at_most, at_least) = match self.target {
            Some(Target::AtMost(most)) => (Some(most), None),
            Some(Target::AtLeast(least)) => (None, Some(least)),
            None => (None, None),
        };
        json!({
            "section": self.section,
            "name": self.name,
            "value": finite(self.value),
            "at_most": at_most,
            "at_least": at_least,
            "met": self.is_met(),
            "detail": self.detail,
        })
    }
}

pub(crate) fn run(arguments: &FiguresArguments) -> Result<()> {
    let known = || SECTIONS.iter().map(|(name, _)| *name).chain([PEER]);
    for section in &arguments.sections {
        ensure!(
            known().any(|name| name == section),
            "there is no section {section}; there are: {}",
            known().collect::<Vec<_>>().join(", ")
        );
    }
    let progress = Progress::start(arguments.output.quiet);
    let figures = measure(arguments, &progress);
    progress.finish();
    let figures = figures?;
    let mut table = Table::new(["figure", "measured", "target", "", "  made of"]);
    table.left_from(4);
    figures.iter().for_each(|figure| table.push(figure.row()));
    let missed = figures.iter().filter(|figure| figure.is_met() == Some(false)).count();
    let text = format!(
        "{}\nmedians of {} alternating rounds, for user CPU the mean of their middle half; CPU is user + system unless it \
         says otherwise; {missed} missed\n",
        table.render(),
        arguments.rounds
    );
    let json = json!({
        "rounds": arguments.rounds,
        "missed": missed,
        "figures": figures.iter().map(Figure::to_json).collect::<Vec<_>>(),
    });
    report::write(&arguments.output, &text, &json)
}

fn measure(arguments: &FiguresArguments, progress: &Progress) -> Result<Vec<Figure>> {
    let workspace = Workspace::create(&arguments.output.directory)?;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let setting = Setting::new(&program, workspace.path(), arguments.rounds, progress);
    let _warm = WarmPages::fill(workspace.path(), arguments.output.warm_memory, progress)?;
    let wanted =
        |name: &str| arguments.sections.is_empty() || arguments.sections.iter().any(|wanted| wanted == name);
    let mut figures = Vec::new();
    for (name, section) in SECTIONS {
        if wanted(name) {
            setting.begin(name);
            let found = section(&setting).with_context(|| format!("section {name}"))?;
            found
                .iter()
                .for_each(|figure| progress.say(&format!("{}: {}", figure.name, number(figure.value))));
            figures.extend(found);
        }
    }
    if let Some(address) = arguments.peer.as_ref().filter(|_| wanted(PEER)) {
        setting.begin(PEER);
        figures.extend(peer::side_by_side(&setting, address, arguments.peer_pid).context("section peer")?);
    }
    if let Some(peak) = setting.peak_resident_mib() {
        figures.push(Figure {
            section: "memory",
            name: "resident memory under load, MiB".to_owned(),
            value: peak,
            target: Some(Target::AtMost(100.0)),
            detail: "the most of any broker started here, in any section".to_owned(),
        });
    }
    Ok(figures)
}
