//! What can be wrong with a configuration. Each error names its place, its key, what is wrong and what to do.

use std::fmt;

use super::keys::ValueProblem;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line, by this flag.
    Flag(String),
    /// In a file, at this line, counted from 1.
    File {
        /// The file's name as the user gave it.
        name: String,
        /// The line.
        line: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(flag) => f.write_str(flag),
            Place::File { name, line } => write!(f, "{name}:{line}"),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The text of a file cannot be read as what it is.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong, and what to do.
        problem: SyntaxProblem,
    },
    /// `--set` without an equals sign.
    #[error("--set {text}: expected KEY=VALUE")]
    MalformedSet {
        /// What followed `--set`.
        text: String,
    },
    /// `--listen` or `--advertise` with something else than an address and a port.
    #[error("{flag} {text}: {problem}")]
    MalformedEndpoint {
        /// The flag.
        flag: &'static str,
        /// What followed it.
        text: String,
        /// What it should be.
        problem: super::listener::InvalidEndpoint,
    },
    /// No such key.
    #[error("{place}: there is no config {key:?}{}", suggestion(*.nearest))]
    UnknownKey {
        /// Where it was set.
        place: Place,
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that its key does not take.
    #[error("{place}: {key}={value}: {problem}")]
    InvalidValue {
        /// Where it was set.
        place: Place,
        /// The key.
        key: &'static str,
        /// The value, hidden for a sensitive key.
        value: String,
        /// Why not.
        problem: ValueProblem,
    },
    /// A setting that the user would rely on and that would not be kept.
    #[error("{place}: {key}={value} is refused: {reason}. Remove it if you can do without")]
    Refused {
        /// Where it was set.
        place: Place,
        /// The key.
        key: String,
        /// The value, hidden for a sensitive key.
        value: String,
        /// What would be missing.
        reason: &'static str,
    },
    /// A value that its key takes and that does not fit the rest.
    #[error("{place}: {key}={value}: {problem}")]
    Unfit {
        /// Where it was set.
        place: Place,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What does not fit, and what to do.
        problem: Unfit,
    },
}

impl ConfigError {
    /// Where it is; none for a flag that could not be read at all.
    pub fn place(&self) -> Option<&Place> {
        match self {
            ConfigError::MalformedSet { .. } | ConfigError::MalformedEndpoint { .. } => None,
            ConfigError::Syntax { place, .. }
            | ConfigError::UnknownKey { place, .. }
            | ConfigError::InvalidValue { place, .. }
            | ConfigError::Refused { place, .. }
            | ConfigError::Unfit { place, .. } => Some(place),
        }
    }
}

fn suggestion(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(key) => format!("; did you mean {key:?}?"),
        None => "; Kafka 4.3 has none of that name. Remove it".to_owned(),
    }
}

/// Why a line of a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxProblem {
    /// The TOML reader's own words.
    #[error("not TOML: {0}")]
    Toml(String),
    /// A dotted key without quotes, which TOML takes for nested tables.
    #[error("write the whole key in quotes: \"{0}\" = ...")]
    UnquotedKey(String),
    /// A value of a kind that no config has.
    #[error("{key:?} cannot be {found}: write a string, a number, true, false, or an array of strings")]
    ValueKind {
        /// The key.
        key: String,
        /// What stands there.
        found: &'static str,
    },
    /// `\u` without four hexadecimal digits.
    #[error("\\u takes four hexadecimal digits")]
    UnicodeEscape,
    /// A line with a value and no key.
    #[error("expected KEY=VALUE")]
    NoKey,
}

/// Why a value does not fit the rest of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not `NAME://HOST:PORT`.
    #[error("{0:?} is no listener: write NAME://HOST:PORT, with an IPv6 address in brackets")]
    ListenerSyntax(String),
    /// Not `NAME:PROTOCOL`.
    #[error("{0:?} is no mapping: write NAME:PROTOCOL")]
    ProtocolSyntax(String),
    /// A listener whose name has no protocol.
    #[error("listener {0} has no security protocol: add {0}:PLAINTEXT to listener.security.protocol.map")]
    ProtocolMissing(String),
    /// Several listeners for clients, or none.
    #[error("expected one listener for clients, found {0}; a CONTROLLER listener is passed over")]
    ListenerCount(usize),
    /// An advertised listener that is not among the listeners.
    #[error("listener {0} is advertised, but is not in listeners")]
    AdvertisedUnknown(String),
    /// An address that no client can connect to.
    #[error("clients cannot connect to {0}: advertise a name or address and a port that reach this machine")]
    AdvertisedNowhere(String),
    /// Several data directories, or none.
    #[error("expected one data directory, found {0}")]
    DirectoryCount(usize),
    /// `node.id` and `broker.id` are both set and differ.
    #[error("node.id is {0}: set both alike, or only node.id")]
    NodeIdsDiffer(i64),
    /// Broker or controller, without the other.
    #[error("a node runs alone so far, as both: set broker,controller or remove it")]
    RolesApart,
    /// Peers that this node would have to find.
    #[error("names {0} nodes, but a node runs alone so far")]
    SeveralNodes(usize),
    /// Not `ADDRESS:COUNT`.
    #[error("{0:?} is no override: write ADDRESS:COUNT, with an IP address and a count from 0")]
    OverrideSyntax(String),
    /// It has to lie below another key's value, or above it, and doesn't.
    #[error("does not go with {other}, which is {value}")]
    OutOfOrder {
        /// The other key.
        other: &'static str,
        /// Its value.
        value: i64,
    },
    /// No address may connect at all.
    #[error("0 lets nobody connect: add max.connections.per.ip.overrides, or raise it")]
    NobodyMayConnect,
}

/// All that is wrong with a configuration, one line each, in the order of its places.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
