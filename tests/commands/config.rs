//! `ottla config` and `ottla topic alter`.

use crate::bed::{Bed, fresh_name};

#[test]
fn a_topics_configs_are_set_shown_and_deleted() {
    let bed = Bed::shared();
    let name = bed.topic(1);
    let described =
        bed.ottla(&format!("config describe --topic {name} retention.ms cleanup.policy")).expect_success();
    let expected = "KEY             VALUE      SOURCE\ncleanup.policy  delete     default\nretention.ms    604800000  default\n";
    assert_eq!(described, expected);
    let set =
        bed.ottla(&format!("config set --topic {name} retention.ms=1234 --append cleanup.policy=compact"));
    assert_eq!(set.expect_success(), "appended compact to cleanup.policy\nset retention.ms=1234\n");
    let described = bed.ottla(&format!("config describe --topic {name}")).expect_success();
    assert!(described.contains("cleanup.policy       delete,compact  topic\n"), "{described}");
    assert!(described.contains("retention.ms         1234            topic\n"), "{described}");
    let back = bed.ottla(&format!("config set --topic {name} --subtract cleanup.policy=compact"));
    assert_eq!(back.expect_success(), "subtracted compact from cleanup.policy\n");
    let deleted = bed.ottla(&format!("config delete --topic {name} retention.ms cleanup.policy"));
    assert_eq!(deleted.expect_success(), "deleted cleanup.policy\ndeleted retention.ms\n");
    let all = bed.ottla(&format!("config describe --topic {name} --all")).expect_success();
    assert!(all.lines().count() > 30 && !all.contains("  topic\n"), "{all}");
}

#[test]
fn a_change_can_be_tried() {
    let bed = Bed::shared();
    let name = bed.topic(1);
    let tried = bed.ottla(&format!("config set --topic {name} flush.ms=5 --dry-run")).expect_success();
    assert_eq!(tried, "flush.ms can be set to 5\n");
    let tried = bed
        .ottla(&format!("topic alter {name} --partitions 4 --config flush.ms=5 --dry-run"))
        .expect_success();
    assert_eq!(tried, format!("flush.ms can be set to 5\n{name} can have 4 partitions\n"));
    let described = bed.ottla(&format!("topic describe {name}")).expect_success();
    assert!(described.contains("partitions  1\n") && !described.contains("flush.ms"), "{described}");
}

#[test]
fn brokers_configs_reach_their_topics() {
    let bed = Bed::new();
    let name = bed.topic(1);
    let of_topic = || {
        let text = bed.ottla(&format!("config describe --topic {name} segment.bytes")).expect_success();
        text.lines().last().expect("a row").split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        bed.ottla("config set --brokers log.segment.bytes=2000000").expect_success(),
        "set log.segment.bytes=2000000\n"
    );
    assert_eq!(of_topic(), "2000000 brokers");
    bed.ottla("config set --broker 1 log.segment.bytes=3000000").expect_success();
    assert_eq!(of_topic(), "3000000 broker");
    let described = bed.ottla("config describe --brokers").expect_success();
    assert!(described.contains("log.segment.bytes    2000000  brokers\n"), "{described}");
    bed.ottla("config delete --broker 1 log.segment.bytes").expect_success();
    bed.ottla("config delete --brokers log.segment.bytes").expect_success();
    assert_eq!(of_topic(), "1073741824 default");
    bed.ottla("config set --broker 1 my.plugin=x").expect_failure(1, &["my.plugin", "broker 1"]);
    bed.ottla("config set --broker 1 my.plugin=x --force").expect_success();
    let described = bed.ottla("config describe --broker 1 my.plugin").expect_success();
    assert!(described.contains("(kept back)"), "{described}");
}

#[test]
fn groups_have_configs_before_they_are_there() {
    let bed = Bed::shared();
    bed.ottla("config set --group readers consumer.session.timeout.ms=50000").expect_success();
    let described = bed.ottla("config describe --group readers").expect_success();
    assert!(described.contains("consumer.session.timeout.ms  50000  group\n"), "{described}");
    bed.ottla("config delete --group readers consumer.session.timeout.ms").expect_success();
}

