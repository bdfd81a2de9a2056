//! Whether the files beside a log say what its batches say. Pure: each check is shown the log's sound batches in order.

use ottla_broker::log::leader_epochs::LeaderEpochs;
use ottla_broker::log::offset_index::OffsetIndexView;
use ottla_broker::log::time_index::{NO_TIMESTAMP, TimeIndexView};
use ottla_broker::log::transaction_index::AbortedTransaction;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::types::{LeaderEpoch, Offset};

/// How many problems of a file are told. One cause can spoil every entry.
const PROBLEMS_MAX: usize = 20;

/// A sound batch of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenBatch {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
    /// What it says if it ends a transaction.
    pub(super) marker: Option<EndTransactionMarker>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Problems {
    texts: Vec<String>,
    more: u64,
}

impl Problems {
    pub(super) fn add(&mut self, text: String) {
        if self.texts.len() < PROBLEMS_MAX { self.texts.push(text) } else { self.more += 1 }
    }

    /// The first of them, and how many more there are.
    pub(super) fn into_texts(mut self) -> Vec<String> {
        if 0 < self.more {
            self.texts.push(format!("and {} more like these", self.more));
        }
        self.texts
    }
}

/// Each entry of an offset index points at a batch, and has its last offset.
pub(super) struct OffsetIndexCheck<'a> {
    view: OffsetIndexView<'a>,
    next: usize,
    problems: Problems,
}

impl<'a> OffsetIndexCheck<'a> {
    pub(super) fn new(view: OffsetIndexView<'a>) -> OffsetIndexCheck<'a> {
        OffsetIndexCheck { view, next: 0, problems: Problems::default() }
    }

    pub(super) fn on_batch(&mut self, batch: &SeenBatch) {
        self.pass(batch.position);
        if let Some(entry) = self.view.get(self.next)
            && u64::from(entry.position) == batch.position
        {
            let last_offset = batch.header.last_offset();
            if entry.offset != last_offset {
                let (number, offset, position) = (self.next, entry.offset, entry.position);
                self.problems.add(format!(
                    "entry {number}: offset {offset}, but the batch at byte {position} ends with {last_offset}"
                ));
            }
            self.next += 1;
        }
    }

    fn pass(&mut self, position: u64) {
        while let Some(entry) = self.view.get(self.next)
            && u64::from(entry.position) < position
        {
            let (number, position) = (self.next, entry.position);
            self.problems.add(format!("entry {number}: no sound batch begins at byte {position}"));
            self.next += 1;
        }
    }

    pub(super) fn finish(mut self) -> Problems {
        self.pass(u64::MAX);
        self.problems
    }
}

/// Each entry of a time index has the timestamp of the batch with its offset, and none before has a later one.
pub(super) struct TimeIndexCheck<'a> {
    view: TimeIndexView<'a>,
    next: usize,
    largest: i64,
    problems: Problems,
}

impl<'a> TimeIndexCheck<'a> {
    pub(super) fn new(view: TimeIndexView<'a>) -> TimeIndexCheck<'a> {
        TimeIndexCheck { view, next: 0, largest: NO_TIMESTAMP, problems: Problems::default() }
    }

    pub(super) fn on_batch(&mut self, batch: &SeenBatch) {
        let BatchHeader { base_offset, max_timestamp, .. } = batch.header;
        self.pass(base_offset);
        while let Some(entry) = self.view.get(self.next)
            && entry.offset <= batch.header.last_offset()
        {
            let (number, timestamp, offset) = (self.next, entry.timestamp, entry.offset);
            if timestamp != max_timestamp {
                self.problems.add(format!(
                    "entry {number}: timestamp {timestamp} at offset {offset}, where the batch has {max_timestamp}"
                ));
            } else if timestamp < self.largest {
                let largest = self.largest;
                self.problems.add(format!(
                    "entry {number}: timestamp {timestamp} at offset {offset}, but {largest} came before"
                ));
            }
            self.next += 1;
        }
        self.largest = self.largest.max(max_timestamp);
    }

    fn pass(&mut self, offset: Offset) {
        while let Some(entry) = self.view.get(self.next)
            && entry.offset < offset
        {
            let (number, offset) = (self.next, entry.offset);
            self.problems.add(format!("entry {number}: no sound batch holds offset {offset}"));
            self.next += 1;
        }
    }

    pub(super) fn finish(mut self) -> Problems {
        self.pass(Offset(i64::MAX));
        self.problems
    }
}

/// Each entry of a transaction index has its abort marker in the log.
pub(super) struct TransactionIndexCheck {
    entries: Vec<AbortedTransaction>,
    next: usize,
    problems: Problems,
}

impl TransactionIndexCheck {
    pub(super) fn new(entries: Vec<AbortedTransaction>) -> TransactionIndexCheck {
        TransactionIndexCheck { entries, next: 0, problems: Problems::default() }
    }

