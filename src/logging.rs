//! Log lines, on standard error.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines of `level` and above to standard error. `level` is one word (`error`, `warn`, `info`, `debug`,
/// `trace`) or a filter such as `info,ottla_broker::log=debug`.
///
/// # Errors
/// What is wrong with `level`.
pub(crate) fn start(level: &str, format: LogFormat) -> Result<(), String> {
    // A filter takes any other word for the name of a module, and would say nothing at all.
    let is_word = level.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word && level.parse::<LevelFilter>().is_err() {
        return Err(format!("--log-level {level}: use error, warn, info, debug or trace"));
    }
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("--log-level {level}: {error}; use error, warn, info, debug or trace"))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
