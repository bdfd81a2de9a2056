//! `ottla txn`.

use ottla_testkit::members::OpenTransaction;
use serde_json::Value;

use crate::bed::{Bed, fresh_name, wait_for};

fn json(bed: &Bed, words: &str) -> Value {
    let text = bed.ottla(words).expect_success();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn transactions_are_listed_described_and_aborted() {
    let bed = Bed::new();
    let listed = bed.ottla("txn list").run();
    assert_eq!((listed.code, listed.output.as_str()), (Some(0), ""));
    assert!(listed.said.contains("there are no transactional ids"), "{listed:?}");
    bed.ottla("topic create orders --partitions 2").expect_success();
    let transaction = OpenTransaction::begin(bed.broker.address(), "payments-1", "orders", 1);
    let listed = bed.ottla("txn list --state ongoing").expect_success();
    let mut lines = listed.lines();
    assert_eq!(lines.next(), Some("ID          STATE    PRODUCER  COORDINATOR"));
    let cells: Vec<&str> = lines.next().expect("a row").split_whitespace().collect();
    assert_eq!(cells, ["payments-1", "Ongoing", &transaction.producer_id.to_string(), "1"]);
    assert_eq!(bed.ottla("txn list --longer-than 1h").run().output, "");
    let described = bed.ottla("txn describe payments-1").expect_success();
    for line in ["id           payments-1", "state        Ongoing", "partition    orders-1"] {
        assert!(described.lines().any(|it| it == line), "{described}");
    }
    assert!(described.contains(" s ago"), "{described}");
    let told = json(&bed, "txn describe payments-1 --json");
    assert_eq!(told[0]["partitions"][0]["topic"], "orders");
    assert_eq!(json(&bed, "txn list --json")[0]["transactional_id"], "payments-1");

    let dry = bed.ottla("txn abort payments-1 --dry-run").expect_success();
    assert!(dry.starts_with("would abort the transaction of payments-1 in 1 partition"), "{dry}");
    let done = bed.ottla("txn abort payments-1").expect_success();
    assert!(done.starts_with("aborted the transaction of payments-1 in 1 partition"), "{done}");
    wait_for("the transaction is aborted", || {
        let state = json(&bed, "txn describe payments-1 --json")[0]["state"].as_str().map(str::to_owned);
        state.filter(|state| state != "Ongoing" && !state.starts_with("Prepare"))
    });
    assert_ne!(transaction.end(true), 0, "its producer can't go on");
    bed.ottla("txn abort payments-1").expect_failure(1, &["no open transaction", "nothing to abort"]);
    bed.ottla("txn describe paymnets-1").expect_failure(1, &["did you mean payments-1?"]);
}

#[test]
fn a_transaction_that_hangs_is_aborted_in_its_partition() {
    let bed = Bed::shared();
    let (topic, id) = (bed.topic(1), fresh_name());
    let nothing = format!("txn abort --topic {topic} --partition 0");
    bed.ottla(&nothing).expect_failure(1, &["no transaction is open"]);
    let transaction = OpenTransaction::begin(bed.broker.address(), &id, &topic, 0);
    let other = OpenTransaction::begin(bed.broker.address(), &fresh_name(), &topic, 0);
    bed.ottla(&nothing).expect_failure(1, &["several transactions", "--producer-id"]);
    bed.ottla(&format!("{nothing} --producer-id 987654321")).expect_failure(1, &["no open transaction"]);
    let one = format!("{nothing} --producer-id {}", transaction.producer_id);
    assert!(bed.ottla(&format!("{one} --dry-run")).expect_success().starts_with("would abort"));
    let done = json(&bed, &format!("{one} --json"));
    assert_eq!((&done["start_offset"], &done["dry_run"]), (&0.into(), &false.into()));
    let done = bed.ottla(&nothing).expect_success();
    assert!(done.starts_with("aborted the transaction from offset 3 on"), "{done}");
    drop(other);
    bed.ottla(&nothing).expect_failure(1, &["no transaction is open"]);
}

#[test]
fn mistakes_are_told() {
    let bed = Bed::shared();
    let missing = format!("absent-{}", fresh_name());
    bed.ottla(&format!("txn describe {missing}")).expect_failure(1, &["there is no transactional id"]);
    bed.ottla(&format!("txn abort {missing}")).expect_failure(1, &["there is no transactional id"]);
    bed.ottla(&format!("txn abort --topic {missing} --partition 0"))
        .expect_failure(1, &["there is no topic"]);
    bed.ottla("txn abort --topic t").expect_failure(2, &["--partition"]);
    bed.ottla("txn abort").expect_failure(2, &["--topic"]);
    bed.ottla("txn abort x --topic t --partition 0").expect_failure(2, &["--topic"]);
    bed.ottla("txn list --state resting").expect_failure(2, &["Ongoing"]);
    bed.ottla("txn list --longer-than 5").expect_failure(2, &["15m"]);
    bed.ottla("txn describe").expect_failure(2, &["<ID>"]);
}
