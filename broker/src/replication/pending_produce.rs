//! One Produce request whose partitions are answered by several shards, each in its own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};

/// What became of one partition's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProduceOutcome {
    /// It is in the log, as safely as the request's acks asked for; or it already was (a duplicate).
    Appended {
        /// The offset of its first record.
        base_offset: Offset,
        /// The batch's time where the broker sets it (`LogAppendTime`) and for duplicates; −1 otherwise.
        log_append_time_ms: i64,
        /// Where the log starts.
        log_start: Offset,
    },
    /// It is not in the log, or may be but is not known to be safe.
    Failed(ProduceFailure),
}

/// Why a batch was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProduceFailure {
    /// What the client is told.
    pub(crate) code: ErrorCode,
    /// For people; most codes have none.
    pub(crate) message: Option<String>,
    /// Which records are to blame, by their index in the batch.
    pub(crate) record_errors: Vec<(i32, Option<String>)>,
    /// Where the log starts, or −1 where the check came before the log was looked at.
    pub(crate) log_start: Offset,
}

impl ProduceFailure {
    /// A failure that needs no more than its code.
    pub(crate) fn code(code: ErrorCode) -> ProduceFailure {
        ProduceFailure { code, message: None, record_errors: Vec::new(), log_start: Offset::UNKNOWN }
    }
}

/// One outcome for each batch, in the order of the slots; `None` where none has come in. Most requests are of one batch.
pub(crate) type ProduceOutcomes = SmallVec<[Option<ProduceOutcome>; 1]>;

/// The outcomes of a request, gathered as they come in. Nobody but its maker knows what `C` counts.
pub(crate) struct PendingProduce<C: ?Sized = dyn Send + Sync> {
    remaining: AtomicUsize,
    outcomes: Mutex<ProduceOutcomes>,
    waker: AtomicWaker,
    /// What counts the request's bytes. The batches are slices of them, so they stay counted until the last batch is
    /// answered, however soon its client has lost patience or gone.
    _counted: C,
}

impl std::fmt::Debug for PendingProduce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PendingProduce({} unanswered)", self.remaining.load(Ordering::Relaxed))
    }
}

impl PendingProduce {
    /// A request of `count` batches; the slots are answered in any order. `counted` is dropped once they are.
    pub(crate) fn new(
        count: usize,
        counted: impl Send + Sync + 'static,
    ) -> (Arc<PendingProduce>, impl Iterator<Item = ProduceSlot>) {
        let pending: Arc<PendingProduce> = Arc::new(PendingProduce {
            remaining: AtomicUsize::new(count),
            outcomes: Mutex::new(smallvec![None; count]),
            waker: AtomicWaker::new(),
            _counted: counted,
        });
        let of_slots = Arc::clone(&pending);
        let slots = (0..count).map(move |index| ProduceSlot { pending: Some(Arc::clone(&of_slots)), index });
        (pending, slots)
    }

    /// Ready when every slot has been answered.
    pub(crate) fn poll_answered(&self, context: &mut Context<'_>) -> Poll<()> {
        // Register, then look again.
        self.waker.register(context.waker());
        if self.remaining.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what has come in so far; `None` where nothing has.
    pub(crate) fn take(&self) -> ProduceOutcomes {
        std::mem::take(&mut *self.outcomes.lock())
    }
}

/// The place of one batch's outcome. Dropped unanswered (its shard is gone), it answers that the storage failed.
#[derive(Debug)]
pub(crate) struct ProduceSlot {
    pending: Option<Arc<PendingProduce>>,
    index: usize,
}

impl ProduceSlot {
    /// Answers.
    pub(crate) fn answer(mut self, outcome: ProduceOutcome) {
        self.put(outcome);
    }

    fn put(&mut self, outcome: ProduceOutcome) {
        let Some(pending) = self.pending.take() else { return };
        // The list is gone if the request timed out meanwhile.
        if let Some(place) = pending.outcomes.lock().get_mut(self.index) {
            *place = Some(outcome);
        }
        if pending.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            pending.waker.wake();
        }
    }
}

impl Drop for ProduceSlot {
    fn drop(&mut self) {
        self.put(ProduceOutcome::Failed(ProduceFailure::code(ErrorCode::KafkaStorageError)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn appended(base: i64) -> ProduceOutcome {
        ProduceOutcome::Appended { base_offset: Offset(base), log_append_time_ms: -1, log_start: Offset(0) }
    }

    fn pending_produce(
        count: usize,
        counted: impl Send + Sync + 'static,
    ) -> (Arc<PendingProduce>, Vec<ProduceSlot>) {
        let (pending, slots) = PendingProduce::new(count, counted);
        (pending, slots.collect())
    }

    fn is_answered(pending: &PendingProduce) -> bool {
        pending.poll_answered(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_request_is_answered_when_its_last_batch_is() {
        let (pending, mut slots) = pending_produce(2, ());
        slots.remove(1).answer(appended(7));
        assert!(!is_answered(&pending));
        slots.remove(0).answer(appended(3));
        assert!(is_answered(&pending));
        assert_eq!(pending.take()[..], [Some(appended(3)), Some(appended(7))]);
    }

    #[test]
    fn a_slot_whose_shard_is_gone_answers_a_storage_error() {
        let (pending, slots) = pending_produce(1, ());
        drop(slots);
        assert!(is_answered(&pending));
        let failure = ProduceFailure::code(ErrorCode::KafkaStorageError);
        assert_eq!(pending.take()[..], [Some(ProduceOutcome::Failed(failure))]);
    }

    #[test]
    fn bytes_stay_counted_until_the_last_batch_is_answered() {
        let counted = Arc::new(());
        let (pending, mut slots) = pending_produce(2, Arc::clone(&counted));
        drop(pending);
        slots.remove(0).answer(appended(1));
        assert_eq!(Arc::strong_count(&counted), 2, "one batch is still in its shard");
        slots.remove(0).answer(appended(2));
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn an_answer_after_the_time_out_is_dropped() {
        let (pending, mut slots) = pending_produce(1, ());
        assert_eq!(pending.take()[..], [None]);
        slots.remove(0).answer(appended(1));
        assert_eq!(pending.take()[..], []);
    }
}
