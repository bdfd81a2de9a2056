//! What a transaction coordinator's core is asked, and its answers.

use std::collections::BTreeSet;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::ProducerId;
use ottla_protocol::wire::Str;

use super::state::TransactionVersion;
use super::value::{TopicPartition, TransactionValue};
use crate::coordinator::core::ProducerSession;

/// A question for a core.
#[derive(Debug)]
pub(crate) enum TransactionRequest {
    InitializeProducer(InitializeProducer),
    AddPartitions(AddPartitions),
    VerifyPartitions(VerifyPartitions),
    EndTransaction(EndTransaction),
    /// Tells what is known of an id.
    Describe {
        transactional_id: Str,
    },
    /// Tells the transactions of this core that the filter lets through, by their ids.
    List(ListFilter),
    /// Every partition of an ended transaction has its marker, or is gone. Asked by whoever wrote the markers, with the
    /// producer that they carry.
    MarkersWritten {
        transactional_id: Str,
        producer: ProducerSession,
    },
}

/// InitProducerId with a transactional id.
#[derive(Debug, Clone)]
pub(crate) struct InitializeProducer {
    pub(crate) transactional_id: Str,
    pub(crate) timeout_ms: i32,
    /// What the producer says it has (KIP-360).
    pub(crate) expected: Option<ProducerSession>,
    /// A producer id that nobody has had, if the core said that it needs one.
    pub(crate) fresh: Option<ProducerId>,
}

/// AddPartitionsToTxn, AddOffsetsToTxn (whose partition is one of `__consumer_offsets`), and what version 2 adds by
/// writing. That the partitions exist has been checked.
#[derive(Debug, Clone)]
pub(crate) struct AddPartitions {
    pub(crate) transactional_id: Str,
    pub(crate) producer: ProducerSession,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    pub(crate) version: TransactionVersion,
}

/// Whether partitions belong to the ongoing transaction (KIP-890).
#[derive(Debug, Clone)]
pub(crate) struct VerifyPartitions {
    pub(crate) transactional_id: Str,
    pub(crate) producer: ProducerSession,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// EndTxn.
#[derive(Debug, Clone)]
pub(crate) struct EndTransaction {
    pub(crate) transactional_id: Str,
    pub(crate) producer: ProducerSession,
    pub(crate) is_commit: bool,
    pub(crate) version: TransactionVersion,
    /// As in [`InitializeProducer`].
    pub(crate) fresh: Option<ProducerId>,
}

/// Which transactions ListTransactions asks for. An empty list lets everything through.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListFilter {
    /// Names of states; those that don't exist match nothing.
    pub(crate) states: Vec<Str>,
    pub(crate) producer_ids: Vec<ProducerId>,
    /// Only transactions that began longer ago; negative for no such filter.
    pub(crate) duration_ms: i64,
}

/// A core's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransactionAnswer {
    /// To InitializeProducer and EndTransaction: nothing was done, ask again with a fresh producer id.
    NeedsProducerId,
    /// To InitializeProducer: the producer's session. To EndTransaction: the session of its next transaction.
    Producer(Result<ProducerSession, ErrorCode>),
    /// To AddPartitions.
    Added(Result<(), ErrorCode>),
    /// To VerifyPartitions: an error for all, or one code for each partition in the order of the request.
    Verified(Result<Vec<ErrorCode>, ErrorCode>),
    /// To Describe.
    Described(Result<Description, ErrorCode>),
    /// To List.
    Listed(Vec<Listing>),
    /// To MarkersWritten.
    Noted,
}

/// What DescribeTransactions tells.
pub(crate) type Description = TransactionValue;

/// A transaction among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) transactional_id: Str,
    pub(crate) producer_id: ProducerId,
    pub(crate) state: super::state::TransactionState,
}
