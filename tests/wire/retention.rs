//! What retention took: where the log begins now, and what a question about what was before gets.

use ottla_protocol::wire::Records;
use ottla_testkit::batches::{batch, counted, read_records, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, PATIENCE, PRODUCE, Topic, append, fetch, is_peer, list_offset, produce, producer_id,
    records_of,
};

/// A partition of records of 300,000 bytes, one a second from time 1,000 on, three to a segment, of which retention has
/// left about 1 MB; where it begins.
fn thinned(bed: &Bed, client: &mut WireClient, id: i64) -> (Topic, i64) {
    let topic =
        bed.topic(1, &[("segment.bytes", "1048576"), ("retention.bytes", "1000000"), ("retention.ms", "-1")]);
    for number in 0..20 {
        let sent = batch([record("x".repeat(300_000))]).at(1_000 * (1 + i64::from(number)));
        append(client, &topic, &sent.of_producer(id, 0, number));
    }
    let start = wait_for("retention has been there", PATIENCE, || {
        let start = list_offset(client, &topic.name, 0, -2).offset;
        (12 < start).then_some(start)
    });
    (topic, start)
}

#[test]
fn what_retention_took_is_out_of_range() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.retention.check.interval.ms", 20));
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let (topic, start) = thinned(&bed, &mut client, id);
    for version in [4, 12, 13, 18] {
        for gone in [0, start - 1] {
            let row = fetch(&mut client, version, &topic, 0, gone);
            assert_eq!((row.error_code, row.high_watermark), (1, -1), "offset {gone}, v{version}");
            assert_eq!(row.records, Records::EMPTY);
        }
        let row = fetch(&mut client, version, &topic, 0, start);
        assert_eq!((row.error_code, row.high_watermark), (0, 20), "v{version}");
        assert_eq!(row.log_start_offset, if version < 5 { -1 } else { start }, "v{version}");
        assert_eq!(read_records(&records_of(&row))[0].offset, start, "v{version}");
    }
    // Times before the start find the first record that is left; the largest is where it was.
    for (timestamp, offset, found) in [
        (-2, start, -1),
        (-4, start, -1),
        (0, start, 1_000 * (1 + start)),
        (5_000, start, 1_000 * (1 + start)),
        (-3, 19, 20_000),
        (-1, 20, -1),
    ] {
        let row = list_offset(&mut client, &topic.name, 0, timestamp);
        assert_eq!((row.error_code, row.offset, row.timestamp), (0, offset, found), "{timestamp}");
    }
    // Producers are told where the log begins, with a success and with an error of the log.
    let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).of_producer(id, 0, 99).to_bytes());
    assert_eq!((row.error_code, row.log_start_offset), (45, start));
    let row = produce(&mut client, PRODUCE, &topic, 0, counted(1).of_producer(id, 0, 20).to_bytes());
    assert_eq!((row.error_code, row.base_offset, row.log_start_offset), (0, 20, start));
}

#[test]
fn an_empty_log_goes_on_where_it_ended() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.retention.check.interval.ms", 20));
    let mut client = bed.client();
    // Everything is older than that.
    let topic = bed.topic(1, &[("retention.ms", "1000")]);
    append(&mut client, &topic, &counted(5).at(1_000));
    wait_for("all has expired", PATIENCE, || {
        (list_offset(&mut client, &topic.name, 0, -2).offset == 5).then_some(())
    });
    assert_eq!(fetch(&mut client, FETCH, &topic, 0, 4).error_code, 1);
    let row = fetch(&mut client, FETCH, &topic, 0, 5);
    assert_eq!((row.error_code, row.high_watermark, row.log_start_offset), (0, 5, 5));
    for timestamp in [0, -3] {
        assert_eq!(list_offset(&mut client, &topic.name, 0, timestamp).offset, -1, "{timestamp}");
    }
    assert_eq!(append(&mut client, &topic, &counted(1).at(crate::bed::now_ms())), 5);
}
