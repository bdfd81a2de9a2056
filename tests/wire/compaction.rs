//! What compaction leaves of a topic, as clients see it.

use ottla_testkit::batches::{batch, keyed, read_records};
use ottla_testkit::wait::wait_for;

use crate::bed::{Bed, FETCH, PATIENCE, append, fetch, is_peer, list_offset, records_of};

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.cleaner.backoff.ms", 20));
    let mut client = bed.client();
    let topic = bed.topic(
        1,
        &[("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0")],
    );
    // Two to a segment; the last is in the active one, which is left alone.
    for number in 0..9_i64 {
        let record = keyed(format!("key {}", number % 3), "x".repeat(400_000));
        assert_eq!(append(&mut client, &topic, &batch([record]).at(1_000 * (1 + number))), number);
    }
    wait_for("it is compacted", PATIENCE, || {
        let row = fetch(&mut client, FETCH, &topic, 0, 0);
        let first = read_records(&records_of(&row)).first().map(|record| record.offset);
        (first == Some(5)).then_some(())
    });
    let (mut offsets, mut next) = (Vec::new(), 0);
    while next < 9 {
        let row = fetch(&mut client, FETCH, &topic, 0, next);
        assert_eq!((row.error_code, row.high_watermark, row.log_start_offset), (0, 9, 0));
        for record in read_records(&records_of(&row)).iter().filter(|record| next <= record.offset) {
            offsets.push(record.offset);
        }
        next = offsets.last().expect("there are records") + 1;
    }
    assert_eq!(offsets, [5, 6, 7, 8]);
    // Offsets and times of what is gone find what follows.
    for (timestamp, offset, found) in
        [(-2, 0, -1), (-1, 9, -1), (0, 5, 6_000), (1_500, 5, 6_000), (7_000, 6, 7_000), (-3, 8, 9_000)]
    {
        let row = list_offset(&mut client, &topic.name, 0, timestamp);
        assert_eq!((row.error_code, row.offset, row.timestamp), (0, offset, found), "{timestamp}");
    }
}