    pub(super) fn on_batch(&mut self, batch: &SeenBatch) {
        let is_abort = batch.marker.is_some_and(|marker| !marker.committed);
        while let Some(entry) = self.entries.get(self.next)
            && entry.last_offset <= batch.header.last_offset()
        {
            let is_its_own = entry.last_offset == batch.header.last_offset()
                && entry.producer_id == batch.header.producer_id;
            if !is_abort || !is_its_own {
                self.add_missing(entry.producer_id.0, entry.last_offset);
            }
            self.next += 1;
        }
    }

    fn add_missing(&mut self, producer_id: i64, offset: Offset) {
        let number = self.next;
        self.problems
            .add(format!("entry {number}: offset {offset} holds no abort marker of producer {producer_id}"));
    }

    pub(super) fn finish(mut self) -> Problems {
        while let Some(entry) = self.entries.get(self.next) {
            self.add_missing(entry.producer_id.0, entry.last_offset);
            self.next += 1;
        }
        self.problems
    }
}

/// The leader-epoch checkpoint names the epoch of each batch.
pub(super) struct EpochCheck {
    epochs: LeaderEpochs,
    told: Option<(LeaderEpoch, Option<LeaderEpoch>)>,
    problems: Problems,
}

impl EpochCheck {
    pub(super) fn new(epochs: LeaderEpochs) -> EpochCheck {
        EpochCheck { epochs, told: None, problems: Problems::default() }
    }

    pub(super) fn on_batch(&mut self, batch: &SeenBatch) {
        let BatchHeader { base_offset, partition_leader_epoch: epoch, .. } = batch.header;
        let known = self.epochs.epoch_for(base_offset);
        if epoch == LeaderEpoch::UNKNOWN || known == Some(epoch) {
            self.told = None;
        } else if self.told != Some((epoch, known)) {
            // The batches behind it have the same trouble: one line for all of them.
            self.told = Some((epoch, known));
            let known = known.map_or("none".to_owned(), |known| known.to_string());
            self.problems
                .add(format!("{known} at offset {base_offset}, where the batch has leader epoch {epoch}"));
        }
    }