#[test]
fn topics_are_altered_whole_or_not_at_all() {
    let bed = Bed::shared();
    let name = bed.topic(2);
    bed.ottla(&format!("produce {name}")).input("a\nb\n").expect_success();
    let altered =
        bed.ottla(&format!("topic alter {name} --partitions 3 --config retention.ms=5 --config flush.ms=7"));
    assert_eq!(
        altered.expect_success(),
        format!("set flush.ms=7\nset retention.ms=5\n{name} has 3 partitions\n")
    );
    let altered = bed.ottla(&format!("topic alter {name} --delete-config flush.ms")).expect_success();
    assert_eq!(altered, "deleted flush.ms\n");
    bed.ottla(&format!("topic alter {name} --partitions 3 --config retention.ms=9"))
        .expect_failure(1, &["has 3 partitions", "only grow"]);
    bed.ottla(&format!("topic alter {name} --partitions 4 --config retention.ms=soon"))
        .expect_failure(1, &["retention.ms", "soon"]);
    let described = bed.ottla(&format!("topic describe {name}")).expect_success();
    assert!(described.contains("partitions  3\nconfig      retention.ms=5\n\n"), "{described}");
}

#[test]
fn json_says_the_same() {
    let bed = Bed::shared();
    let name = bed.topic(1);
    let json = |words: String| {
        let text = bed.ottla(&words).expect_success();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let set = json(format!("config set --topic {name} retention.ms=5 --json"));
    assert_eq!((&set["changed"][0], &set["dry_run"]), (&"retention.ms".into(), &false.into()));
    let described = json(format!("config describe --topic {name} retention.ms --json"));
    let entry = &described["retention.ms"];
    assert_eq!(
        (&entry["value"], &entry["source"], &entry["read_only"]),
        (&"5".into(), &"topic".into(), &false.into())
    );
    let altered = json(format!("topic alter {name} --partitions 2 --json"));
    assert_eq!((&altered["name"], &altered["partitions"]), (&name.as_str().into(), &2.into()));
    let deleted = json(format!("config delete --topic {name} retention.ms --json"));
    assert_eq!(deleted["changed"][0], "retention.ms");
}

#[test]
fn what_can_not_be_set_says_why() {
    let bed = Bed::shared();
    let name = bed.topic(1);
    let missing = fresh_name();
    for (words, says) in [
        (
            format!("config set --topic {name} retention.mss=5"),
            ["retention.mss", "did you mean retention.ms"],
        ),
        (format!("config set --topic {name} retention.ms=soon"), ["retention.ms", "soon"]),
        (format!("config set --topic {name} --append flush.ms=5"), ["flush.ms", "no list"]),
        (format!("config describe --topic {name} no.such.config"), ["no.such.config", "--all"]),
        (format!("config delete --topic {name} retention.mss"), ["retention.mss", "did you mean"]),
        (format!("config set --topic {missing} retention.ms=5"), [missing.as_str(), "there is no topic"]),
        (format!("config describe --topic {missing}"), [missing.as_str(), "there is no topic"]),
        ("config set --broker 7 log.retention.ms=5".to_owned(), ["no broker 7", "it has 1"]),
        ("config describe --broker 7".to_owned(), ["no broker 7", "it has 1"]),
        ("config set --broker 1 num.partitions=5".to_owned(), ["num.partitions", "start the broker again"]),
        ("config set --brokers log.retention.mss=5".to_owned(), ["log.retention.mss", "did you mean"]),
        (format!("topic alter {missing} --partitions 5"), [missing.as_str(), "there is no topic"]),
        (format!("topic alter {missing} --config flush.ms=5"), [missing.as_str(), "there is no topic"]),
        (format!("topic alter {name} --config no.such=5"), ["no.such", "Unknown topic config"]),
    ] {
        bed.ottla(&words).expect_failure(1, &says);
    }
}
