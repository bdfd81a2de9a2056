//! The transaction coordinator: which producer holds a transactional id, what belongs to its transaction, and how that
//! ends. One core for each partition of `__transaction_state`.
//!
//! * `state`: the states of a transaction, and which may follow which.
//! * `value`: what the log says about one transactional id; `record` its bytes, Kafka's own.
//! * `request`: what a core is asked, and its answers.
//! * `core`: the decisions, split by request into `initialize`, `add`, `end`, `look` and by time into `timers`.
//! * `markers` decides which markers are written, `markers_task` writes them; `kind` is what the shell knows of all this.
//!
//! A transaction ends in three steps that survive a crash each: the outcome is written (`PrepareCommit` or
//! `PrepareAbort`), from where nothing can change it; markers go to every partition of the transaction, repeated until each
//! has one; that this is done is written (`CompleteCommit` or `CompleteAbort`). A core that finds the first step without
//! the third in its log takes the second again.

mod add;
mod core;
mod end;
mod initialize;
mod kind;
mod look;
mod markers;
mod markers_task;
mod record;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod value;

#[cfg(test)]
use self::core::{EndedTransaction, MarkerEffect, TransactionCore};
pub(crate) use self::kind::TransactionCoordinator;
pub(crate) use self::markers_task::{MarkerParts, MarkerWanted, MarkersTask};
#[cfg(test)]
use self::record::TransactionRecord;
pub(crate) use self::request::{
    AddPartitions, Description, EndTransaction, InitializeProducer, ListFilter, Listing, TransactionAnswer,
    TransactionRequest, VerifyPartitions,
};
pub(crate) use self::state::{TransactionState, TransactionVersion};
pub(crate) use self::value::TopicPartition;
#[cfg(test)]
use self::value::TransactionValue;
