//! What is printed at the end: aligned tables for people, one JSON object for scripts.

use std::io::{ErrorKind, Write as _};

use anyhow::Result;
use serde_json::{Value, json};

use super::latency::Latencies;
use super::options::OutputArguments;
use super::progress::Progress;
use super::rounds::Rounds;
use super::server::Resident;
use super::server_process::ServerProcess;

/// Rows of text in columns: the first to the left, the others to the right unless it is said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left_from: usize,
}

impl Table {
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Table {
        let heads = heads.iter().map(|head| (*head).to_owned()).collect();
        Table { rows: vec![heads], left_from: usize::MAX }
    }

    /// Columns from this one on go to the left.
    pub(crate) fn left_from(&mut self, column: usize) {
        self.left_from = column;
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line += if column == 0 { "" } else { "  " };
                let is_left = column == 0 || self.left_from <= column;
                line += &if is_left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A number with as many digits as are worth reading; a dash for none.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A limit's line: rates, CPU, latencies.
pub(crate) fn limit_row(name: &str, rounds: &Rounds) -> Vec<String> {
    let latency = |quantile| rounds.median(|round| quantile_or_none(&round.done.latencies, quantile));
    let values = [
        rounds.median(|round| round.megabytes_per_second()),
        rounds.median(|round| round.requests_per_second()),
        rounds.median(|round| round.cpu_per_gigabyte().total),
        rounds.median(|round| round.cpu_per_gigabyte().user),
        rounds.median(|round| round.cpu_per_gigabyte().system),
        rounds.median(|round| round.cpu_micros_per_request().total),
        latency(0.5),
        latency(0.99),
    ];
    std::iter::once(name.to_owned()).chain(values.map(number)).collect()
}

fn quantile_or_none(latencies: &Latencies, quantile: f64) -> f64 {
    if latencies.is_empty() { f64::NAN } else { latencies.quantile_ms(quantile) }
}

/// The medians of rounds, and each round.
pub(crate) fn rounds_json(rounds: &Rounds) -> Value {
    let all: Vec<Value> = rounds
        .0
        .iter()
        .map(|round| {
            let cpu = round
                .cpu
                .map(|cpu| json!({ "user_s": cpu.user, "system_s": cpu.system, "total_s": cpu.total }));
            let latency = (!round.done.latencies.is_empty()).then(|| round.done.latencies.to_json());
            json!({
                "seconds": round.elapsed.as_secs_f64(),
                "bytes": round.done.bytes,
                "records": round.done.records,
                "requests": round.done.requests,
                "cpu": cpu,
                "latency": latency,
            })
        })
        .collect();
    json!({
        "megabytes_per_second": finite(rounds.median(|round| round.megabytes_per_second())),
        "records_per_second": finite(rounds.median(|round| round.records_per_second())),
        "requests_per_second": finite(rounds.median(|round| round.requests_per_second())),
        "cpu_seconds_per_gigabyte": finite(rounds.median(|round| round.cpu_per_gigabyte().total)),
        "user_seconds_per_gigabyte": finite(rounds.median(|round| round.cpu_per_gigabyte().user)),
        "system_seconds_per_gigabyte": finite(rounds.median(|round| round.cpu_per_gigabyte().system)),
        "cpu_microseconds_per_request": finite(rounds.median(|round| round.cpu_micros_per_request().total)),
        "rounds": all,
    })
}

/// JSON has no word for what isn't a number.
pub(crate) fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

/// A broker's rounds beside a limit's, for the commands that measure one broker.
pub(crate) struct SideBySide<'a> {
    /// What was done: one line.
    pub(crate) what: String,
    pub(crate) broker: &'a Rounds,
    pub(crate) limit: Option<(&'a str, &'a Rounds)>,
    pub(crate) process: ServerProcess,
    pub(crate) resident: Option<Resident>,
    /// Whether the limit is one of acknowledgements a second, not of CPU.
    pub(crate) is_about_rate: bool,
}

impl SideBySide<'_> {
    fn cpu_ratio(&self) -> Option<f64> {
        let (_, limit) = self.limit?;
        Some(self.broker.ratio(limit, |round| round.cpu_per_gigabyte().total))
    }

