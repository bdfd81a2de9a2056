//! Who this node is.

use ottla_protocol::types::BrokerId;

/// Who this node is. A node that runs alone is broker and controller at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// `node.id` (or its old name `broker.id`): 0 to 2147483647, default 1 (Kafka has no default). A data directory
    /// remembers the id that it was created with.
    pub id: BrokerId,
    /// `broker.rack`: any text, told to clients so that they can prefer a near replica. Default none.
    pub rack: Option<String>,
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig { id: BrokerId(1), rack: None }
    }
}
