//! The record set of a Fetch answer, batch by batch.

use bytes::Bytes;
use ottla_protocol::record::Batch;
use ottla_testkit::batches::read_batches;

use crate::mask::Mask;
use crate::node::Node;

/// What may come out of a batch.
const BYTES_MAX: usize = 64 << 20;

/// Keys and values that are longer are told by their length.
const TEXT_BYTES_MAX: usize = 40;

/// The whole batches, and how many bytes of another follow them.
pub(crate) fn to_node(records: &Bytes, mask: &Mask) -> Node {
    let batches = read_batches(records);
    let whole: usize = batches.iter().map(|batch| batch.header.total_size()).sum();
    let rows = batches.iter().map(|batch| batch_node(batch, mask)).collect();
    match records.len() - whole {
        0 => Node::List(rows),
        cut => Node::Fields(vec![
            ("batches".to_owned(), Node::List(rows)),
            ("bytes_of_another".to_owned(), Node::number(i64::try_from(cut).expect("it is short"))),
        ]),
    }
}

fn batch_node(batch: &Batch, mask: &Mask) -> Node {
    let header = &batch.header;
    let codec = header.attributes.0 & 7;
    let mut fields = vec![
        ("base_offset", Node::number(header.base_offset.0)),
        ("last_offset_delta", Node::number(header.last_offset_delta.into())),
        ("leader_epoch", Node::number(header.partition_leader_epoch.0.into())),
        ("attributes", Node::number(header.attributes.0.into())),
        ("base_timestamp", mask.time(header.base_timestamp)),
        ("max_timestamp", mask.time(header.max_timestamp)),
        ("producer_id", mask.producer_id(header.producer_id.0)),
        ("producer_epoch", Node::number(header.producer_epoch.0.into())),
        ("base_sequence", Node::number(header.base_sequence.into())),
    ];
    if codec == 0 {
        // How well something compresses is nobody's promise.
        fields.push(("batch_length", Node::number(header.batch_length.into())));
    }
    let records = batch.records(BYTES_MAX).expect("a broker sends what it has checked").map(|record| {
        let record = record.expect("a broker sends what it has checked");
        let mut fields = vec![
            ("offset_delta", Node::number(record.offset_delta.into())),
            ("timestamp_delta", Node::number(record.timestamp_delta)),
            ("key", bytes_node(record.key.as_ref())),
            ("value", bytes_node(record.value.as_ref())),
        ];
        if !record.headers.is_empty() {
            let headers = record.headers.iter().map(|header| {
                Node::List(vec![bytes_node(Some(&header.key)), bytes_node(header.value.as_ref())])
            });
            fields.push(("headers", Node::List(headers.collect())));
        }
        named(fields)
    });
    fields.push(("records", Node::List(records.collect())));
    named(fields)
}

fn named(fields: Vec<(&str, Node)>) -> Node {
    Node::Fields(fields.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

fn bytes_node(bytes: Option<&Bytes>) -> Node {
    match bytes {
        None => Node::Leaf(serde_json::Value::Null),
        Some(bytes) if bytes.len() <= TEXT_BYTES_MAX => Node::text(String::from_utf8_lossy(bytes)),
        Some(bytes) => Node::text(format!("<{} bytes>", bytes.len())),
    }
}
