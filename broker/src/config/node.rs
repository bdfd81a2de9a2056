//! Who this node is.

use ottla_protocol::types::BrokerId;

use super::error::Unfit;
use super::values::Values;

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

impl NodeConfig {
    pub(super) fn read(values: &mut Values<'_>) -> NodeConfig {
        check_alone(values);
        let rack = values.value("broker.rack").map(|rack| rack.text().to_owned());
        NodeConfig { id: read_id(values), rack: rack.filter(|rack| !rack.is_empty()) }
    }
}

/// `broker.id` is the old name of `node.id`; −1 there says nothing.
fn read_id(values: &mut Values<'_>) -> BrokerId {
    let node_id = values.required("node.id").number();
    let broker_id = values.required("broker.id").number();
    let id = if values.set_value("node.id").is_some() || broker_id < 0 { node_id } else { broker_id };
    if broker_id >= 0 && broker_id != id {
        values.report("broker.id", Unfit::NodeIdsDiffer(id));
    }
    BrokerId(i32::try_from(id).expect("an int key"))
}

/// A node runs alone, so it is told so where its configuration counts on others.
fn check_alone(values: &mut Values<'_>) {
    let roles = values.required("process.roles").items().len();
    if roles == 1 {
        values.report("process.roles", Unfit::RolesApart);
    }
    for key in ["controller.quorum.voters", "controller.quorum.bootstrap.servers"] {
        let count = values.required(key).items().len();
        if count > 1 {
            values.report(key, Unfit::SeveralNodes(count));
        }
    }
}