    pub(super) fn finish(mut self, log_end: Option<Offset>) -> Problems {
        if let (Some(latest), Some(end)) = (self.epochs.latest(), log_end)
            && end < latest.start
        {
            let (epoch, start) = (latest.epoch, latest.start);
            self.problems.add(format!("epoch {epoch} begins at offset {start}, behind the log's end {end}"));
        }
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use ottla_broker::log::offset_index::OffsetIndex;
    use ottla_broker::log::time_index::{TimeIndex, TimestampOffset};
    use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
    use ottla_protocol::types::{ProducerEpoch, ProducerId};

    use super::*;

    /// Batches of two records and 100 bytes: offsets 10 and 11 at byte 0 with timestamp 5, then 12 and 13 at byte 100
    /// with timestamp 4, then 14 and 15 at 200 with 7, each in an epoch of its own.
    fn batches() -> Vec<SeenBatch> {
        let batch = |(number, timestamp): (i64, i64)| {
            let epoch = LeaderEpoch(number as i32);
            let mut builder = BatchBuilder::new(Compression::NONE).at(Offset(10 + 2 * number), epoch);
            builder.push(NewRecord { timestamp, ..NewRecord::default() });
            builder.push(NewRecord { timestamp, ..NewRecord::default() });
            let header = builder.build().unwrap().header;
            SeenBatch { position: 100 * number as u64, header, marker: None }
        };
        [(0, 5), (1, 4), (2, 7)].into_iter().map(batch).collect()
    }

    fn check_offsets(entries: &[(i64, u32)], expected: &[&str]) {
        let mut index = OffsetIndex::new(Offset(10), 800);
        entries.iter().for_each(|(offset, position)| index.append(Offset(*offset), *position));
        let bytes = index.encode_from(0);
        let mut check = OffsetIndexCheck::new(OffsetIndexView::new(Offset(10), &bytes));
        batches().iter().for_each(|batch| check.on_batch(batch));
        assert_eq!(check.finish().into_texts(), expected);
    }

    #[test]
    fn offset_entries_point_at_batches() {
        check_offsets(&[(11, 0), (15, 200)], &[]);
        check_offsets(&[(12, 100)], &["entry 0: offset 12, but the batch at byte 100 ends with 13"]);
        check_offsets(
            &[(11, 50), (13, 100), (15, 201)],
            &["entry 0: no sound batch begins at byte 50", "entry 2: no sound batch begins at byte 201"],
        );
    }

    fn check_times(entries: &[(i64, i64)], expected: &[&str]) {
        let mut index = TimeIndex::new(Offset(10), 800);
        for (timestamp, offset) in entries {
            index.append(TimestampOffset { timestamp: *timestamp, offset: Offset(*offset) });
        }
        let bytes = index.encode_from(0);
        let mut check = TimeIndexCheck::new(TimeIndexView::new(Offset(10), &bytes));
        batches().iter().for_each(|batch| check.on_batch(batch));
        assert_eq!(check.finish().into_texts(), expected);
    }

    #[test]
    fn time_entries_are_true() {
        check_times(&[(5, 11), (7, 15)], &[]);
        check_times(&[(4, 13)], &["entry 0: timestamp 4 at offset 13, but 5 came before"]);
        check_times(&[(6, 15)], &["entry 0: timestamp 6 at offset 15, where the batch has 7"]);
        check_times(&[(7, 16)], &["entry 0: no sound batch holds offset 16"]);
    }

    #[test]
    fn aborted_transactions_have_their_markers() {
        let entry = |producer_id, last| AbortedTransaction {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(1),
            last_offset: Offset(last),
            last_stable_offset: Offset(last),
        };
        let marker = |offset, committed| {
            let marker = EndTransactionMarker { committed, coordinator_epoch: 0 };
            let mut header = marker.to_batch(ProducerId(3), ProducerEpoch(0), 0).header;
            header.base_offset = Offset(offset);
            SeenBatch { position: 0, header, marker: Some(marker) }
        };
        let entries = [entry(3, 4), entry(9, 5), entry(3, 6), entry(3, 7)];
        let mut check = TransactionIndexCheck::new(entries.to_vec());
        [marker(4, false), marker(5, false), marker(6, true)].iter().for_each(|batch| check.on_batch(batch));
        let expected = [
            "entry 1: offset 5 holds no abort marker of producer 9",
            "entry 2: offset 6 holds no abort marker of producer 3",
            "entry 3: offset 7 holds no abort marker of producer 3",
        ];
        assert_eq!(check.finish().into_texts(), expected);
    }

    fn check_epochs(text: &str, expected: &[&str]) {
        let mut check = EpochCheck::new(LeaderEpochs::parse(text.as_bytes()).unwrap());
        batches().iter().for_each(|batch| check.on_batch(batch));
        assert_eq!(check.finish(Some(Offset(16))).into_texts(), expected);
    }

    #[test]
    fn epochs_are_those_of_the_batches() {
        check_epochs("0\n3\n0 3\n1 12\n2 14\n", &[]);
        check_epochs("0\n4\n0 3\n1 12\n2 14\n3 16\n", &[]);
        check_epochs("0\n2\n0 3\n2 12\n", &["2 at offset 12, where the batch has leader epoch 1"]);
        check_epochs("0\n2\n1 12\n2 14\n", &["none at offset 10, where the batch has leader epoch 0"]);
        check_epochs(
            "0\n4\n0 0\n1 12\n2 14\n3 17\n",
            &["epoch 3 begins at offset 17, behind the log's end 16"],
        );
    }

    #[test]
    fn many_problems_are_counted() {
        let mut problems = Problems::default();
        (0..25).for_each(|number| problems.add(number.to_string()));
        let texts = problems.into_texts();
        assert_eq!((texts.len(), texts.last().unwrap().as_str()), (21, "and 5 more like these"));
    }
}
