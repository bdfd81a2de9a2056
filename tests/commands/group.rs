//! `ottla group`.

use ottla_testkit::members::{ClassicMember, ConsumerMember};
use serde_json::Value;

use crate::bed::{Bed, fresh_name};

fn json(bed: &Bed, words: &str) -> Value {
    let text = bed.ottla(words).expect_success();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// What is committed in each partition, `-` where nothing is.
fn committed(bed: &Bed, group: &str) -> Vec<String> {
    let described = json(bed, &format!("group describe {group} --json"));
    let rows = described["offsets"].as_array().expect("rows").iter();
    rows.map(|row| row["committed_offset"].to_string().replace("null", "-")).collect()
}

#[test]
fn groups_are_reset_described_listed_and_deleted() {
    let bed = Bed::new();
    let listed = bed.ottla("group list").run();
    assert_eq!((listed.code, listed.output.as_str()), (Some(0), ""));
    assert!(listed.said.contains("there are no groups"), "{listed:?}");
    bed.ottla("topic create orders --partitions 2").expect_success();
    bed.ottla("produce orders --partition 1").input("a\nb\nc\n").expect_success();
    let reset = bed.ottla("group reset readers --to earliest --topic orders --new").expect_success();
    let expected = "TOPIC   PARTITION  BEFORE  AFTER\norders          0       -      0\norders          1       -      0\n";
    assert_eq!(reset, expected);
    let listed = bed.ottla("group list").expect_success();
    let expected =
        "GROUP    STATE  TYPE     PROTOCOL  COORDINATOR\nreaders  Empty  classic         -            1\n";
    assert_eq!(listed, expected);
    let described = bed.ottla("group describe readers").expect_success();
    let lines: Vec<&str> = described.lines().collect();
    assert_eq!(lines[..2], ["group        readers", "state        Empty"]);
    assert_eq!(lines[6..9], ["members      0", "lag          3", ""]);
    assert_eq!(lines[9], "TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER");
    assert_eq!(lines[11], "orders          1          0    3    3       -");
    assert_eq!(lines.len(), 12);
    let deleted = bed.ottla("group delete readers --topic orders:0").expect_success();
    assert_eq!(deleted, "deleted what readers has committed for orders-0\n");
    assert_eq!(committed(&bed, "readers"), ["0"]);
    assert_eq!(bed.ottla("group delete readers").expect_success(), "deleted readers\n");
    assert_eq!(bed.ottla("group list").run().output, "");
}

#[test]
fn a_group_goes_on_where_it_is_told() {
    let bed = Bed::shared();
    let topic = bed.topic(2);
    for partition in [0, 1] {
        let produce = bed.ottla(&format!("produce {topic} --partition {partition}"));
        produce.input("a\nb\nc\nd\n").expect_success();
    }
    let group = fresh_name();
    let check = |words: &str, expected: [&str; 2]| {
        bed.ottla(&format!("group reset {group} {words}")).run();
        assert_eq!(committed(&bed, &group), expected, "{words}");
    };
    check(&format!("--to end --topic {topic} --new"), ["4", "4"]);
    check("--to beginning", ["0", "0"]);
    check("--to 3", ["3", "3"]);
    check("--shift -1", ["2", "2"]);
    check(&format!("--shift +1 --topic {topic}:1"), ["2", "3"]);
    check("--to -1", ["3", "3"]);
    check("--to -15m", ["0", "0"]);
    check("--to latest --dry-run", ["0", "0"]);
    check(&format!("--to 2026-01-01 --topic {topic}:0"), ["0", "0"]);
    check(&format!("--to 2 --topic {topic}:0,1"), ["2", "2"]);
    check("--to 99", ["4", "4"]);
    check("--shift -99", ["0", "0"]);
    let dry = bed.ottla(&format!("group reset {group} --to 99 --dry-run")).run();
    assert_eq!(dry.code, Some(0));
    assert!(dry.said.contains("nothing was changed") && dry.said.contains("beyond an end"), "{dry:?}");
    let reset = json(&bed, &format!("group reset {group} --to 99 --json"));
    let first = &reset["offsets"][0];
    assert_eq!((&first["before"], &first["after"], &first["cut"]), (&0.into(), &4.into(), &true.into()));
    // Nothing was committed for the partitions that a topic gets later.
    bed.ottla(&format!("topic alter {topic} --partitions 3")).expect_success();
    bed.ottla(&format!("group reset {group} --shift 1 --topic {topic}"))
        .expect_failure(1, &["nothing is committed", "--to"]);
}

#[test]
fn members_are_shown_and_keep_their_group() {
    let bed = Bed::shared();
    let topic = bed.topic_with(2, "a\nb\n");
    let classic = fresh_name();
    let member = ClassicMember::join(bed.broker.address(), &classic, &[(&topic, &[0, 1])]);
    check_members(&bed, &classic, &topic, "classic-client", "classic");
    member.leave();
    let consumer = fresh_name();
    let member = ConsumerMember::join(bed.broker.address(), &consumer, "member-1", &[&topic], 2);
    check_members(&bed, &consumer, &topic, "consumer-client", "consumer");
    let listed = bed.ottla("group list --type CONSUMER --state stable").expect_success();
    assert!(listed.contains(&consumer) && !listed.contains(&classic), "{listed}");
    member.leave();
    bed.ottla(&format!("group delete {classic} {consumer}")).expect_success();
}

fn check_members(bed: &Bed, group: &str, topic: &str, client: &str, kind: &str) {
    let described = json(bed, &format!("group describe {group} --json"));
    assert_eq!((&described["state"], &described["type"]), (&"Stable".into(), &kind.into()), "{described}");
    let member = &described["members"][0];
    assert_eq!((&member["client_id"], &member["protocol"]), (&client.into(), &kind.into()));
    assert_eq!(member["assignment"][topic], serde_json::json!([0, 1]), "{described}");
    assert_eq!(described["offsets"][1]["member"], member["member"]);
    let shown = bed.ottla(&format!("group describe {group}")).expect_success();
    assert!(shown.contains(&format!("{topic}:0,1")) && shown.contains(client), "{shown}");
    for words in ["group delete", "group reset --to earliest"] {
        bed.ottla(&format!("{words} {group}")).expect_failure(1, &["has members", "group describe"]);
    }
    bed.ottla(&format!("group delete {group} --topic {topic}"))
        .expect_failure(1, &["subscribed", "group describe"]);
}

#[test]
fn mistakes_are_told() {
    let bed = Bed::shared();
    let topic = bed.topic(1);
    let missing = format!("absent-{}", fresh_name());
    for words in ["group describe", "group delete", "group reset --to earliest"] {
        bed.ottla(&format!("{words} {missing}")).expect_failure(1, &["there is no group", &missing]);
    }
    bed.ottla(&format!("group reset {missing} --to earliest")).expect_failure(1, &["--new"]);
    bed.ottla(&format!("group reset {missing} --to earliest --new")).expect_failure(1, &["--topic"]);
    bed.ottla(&format!("group reset {missing} --to earliest --new --topic {topic}:7"))
        .expect_failure(1, &["no partition 7", "it has 1"]);
    bed.ottla(&format!("group reset {missing} --to earliest --new --topic {missing}"))
        .expect_failure(1, &["there is no topic"]);
    bed.ottla(&format!("group reset {missing}")).expect_failure(2, &["--to", "--shift"]);
    bed.ottla(&format!("group reset {missing} --to 1 --shift 1")).expect_failure(2, &["--shift"]);
    bed.ottla(&format!("group reset {missing} --to soon")).expect_failure(2, &["expected beginning"]);
    bed.ottla(&format!("group reset {missing} --shift x")).expect_failure(2, &["--shift"]);
    bed.ottla(&format!("group reset {missing} --to 1 --topic t:x")).expect_failure(2, &["TOPIC:N,N"]);
    bed.ottla("group list --state resting").expect_failure(2, &["Stable"]);
    bed.ottla("group list --type raft").expect_failure(2, &["classic"]);
    bed.ottla("group describe").expect_failure(2, &["<GROUP>"]);
    // What can be deleted goes all the same.
    let group = fresh_name();
    bed.ottla(&format!("group reset {group} --to earliest --new --topic {topic}")).expect_success();
    let ended = bed.ottla(&format!("group delete {missing} {group}")).run();
    assert_eq!((ended.code, ended.output), (Some(1), format!("deleted {group}\n")));
    let near = fresh_name();
    bed.ottla(&format!("group reset {near}-readers --to earliest --new --topic {topic}")).expect_success();
    bed.ottla(&format!("group describe {near}-raeders")).expect_failure(1, &["did you mean", "-readers?"]);
}
