//! DescribeTransactions and ListTransactions.

use super::*;

#[test]
fn an_id_that_is_empty_or_unknown_is_not_described() {
    check("show - => INVALID_REQUEST\n show x => TRANSACTIONAL_ID_NOT_FOUND");
}

const THREE: &str = "init x => 0/0
     init y => 1/0
     init z => 2/0
     add1 y 1/0 a-0
     add1 z 2/0 a-0
     pass 5s
     commit1 z 2/0 => 2/0; markers commit 2/0 a-0\n";

#[test]
fn every_transaction_is_listed_by_its_id() {
    check(&format!("{THREE} list => x 0 Empty, y 1 Ongoing, z 2 PrepareCommit"));
}

#[test]
fn filters_let_through_what_passes_all_of_them() {
    for (filter, expected) in [
        ("states=Ongoing", "y 1 Ongoing"),
        ("states=Ongoing,Empty", "x 0 Empty, y 1 Ongoing"),
        ("states=ongoing", "nothing"),
        ("states=Nonsense", "nothing"),
        ("ids=0,2", "x 0 Empty, z 2 PrepareCommit"),
        ("ids=9", "nothing"),
        ("ids=0 states=Ongoing", "nothing"),
        ("for=4s", "x 0 Empty, y 1 Ongoing, z 2 PrepareCommit"),
        ("for=5s", "x 0 Empty"),
        ("for=0s", "x 0 Empty, y 1 Ongoing, z 2 PrepareCommit"),
    ] {
        check(&format!("{THREE} list {filter} => {expected}"));
    }
}
