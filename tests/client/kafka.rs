//! Apache Kafka, from Maven, one node for all tests of a run.

use std::sync::OnceLock;

use ottla_testkit::foreign::{Skip, kafka_jars};
use ottla_testkit::kafka::KafkaNode;

/// Where Kafka listens; started at the first call.
pub(crate) fn address() -> Result<String, Skip> {
    static NODE: OnceLock<Result<KafkaNode, Skip>> = OnceLock::new();
    let node =
        NODE.get_or_init(|| kafka_jars(env!("CARGO_BIN_EXE_ottla")).map(|jars| KafkaNode::start(&jars, &[])));
    node.as_ref().map(|node| node.address().to_string()).map_err(Clone::clone)
}
