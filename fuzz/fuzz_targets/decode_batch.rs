//! Bytes that claim to be record batches: whatever they are, the two ways to read records have to agree on them, and
//! the codecs have to keep their budget.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::record::{Batch, walk};

/// What may come out of one batch. libFuzzer's limit on allocations has to be a little higher.
const BUDGET_BYTES: usize = 16 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut buffer = Bytes::copy_from_slice(data);
    while let Ok(Some(batch)) = Batch::split_from(&mut buffer, 0) {
        let _ = batch.verify_crc();
        let mut walked = 0;
        let outcome = walk(&batch.header, &batch.records, BUDGET_BYTES, |outline| {
            assert_eq!(outline.index, walked);
            walked += 1;
        });
        let read = batch.records(BUDGET_BYTES).and_then(|records| records.collect::<Result<Vec<_>, _>>());
        match (outcome, read) {
            (Ok(()), Ok(records)) => assert_eq!(records.len() as i32, walked),
            (Err(_), Err(_)) => {}
            (outcome, read) => panic!("walked: {outcome:?}; read: {read:?}"),
        }
    }
});
