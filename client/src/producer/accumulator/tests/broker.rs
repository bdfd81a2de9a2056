//! What a Kafka broker does with a partition's batches, without a broker: sequences and epochs are checked as the
//! protocol says (KIP-98, KIP-360), and every record's number is kept.

use std::collections::VecDeque;

use ottla_protocol::record::Batch as RecordBatch;
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::*;

/// How many batches of a producer a broker remembers.
const REMEMBERED: usize = 5;

/// A partition's log: each record's number, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) records: Vec<u32>,
    /// Batches that came again.
    pub(super) repeated: usize,
    /// Epochs that followed another.
    pub(super) new_epochs: usize,
    producer: Option<ProducerState>,
}

#[derive(Debug)]
struct ProducerState {
    id: ProducerId,
    epoch: ProducerEpoch,
    /// First and last sequence number, and base offset, of the latest batches.
    batches: VecDeque<(i32, i32, i64)>,
}

impl Log {
    pub(super) fn bytes_of(payload: &Payload) -> usize {
        let Payload::Built(bytes) = payload else { panic!("a batch that is sent is built") };
        bytes.len()
    }

    /// Appends a batch unless it is here already, and gives the code and the base offset.
    pub(super) fn append(&mut self, payload: &Payload) -> (i16, i64) {
        let Payload::Built(bytes) = payload else { panic!("a batch that is sent is built") };
        let batch = RecordBatch::split_from(&mut bytes.clone(), 0).expect("a batch").expect("whole");
        batch.verify_crc().expect("its CRC");
        let header = batch.header;
        let (first, last) = (header.base_sequence, header.last_sequence());
        let base_offset = self.records.len() as i64;
        match &mut self.producer {
            Some(state) if state.id == header.producer_id => {
                if header.producer_epoch < state.epoch {
                    return (47, -1);
                }
                let known = state.batches.iter().find(|(f, l, _)| (*f, *l) == (first, last));
                let is_same = header.producer_epoch == state.epoch;
                if let Some((_, _, offset)) = known.filter(|_| is_same) {
                    self.repeated += 1;
                    return (0, *offset);
                }
                let expected = match state.batches.back() {
                    Some((_, last, _)) if is_same => last.wrapping_add(1) & i32::MAX,
                    _ => 0,
                };
                if first != expected {
                    return (45, -1);
                }
                if !is_same {
                    self.new_epochs += 1;
                    state.batches.clear();
                    state.epoch = header.producer_epoch;
                }
                state.batches.push_back((first, last, base_offset));
                if state.batches.len() > REMEMBERED {
                    state.batches.pop_front();
                }
            }
            _ => {
                // A producer of which nothing is known may begin anywhere.
                let batches = [(first, last, base_offset)].into();
                self.producer =
                    Some(ProducerState { id: header.producer_id, epoch: header.producer_epoch, batches });
            }
        }
        for record in batch.records(usize::MAX).expect("records") {
            let value = record.expect("a record").value.expect("a value");
            self.records.push(u32::from_be_bytes(value[..4].try_into().expect("four bytes")));
        }
        (0, base_offset)
    }
}
