//! Why configs are not changed, and what the wire says of it.

use ottla_protocol::error_code::ErrorCode;

use crate::config::keys::ValueProblem;
use crate::config::topic_overrides::InvalidTopicConfig;

/// Why configs were not changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AlterConfigError {
    /// A topic can't have them.
    #[error(transparent)]
    Topic(#[from] InvalidTopicConfig),
    /// Something is to join or leave what is no list.
    #[error("{key:?} is no list, so nothing can be appended to it or subtracted from it")]
    NotAList {
        /// The key.
        key: String,
    },
    /// A key that can't be set while brokers run.
    #[error("{key:?} can't be changed while the broker runs: {reason}")]
    Fixed {
        /// The key.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// A key that is each broker's own.
    #[error("{key:?} can be set for one broker, not for all of them")]
    PerBroker {
        /// The key.
        key: &'static str,
    },
    /// A broker key of ours that is not there.
    #[error("Unknown broker config {key:?}{}", .nearest.map(|key| format!("; did you mean {key:?}?")).unwrap_or_default())]
    UnknownBrokerKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that its broker key does not take.
    #[error("Invalid value {value:?} for broker config {key:?}: {problem}")]
    InvalidBrokerValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Why not.
        problem: ValueProblem,
    },
    /// A value beyond the bounds that other keys set.
    #[error("Invalid value for broker config {key:?}: {problem}")]
    BeyondBounds {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A broker config that somebody would rely on in vain.
    #[error("Broker config {key:?} can't be set here: {reason}")]
    Refused {
        /// The key.
        key: String,
        /// What would be missing.
        reason: &'static str,
    },
    /// `max.connections.per.ip` is 0, and no address may have more.
    #[error("max.connections.per.ip can be 0 only beside max.connections.per.ip.overrides")]
    NobodyMayConnect,
    /// Not a list of addresses with counts.
    #[error(
        "Invalid value {value:?} for broker config \"max.connections.per.ip.overrides\": expected address:count,..."
    )]
    InvalidOverrides {
        /// The value.
        value: String,
    },
    /// With eligible leader replicas the least in-sync replicas are the cluster's, and always set.
    #[error(
        "min.insync.replicas is set for all brokers, can't be taken away there, and not be set for one broker"
    )]
    MinInsyncReplicas,
    /// A group can't have it.
    #[error("Invalid group config {key:?}: {problem}")]
    Group {
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A client metrics subscription can't have it.
    #[error("Invalid client metrics config {key:?}: {problem}")]
    ClientMetrics {
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// Nothing by which a client can be matched.
    #[error("Illegal client matching pattern: {pattern}")]
    MatchPattern {
        /// The pattern.
        pattern: String,
    },
}

impl AlterConfigError {
    /// The wire's code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            AlterConfigError::Topic(error) => error.error_code(),
            AlterConfigError::NotAList { .. }
            | AlterConfigError::MinInsyncReplicas
            | AlterConfigError::Group { .. }
            | AlterConfigError::MatchPattern { .. } => ErrorCode::InvalidConfig,
            AlterConfigError::Fixed { .. }
            | AlterConfigError::PerBroker { .. }
            | AlterConfigError::UnknownBrokerKey { .. }
            | AlterConfigError::InvalidBrokerValue { .. }
            | AlterConfigError::BeyondBounds { .. }
            | AlterConfigError::Refused { .. }
            | AlterConfigError::NobodyMayConnect
            | AlterConfigError::InvalidOverrides { .. }
            | AlterConfigError::ClientMetrics { .. } => ErrorCode::InvalidRequest,
        }
    }
}
