//! Waiting until something changes in any of many partitions.
//!
//! A fetch that finds too little registers with every partition it asked for, looks again (something may have come in
//! between), and then waits. An append marks its partition once in each subscription that watches it, so waking up
//! costs what changed and not what was asked for. A connection keeps its subscription from one fetch to the next, since
//! consumers ask for the same partitions over and over.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::partition::Partition;

/// Partitions that are watched together, in a given order. Dropping it ends the watching.
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    watched: Vec<Arc<Partition>>,
}

#[derive(Debug)]
struct Shared {
    changed: Mutex<Changed>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Changed {
    /// Places in `watched` that changed since they were last taken, each once.
    places: Vec<u32>,
    is_marked: Vec<bool>,
}

impl Subscription {
    /// Watches `partitions` from now on. What changed before this call is not reported: look at them afterwards.
    pub(crate) fn new(partitions: Vec<Arc<Partition>>) -> Subscription {
        let changed = Changed { places: Vec::new(), is_marked: vec![false; partitions.len()] };
        let shared = Arc::new(Shared { changed: Mutex::new(changed), waker: AtomicWaker::new() });
        for (place, partition) in partitions.iter().enumerate() {
            let place = u32::try_from(place).expect("a request names fewer partitions than that");
            partition.watchers.add(Watcher { shared: Arc::clone(&shared), place });
        }
        Subscription { shared, watched: partitions }
    }

    /// Whether this watches just these partitions, in this order.
    pub(crate) fn watches<'a>(&self, partitions: impl ExactSizeIterator<Item = &'a Arc<Partition>>) -> bool {
        self.watched.len() == partitions.len()
            && self.watched.iter().zip(partitions).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Forgets what changed so far; for a caller that is about to look at every partition.
    pub(crate) fn clear(&self) {
        let mut changed = self.shared.changed.lock();
        while let Some(place) = changed.places.pop() {
            changed.is_marked[place as usize] = false;
        }
    }

    /// Waits until something changed, and takes the places of what did. Cancel-safe.
    pub(crate) async fn changed(&self) -> Vec<u32> {
        poll_fn(|context| {
            // Register, then look again.
            self.shared.waker.register(context.waker());
            let mut changed = self.shared.changed.lock();
            if changed.places.is_empty() {
                return Poll::Pending;
            }
            let places = std::mem::take(&mut changed.places);
            for place in &places {
                changed.is_marked[*place as usize] = false;
            }
            Poll::Ready(places)
        })
        .await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for partition in &self.watched {
            partition.watchers.remove(&self.shared);
        }
    }
}

struct Watcher {
    shared: Arc<Shared>,
    place: u32,
}

/// Who watches one partition. Costs a pointer while nobody does.
#[derive(Default)]
pub(super) struct Watchers {
    #[expect(
        clippy::box_collection,
        reason = "most partitions have no watcher, and there may be 100,000 of them"
    )]
    list: Mutex<Option<Box<Vec<Watcher>>>>,
}

impl Watchers {
    fn add(&self, watcher: Watcher) {
        self.list.lock().get_or_insert_default().push(watcher);
    }

    fn remove(&self, shared: &Arc<Shared>) {
        let mut list = self.list.lock();
        if let Some(watchers) = list.as_mut() {
            watchers.retain(|watcher| !Arc::ptr_eq(&watcher.shared, shared));
            if watchers.is_empty() {
                *list = None;
            }
        }
    }

    /// Tells everyone that watches that there is something to look at.
    pub(super) fn mark(&self) {
        let list = self.list.lock();
        for watcher in list.iter().flat_map(|watchers| watchers.iter()) {
            let mut changed = watcher.shared.changed.lock();
            let is_marked = &mut changed.is_marked[watcher.place as usize];
            if !std::mem::replace(is_marked, true) {
                changed.places.push(watcher.place);
                drop(changed);
                watcher.shared.waker.wake();
            }
        }
    }
}
