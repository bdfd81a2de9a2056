//! The aborted transactions that whoever reads committed records has to know of.
//!
//! Their records lie in the log like others, and a consumer leaves them out by itself (KIP-98). It is told each
//! transaction that has a record among those that it gets. A transaction stands in the index of the segment that holds
//! its marker, which may be a later one than those of its records.

use std::io;

use ottla_protocol::types::Offset;

use super::reader::{ReadError, io_error, out_of_range};
use super::transaction_index::AbortedTransaction;
use super::view::{LogView, PublishedLog};

/// Those with records among `from..to`, by first offset. `view` is the one that the records were read from.
pub(super) async fn aborted_among(
    log: &PublishedLog,
    view: &LogView,
    from: Offset,
    to: Offset,
) -> Result<Vec<AbortedTransaction>, ReadError> {
    let mut found = Vec::new();
    let first = view.segments().partition_point(|segment| segment.base() <= from).saturating_sub(1);
    for segment in view.segments().iter().skip(first) {
        let entries = match segment.aborted(&log.disk).await {
            Ok(entries) => entries,
            // Retention has taken it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !log.view().has(segment.base()) => {
                return Err(out_of_range(from, &log.ends()));
            }
            Err(error) => return Err(io_error(log, "read a transaction index", error)),
        };
        let entries = entries.as_ref().map_or(&[][..], |entries| entries.as_slice());
        let first = entries.partition_point(|entry| entry.last_offset < from);
        for entry in entries.iter().skip(first) {
            if entry.first_offset < to {
                found.push(*entry);
            }
            if to <= entry.last_stable_offset {
                return Ok(sorted(found));
            }
        }
    }
    Ok(sorted(found))
}

/// Some clients rely on this order.
fn sorted(mut found: Vec<AbortedTransaction>) -> Vec<AbortedTransaction> {
    found.sort_by_key(|entry| entry.first_offset);
    found
}
