//! Every place where our answer differs from Kafka's on purpose. The reasons are in `docs/differences.md`.
//!
//! Rows are taken in order, and a place is taken by the first that means it: those that mean much stand behind.

use crate::differences::Meant;

const fn meant(documented_as: &'static str, places: &'static [&'static str]) -> Meant {
    Meant { documented_as, places }
}

pub(crate) const MEANT: &[Meant] = &[
    meant(
        "ApiVersions | the APIs",
        &[
            "api_versions > *.api_keys[*]",
            "api_versions > *.supported_features*",
            "api_versions > *.finalized_features*",
        ],
    ),
    meant(
        "SaslHandshake, SaslAuthenticate on a PLAINTEXT listener",
        &["api_versions > unknown apis and versions > API 17 at version 1 > *"],
    ),
    meant(
        "ListOffsets 0, CreateTopics 0 and 1",
        &[
            "api_versions > *.api_keys[*].min_version",
            "create_topics > old versions > *",
            "delete_topics > version 0 > *",
            "describe_configs > version 0 > *",
            "describe_log_dirs > version 0 > *",
            "list_offsets > version 0 > *",
        ],
    ),
    meant(
        "AddPartitionsToTxn 4 and 5 without transactions",
        &["add_partitions_to_txn > partitions > no transactions > *"],
    ),
    meant(
        "AddPartitionsToTxn 4 and 5 of an internal topic",
        &["add_partitions_to_txn > mistakes > an internal topic > *"],
    ),
    meant("AlterConfigs, a resource twice", &["alter_configs > a resource twice > *"]),
    meant(
        "CreatePartitions, more than 10,000 in one request",
        &["create_partitions > counts > 2147483647 where there are 3*"],
    ),
    meant(
        "DescribeConfigs | Kafka's keys",
        &["create_topics > *.configs[ottla.*", "describe_configs > *.configs[ottla.*"],
    ),
    meant("DescribeConfigs, the documentation of a config", &["describe_configs > *.documentation"]),
    meant("`queued.max.request.bytes`", &["describe_configs > *.configs[queued.max.request.bytes]*"]),
    meant("`socket.send.buffer.bytes`", &["describe_configs > *.configs[socket.send.buffer.bytes]*"]),
    meant(
        "DescribeConfigs, `broker.id` and `controller.listener.names`",
        &[
            "describe_configs > *.configs[broker.id].*",
            "describe_configs > *.configs[controller.listener.names].*",
        ],
    ),
    meant("`node.id`", &["describe_configs > *.configs[node.id].synonyms[node.id #2]"]),
    meant("`process.roles`", &["describe_configs > *.configs[process.roles].synonyms[process.roles #2]"]),
    meant("a config value in another notation", &["create_topics > configs that are taken > *.value"]),
    meant(
        "DescribeTopicPartitions, an empty topic name",
        &["describe_topic_partitions > what is not there > an empty name*"],
    ),
    meant("Fetch, the last batch where it doesn't fit", &["fetch > limits > *.records"]),
    meant(
        "Fetch by topic ids at an unknown isolation level",
        &["fetch > isolation levels > *.responses[<id of @t>]"],
    ),
    meant("Fetch as a replica that this broker doesn't have", &["fetch > replicas > *.node_endpoints"]),
    meant(
        "Fetch in a session by topic id, whose topic was deleted",
        &["fetch > a topic is deleted in a session > *"],
    ),
    meant(
        "IncrementalAlterConfigs, an unknown operation",
        &[
            "incremental_alter_configs > a topics mistakes > an unknown operation > *",
            "incremental_alter_configs > a topics mistakes > an operation below 0 > *",
        ],
    ),
    meant(
        "IncrementalAlterConfigs, numbers of threads",
        &["incremental_alter_configs > a brokers mistakes > far too many threads > *"],
    ),
    meant(
        "ListOffsets, the largest timestamp (-3)",
        &["list_offsets > records that were deleted > -3 of a log that begins at *"],
    ),
    meant(
        "Produce, the same partition twice",
        &["produce > rows > a partition twice > *", "produce > rows > read back > *"],
    ),
    meant("Produce, a topic without partitions", &["produce > rows > no partitions > *"]),
    meant(
        "Produce, a whole batch and then one that is cut short",
        &["produce > batches that are refused > a whole batch and a cut one*"],
    ),
    meant(
        "Produce, a batch that claims 2^31-1 bytes",
        &["produce > batches that are refused > the largest length there is > *"],
    ),
    meant(
        "Produce, unknown codec, or bytes that don't decompress",
        &[
            "produce > batches that are refused > codec *",
            "produce > batches that are refused > garbage as *",
        ],
    ),
    meant(
        "Produce, record offsets inside a batch that are not 0, 1, 2",
        &[
            "produce > records that are refused > offsets *",
            "produce > records that are refused > offset 0 twice in gzip > *",
            "produce > records that are refused > one record at offset 3*",
        ],
    ),
    meant("Produce, null record set", &["produce > null record sets > *"]),
    meant(
        "OffsetCommit, TxnOffsetCommit, WriteTxnMarkers, a topic without partitions",
        &[
            "offset_commit > nobodys groups > no partitions > *",
            "txn_offset_commit > mistakes > no partitions > *",
            "write_txn_markers > mistakes > no partitions > *",
        ],
    ),
    meant(
        "OffsetDelete of the last offset of a group without members",
        &[
            "offset_delete > nobodys groups > of what is left > *",
            "offset_delete > mistakes > no partitions > *",
            "offset_delete > mistakes > nothing > *",
        ],
    ),
    meant(
        "ConsumerGroupHeartbeat, the epoch of a member that joins with a regular expression",
        &["consumer_group_heartbeat > regular expressions > *.member_epoch"],
    ),
    meant(
        "TxnOffsetCommit 5 with another transactional id",
        &[
            "txn_offset_commit > mistakes > an id that isn't there > v5*",
            "txn_offset_commit > mistakes > an empty id > v5*",
        ],
    ),
    meant(
        "WriteTxnMarkers of a producer without an epoch",
        &["write_txn_markers > mistakes > an older epoch of a producer that wrote nothing > *"],
    ),
    meant("Produce, `error_message` of a row", &["produce > *.error_message"]),
];
