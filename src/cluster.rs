//! Reaching a cluster: what every client command takes, and what it says when nobody is there.

use std::time::Duration;

use clap::Args;
use ottla_client::metadata::TopicView;
use ottla_client::{Client, ClientConfig, Error, RequestError};
use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::{Runtime, real};

use crate::Failure;
use crate::similar::similar_names;

/// How long a command waits until somebody has answered for the first time.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Kafka's port.
pub(crate) const DEFAULT_PORT: u16 = 9092;

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArguments {
    /// Where the cluster is; of several, separated by commas, the first that answers is asked
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "OTTLA_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092",
        value_delimiter = ','
    )]
    bootstrap_server: Vec<String>,
}

impl ClusterArguments {
    /// Runs what `work` makes of a client to its end.
    pub(crate) fn run<F, T>(&self, work: impl FnOnce(Client, Runtime) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let outcome = real::block_on(None, |runtime| async {
            let client = self.connect(runtime.clone()).await?;
            work(client, runtime).await
        });
        outcome.map_err(|error| Failure::Failed(format!("no threads could be started: {error}")))?
    }

    async fn connect(&self, runtime: Runtime) -> Result<Client, Failure> {
        let named = self.bootstrap_server.iter().map(|server| server.trim());
        let bootstrap_servers: Vec<String> =
            named.filter(|server| !server.is_empty()).map(with_port).collect();
        if bootstrap_servers.is_empty() {
            return Err(Failure::Usage("--bootstrap-server: name at least one HOST:PORT".to_owned()));
        }
        let servers = bootstrap_servers.join(", ");
        let clock = runtime.clock.clone();
        let config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
        tokio::select! {
            biased;
            outcome = Client::connect(runtime, config) => outcome.map_err(|error| unreachable(&servers, &error)),
            () = clock.sleep(CONNECT_PATIENCE) => Err(Failure::Failed(format!(
                "{servers} did not answer within {} seconds; is that a Kafka broker's port? {OTHER_SERVER}",
                CONNECT_PATIENCE.as_secs()
            ))),
        }
    }
}

/// What to do about a server that is none.
const OTHER_SERVER: &str = "Name another one with --bootstrap-server or OTTLA_BOOTSTRAP_SERVER";

fn with_port(server: &str) -> String {
    if server.contains(':') { server.to_owned() } else { format!("{server}:{DEFAULT_PORT}") }
}

fn unreachable(servers: &str, error: &Error) -> Failure {
    match error {
        Error::Request(error @ RequestError::InvalidAddress { .. }) => {
            Failure::Usage(format!("--bootstrap-server: {error}"))
        }
        Error::Request(RequestError::Connect { address, cause }) => Failure::Failed(format!(
            "cannot connect to {address}: {cause}. Start a broker with `ottla serve`, or {}",
            lower_first(OTHER_SERVER)
        )),
        Error::Request(RequestError::Disconnected | RequestError::Unreadable { .. }) => {
            Failure::Failed(format!(
                "{servers} does not answer as a Kafka broker does: is it another service's port, or one that wants TLS? \
                 {OTHER_SERVER}"
            ))
        }
        other => Failure::Failed(format!("{servers}: {other}")),
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

/// An error of a cluster that did answer.
pub(crate) fn failed(error: &Error) -> Failure {
    Failure::Failed(error.to_string())
}

/// Where the partitions of a topic are. That there is no such topic is told with what to do.
pub(crate) async fn topic_view(client: &Client, name: &str) -> Result<TopicView, Failure> {
    let outcome = client.admin().describe_topics(&[name]).await.remove(name);
    match outcome {
        Some(Ok(topic)) => Ok(topic),
        Some(Err(error)) => Err(topic_failure(client, name, &error).await),
        None => Err(Failure::Failed(format!("topic {name:?}: the broker says nothing of it"))),
    }
}

/// What a broker's error about a topic means to whoever named it.
pub(crate) async fn topic_failure(client: &Client, name: &str, error: &Error) -> Failure {
    match error.error_code() {
        Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) => {
            Failure::Failed(unknown_topic(client, name).await)
        }
        Some(ErrorCode::InvalidTopicException) => {
            Failure::Failed(format!("topic {name:?}: {}", invalid_name(error)))
        }
        _ => Failure::Failed(format!("topic {name:?}: {error}")),
    }
}

fn invalid_name(error: &Error) -> String {
    let rule = "a name has 1 to 249 letters, digits, dots, underscores or hyphens, and is not . or ..";
    match error {
        Error::Broker(error) => error.message.clone().unwrap_or_else(|| format!("{error}; {rule}")),
        other => other.to_string(),
    }
}

async fn unknown_topic(client: &Client, name: &str) -> String {
    let known = client.admin().list_topics().await.unwrap_or_default();
    let similar = similar_names(name, known.keys().map(String::as_str));
    let hint = match similar.as_slice() {
        [] if known.is_empty() => "the cluster has none yet;".to_owned(),
        [] => "`ottla topic list` shows those there are;".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    format!("there is no topic {name:?}: {hint} `ottla topic create {name}` creates it")
}
