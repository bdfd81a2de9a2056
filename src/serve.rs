//! `ottla serve`: a broker in the foreground, until Ctrl-C or SIGTERM.

use std::path::PathBuf;

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ottla_broker::config::{BrokerConfig, FlushPolicy, Settings};
use ottla_broker::{Broker, BrokerEnd, BrokerStatus, take_over};
use ottla_runtime::{Runtime, real};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::Failure;
use crate::cluster::DEFAULT_PORT;
use crate::logging::{self, LogFormat};
use crate::observe::{HttpListen, Observation};
use crate::output;

/// What `ottla serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where to listen [default: 127.0.0.1:9092]. 0.0.0.0 listens on every interface and, without --advertise, tells
    /// each client the address that it connected to
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address that clients are told to connect to
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Where the data is kept [default: ./ottla-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A configuration: TOML with Kafka's keys quoted, or a Kafka server.properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, over the file; may be given many times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to serve metrics (/metrics) and health (/health/live, /health/ready) over HTTP, or `none`
    /// [default: 127.0.0.1:9644, if that is free]
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,
    /// Only say what a start would do with a data directory that Apache Kafka wrote, and change nothing
    #[arg(long)]
    take_over_dry_run: bool,
    /// How much to say: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// How to say it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(crate) fn run(arguments: ServeArguments) -> Result<(), Failure> {
    logging::start(&arguments.log_level, arguments.log_format).map_err(Failure::Usage)?;
    let settings = settings(&arguments)?;
    let http = HttpListen::read(arguments.http_listen.as_deref())?;
    let (config, without_effect) =
        BrokerConfig::read(&settings).map_err(|errors| Failure::Usage(errors.to_string()))?;
    for line in without_effect.lines() {
        warn!("{line}");
    }
    if arguments.take_over_dry_run {
        let said = real::block_on(None, |runtime| say_plan(config, runtime));
        return said.map_err(no_threads)?;
    }
    let descriptors = raise_descriptor_limit();
    real::block_on(None, |runtime| serve(config, http, descriptors, runtime)).map_err(no_threads)?
}

fn no_threads(error: std::io::Error) -> Failure {
    Failure::Failed(format!("no threads could be started: {error}"))
}

/// Says what taking over from Apache Kafka would do.
async fn say_plan(config: BrokerConfig, runtime: Runtime) -> Result<(), Failure> {
    let data = &config.log.directory;
    let plan = take_over::dry_run(&runtime, data, config.node.id).await;
    let text = match plan.map_err(|error| Failure::Failed(error.to_string()))? {
        Some(plan) => format!("{plan}\n"),
        None => format!("{}: nothing of Apache Kafka's to take over\n", data.display()),
    };
    output::print(|output| output.write_all(text.as_bytes()))
}

fn settings(arguments: &ServeArguments) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    if let Some(path) = &arguments.config {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{name} can't be read: {error}; see --config")))?;
        settings.read_file(&name, &text);
    }
    for assignment in &arguments.set {
        settings.set(assignment);
    }
    if let Some(endpoint) = &arguments.listen {
        settings.listen(endpoint);
    }
    if let Some(endpoint) = &arguments.advertise {
        settings.advertise(endpoint);
    }
    if let Some(directory) = &arguments.data_dir {
        // Both are the command line's, so nobody could tell which of them counts.
        let names_another = |assignment: &&String| {
            assignment.split_once('=').is_some_and(|(key, _)| matches!(key.trim(), "log.dir" | "log.dirs"))
        };
        if let Some(assignment) = arguments.set.iter().find(names_another) {
            let shown = directory.display();
            let said = format!(
                "--data-dir {shown} and --set {assignment} both name a data directory; give one of them"
            );
            return Err(Failure::Usage(said));
        }
        let directory = directory.to_str().ok_or_else(|| {
            Failure::Usage(format!("--data-dir {}: the path must be valid UTF-8", directory.display()))
        })?;
        settings.data_directory(directory);
    }
    Ok(settings)
}

async fn serve(
    config: BrokerConfig,
    http: HttpListen,
    descriptors: u64,
    runtime: Runtime,
) -> Result<(), Failure> {
    // Before anything is started, so that an early Ctrl-C stops cleanly too.
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) =
        signals.map_err(|error| Failure::Failed(format!("signals can't be received: {error}")))?;
    // Before the broker, whose start can be watched then.
    let status = BrokerStatus::new(runtime.clock.clone());
    if let Some(observation) = Observation::begin(http, &runtime).await? {
        observation.serve(status.clone(), &runtime);
    }
    let mut broker = Broker::start_watched(config, descriptors, runtime, status)
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    introduce(&broker);
    tokio::select! {
        end = broker.ended() => {
            error!("the broker has failed: {end}");
            let _already_failed = broker.stop().await;
            let what_to_do = "once that is mended start the broker again: it looks at every log first";
            return Err(Failure::Failed(format!("{end}; {what_to_do}")));
        }
        _ = interrupt.recv() => info!("stopping (interrupted; again to stop at once)"),
        _ = terminate.recv() => info!("stopping (terminated)"),
    }
    tokio::select! {
        end = broker.stop() => match end {
            BrokerEnd::Stopped => {
                info!("stopped");
                Ok(())
            }
            BrokerEnd::Failed(reason) => Err(Failure::Failed(reason)),
        },
        _ = interrupt.recv() => Err(Failure::Failed(
            "stopped at once; what was acknowledged is safe, and the next start recovers the rest".to_owned(),
        )),
    }
}

fn introduce(broker: &Broker) {
    let address = broker.address();
    info!("listening on {address}");
    info!("data in {}", broker.data_directory().display());
    match broker.flush_policy() {
        FlushPolicy::Group => info!("acks=all waits until the record is on disk (ottla.flush.policy=group)"),
        FlushPolicy::Os => {
            info!(
                "acks=all does not wait for the disk (ottla.flush.policy=os): a power cut may take acknowledged records"
            );
        }
    }
    if broker.is_first_start() {
        // On every interface is where a broker listens, and nowhere to connect to.
        let near = if address.ip().is_unspecified() {
            format!("localhost:{}", address.port())
        } else {
            address.to_string()
        };
        let server = if address.port() == DEFAULT_PORT {
            String::new()
        } else {
            format!(" --bootstrap-server {near}")
        };
        info!(
            "a new data directory; try:  ottla topic create first{server}   then   ottla produce first{server}   and \
             ottla tail first{server}"
        );
    }
}

/// Raises the number of files and sockets that the process may have open as far as the system lets it, and says how
/// many that is.
fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}
