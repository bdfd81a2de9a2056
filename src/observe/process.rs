//! Figures of the process itself, from `/proc`, under the names that Prometheus's own libraries use.
//!
//! What can't be read is left out. They are read when they are asked for and written straight to the page: CPU time is a
//! counter with a fraction, which the recorder has no kind for.

use std::fmt::Write as _;
use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};
use ottla_broker::metrics::{Metric, table};

/// Adds them to the metrics.
pub(super) fn render(text: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let build = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    write(text, &table::BUILD, &build, Some(1.0));
    write(text, &table::PROCESS_START, "", start_seconds(&stat));
    write(text, &table::PROCESS_CPU, "", cpu_seconds());
    write(text, &table::PROCESS_MEMORY, "", resident_bytes());
    write(text, &table::PROCESS_OPEN_FILES, "", open_files());
    write(text, &table::PROCESS_MAX_FILES, "", max_files());
    write(text, &table::PROCESS_THREADS, "", field(&stat, 20));
}

fn write(text: &mut String, metric: &Metric, labels: &str, value: Option<f64>) {
    let Some(value) = value else { return };
    let Metric { name, kind, help, .. } = metric;
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let lines = format_args!("# HELP {name} {help}\n# TYPE {name} {}\n{name}{labels} {value}\n", kind.name());
    text.write_fmt(lines).expect("a String takes whatever is written");
}

/// A field of `/proc/self/stat`, by its number in proc(5), from 3 on. The second is the program's name in brackets, and
/// may have blanks and brackets of its own.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn start_seconds(stat: &str) -> Option<f64> {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok()?? as f64;
    let after_boot = field(stat, 22)? / ticks_per_second;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + after_boot)
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn resident_bytes() -> Option<f64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * sysconf(SysconfVar::PAGE_SIZE).ok()?? as f64)
}

fn open_files() -> Option<f64> {
    // The listing's own is among them.
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0)
}

fn max_files() -> Option<f64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(soft as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_be_anything() {
        let stat = "7 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        assert_eq!(field(stat, 4), Some(1.0));
        assert_eq!(field(stat, 22), Some(19.0));
        assert_eq!(field(stat, 3), None, "a letter");
        assert_eq!(field(stat, 99), None);
        assert_eq!(field("", 4), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let mut text = String::new();
        render(&mut text);
        let named = |metric: &Metric| text.lines().any(|line| line.starts_with(&format!("{} ", metric.name)));
        for metric in [
            &table::PROCESS_START,
            &table::PROCESS_CPU,
            &table::PROCESS_MEMORY,
            &table::PROCESS_OPEN_FILES,
            &table::PROCESS_MAX_FILES,
            &table::PROCESS_THREADS,
        ] {
            assert!(named(metric), "{} in\n{text}", metric.name);
        }
        assert!(text.contains("ottla_build_info{version=\""), "{text}");
    }
}
