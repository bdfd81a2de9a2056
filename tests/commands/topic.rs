//! `ottla topic`.

use crate::bed::{Bed, fresh_name};

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let bed = Bed::new();
    let listed = bed.ottla("topic list").run();
    assert_eq!((listed.code, listed.output.as_str()), (Some(0), ""));
    assert!(listed.said.contains("topic create"), "{listed:?}");
    let created = bed.ottla("topic create orders --partitions 3 --config retention.ms=1000").expect_success();
    assert_eq!(created, "created orders with 3 partitions\n");
    assert_eq!(bed.ottla("topic create log").expect_success(), "created log with 1 partition\n");
    let listed = bed.ottla("topic list").expect_success();
    assert_eq!(listed, "NAME    PARTITIONS\nlog              1\norders           3\n");
    bed.ottla("produce orders --partition 1").input("a\nb\n").expect_success();
    let described = bed.ottla("topic describe orders").expect_success();
    let lines: Vec<&str> = described.lines().collect();
    assert_eq!(lines[0], "topic       orders");
    assert!(lines[1].starts_with("id          ") && lines[1].len() == 34, "{described}");
    assert_eq!(lines[2..5], ["partitions  3", "config      retention.ms=1000", ""]);
    assert_eq!(lines[5], "PARTITION  LEADER  EPOCH  REPLICAS  IN-SYNC  START  END  OFFSETS  BYTES");
    let cells: Vec<&str> = lines[7].split_whitespace().collect();
    assert_eq!((cells[0], &cells[5..8]), ("1", ["0", "2", "2"].as_slice()));
    assert!((70..200).contains(&cells[8].parse().expect("a size")), "{described}");
    assert_eq!(lines.len(), 9);
    let all = bed.ottla("topic describe orders --configs").expect_success();
    assert!(all.contains("config      cleanup.policy=delete\n"), "{all}");
    assert_eq!(bed.ottla("topic delete log orders").expect_success(), "deleted log\ndeleted orders\n");
    assert_eq!(bed.ottla("topic list").run().output, "");
}

#[test]
fn json_says_the_same() {
    let bed = Bed::new();
    let json = |words: &str| {
        let text = bed.ottla(words).expect_success();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let created = json("topic create orders --partitions 2 --json");
    assert_eq!((&created["name"], &created["partitions"]), (&"orders".into(), &2.into()));
    assert_eq!(created["id"].as_str().expect("an id").len(), 22);
    let listed = json("topic list --json");
    assert_eq!(listed[0]["name"], "orders");
    assert_eq!(listed[0]["id"], created["id"]);
    let described = json("topic describe orders --json");
    assert_eq!(described["partitions"][1]["end_offset"], 0);
    assert_eq!(described["partitions"].as_array().expect("partitions").len(), 2);
    assert_eq!(json("topic delete orders --json")["deleted"][0], "orders");
    assert_eq!(json("topic list --json").as_array().expect("none").len(), 0);
}

#[test]
fn what_can_not_be_created_or_deleted_says_why() {
    let bed = Bed::shared();
    let name = bed.topic(1);
    bed.ottla(&format!("topic create {name}")).expect_failure(1, &["exists already", "topic describe"]);
    bed.ottla("topic create bad/name").expect_failure(1, &["bad/name"]);
    let missing = fresh_name();
    bed.ottla(&format!("topic create {missing} --config no.such=1")).expect_failure(1, &["no.such"]);
    bed.ottla(&format!("topic create {missing} --config retention.ms=soon"))
        .expect_failure(1, &["retention.ms"]);
    bed.ottla(&format!("topic create {missing} --partitions 0")).expect_failure(2, &["--partitions"]);
    bed.ottla(&format!("topic create {missing} --config retention.ms")).expect_failure(2, &["KEY=VALUE"]);
    bed.ottla("topic create").expect_failure(2, &["<NAME>"]);
    let absent = format!("absent-{missing}");
    bed.ottla(&format!("topic describe {absent}")).expect_failure(1, &["there is no topic", "topic create"]);
    // What there is goes all the same.
    let ended = bed.ottla(&format!("topic delete {absent} {name}")).run();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.output, format!("deleted {name}\n"));
    assert!(ended.said.contains(&absent), "{ended:?}");
}
