//! The types of resources that have configs, as requests number them.

/// A type of resource that has configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum ResourceType {
    /// A topic.
    Topic = 2,
    /// A broker, or what all brokers share.
    Broker = 4,
    /// A broker's loggers.
    BrokerLogger = 8,
    /// A subscription to client metrics.
    ClientMetrics = 16,
    /// A group.
    Group = 32,
}

impl ResourceType {
    /// All of them.
    pub(super) const ALL: [ResourceType; 5] = [
        ResourceType::Group,
        ResourceType::ClientMetrics,
        ResourceType::BrokerLogger,
        ResourceType::Broker,
        ResourceType::Topic,
    ];

    /// The type with this number.
    pub(super) fn from_code(code: i8) -> Option<ResourceType> {
        ResourceType::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its number in requests.
    pub(super) fn code(self) -> i8 {
        self as i8
    }
}