    fn rate_ratio(&self) -> Option<f64> {
        let (_, limit) = self.limit?;
        Some(self.broker.ratio(limit, super::rounds::Round::requests_per_second))
    }

    pub(crate) fn to_text(&self) -> String {
        let mut table = Table::new([
            "",
            "MB/s",
            "requests/s",
            "CPU s/GB",
            "user",
            "system",
            "CPU us/request",
            "p50 ms",
            "p99 ms",
        ]);
        table.push(limit_row("broker", self.broker));
        if let Some((name, rounds)) = self.limit {
            table.push(limit_row(name, rounds));
        }
        let mut text = format!("{}\n\n{}\n", self.what, table.render());
        text += &format!("records/s: {}\n", number(self.broker.median(|round| round.records_per_second())));
        if let Some(latencies) = all_latencies(self.broker) {
            let shown: Vec<String> =
                latencies.shown().iter().map(|(name, ms)| format!("{name} {}", number(*ms))).collect();
            text += &format!("latency, ms: {}\n", shown.join(", "));
        }
        if let (Some(cpu), Some(rate)) = (self.cpu_ratio(), self.rate_ratio()) {
            let (name, _) = self.limit.unwrap_or(("the limit", self.broker));
            let first = if self.is_about_rate { "requests/s" } else { "CPU" };
            text += &match self.is_about_rate {
                true => format!("{first} {} of {name}'s; CPU {} times\n", number(rate), number(cpu)),
                false => format!(
                    "{first} {} times that of {name}; requests/s {} of its\n",
                    number(cpu),
                    number(rate)
                ),
            };
        }
        match (self.process, self.resident) {
            (ServerProcess::Unknown(why), _) => {
                text += &format!("the broker's CPU and memory are unknown: {why}; or say --server-pid\n");
            }
            (ServerProcess::Known(process), Some(resident)) => {
                let (now, peak) = (number(resident.now), number(resident.peak));
                text +=
                    &format!("process {process}: {now} MiB resident, {peak} MiB at most since its start\n");
            }
            (ServerProcess::Known(_), None) => {}
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "broker": rounds_json(self.broker),
            "limit": self.limit.map(|(name, rounds)| json!({ "name": name, "measured": rounds_json(rounds) })),
            "cpu_ratio": self.cpu_ratio().map(finite),
            "rate_ratio": self.rate_ratio().map(finite),
            "latency": all_latencies(self.broker).map(|latencies| latencies.to_json()),
            "server_process": self.process.id(),
            "resident_mib": self.resident.map(|resident| resident.now),
            "resident_peak_mib": self.resident.map(|resident| resident.peak),
        })
    }
}

fn all_latencies(rounds: &Rounds) -> Option<Latencies> {
    let mut all = Latencies::default();
    rounds.0.iter().for_each(|round| all.add(&round.done.latencies));
    (!all.is_empty()).then_some(all)
}

/// Measures, while a line says how far it is, and writes what came out of it.
pub(crate) fn of_measuring(
    output: &OutputArguments,
    measure: impl FnOnce(&Progress) -> Result<(String, Value)>,
) -> Result<()> {
    let progress = Progress::start(output.quiet);
    let outcome = measure(&progress);
    progress.finish();
    let (text, json) = outcome?;
    write(output, &text, &json)
}

/// Writes one or the other to standard output. A reader that has gone away is no failure.
pub(crate) fn write(output: &OutputArguments, text: &str, json: &Value) -> Result<()> {
    let text = if output.json { format!("{json:#}\n") } else { text.to_owned() };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["", "MB/s"]);
        table.push(vec!["broker".to_owned(), number(1234.0)]);
        table.push(vec!["limit".to_owned(), number(f64::NAN)]);
        assert_eq!(table.render(), "        MB/s\nbroker  1234\nlimit      -\n");
    }

    #[test]
    fn numbers_have_about_three_digits() {
        let cases = [(1234.56, "1235"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"), (0.0, "0.000")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
