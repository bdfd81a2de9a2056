//! ListTransactions: all ids, and what each filter lets through.

use ottla_protocol::api::list_transactions::ListTransactionsRequest;
use ottla_protocol::wire::Str;

use crate::bed::Bed;
use crate::check::Checks;
use crate::transactional::Producer;

/// The states of these producers that an answer has, in their order.
fn listed(
    one: &mut Producer,
    ids: &[Str],
    version: i16,
    request: &ListTransactionsRequest,
) -> Vec<Option<Str>> {
    let response = one.client.request(version, request);
    assert_eq!(response.error_code, 0);
    let row = |id: &Str| {
        let row = response.transaction_states.iter().find(|row| row.transactional_id == *id)?;
        Some(row.transaction_state.clone())
    };
    ids.iter().map(row).collect()
}

#[test]
fn filters_let_through_what_passes_all_of_them() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let (mut empty, mut ongoing) = (Producer::new(&bed), Producer::new(&bed));
    assert_eq!(ongoing.add(3, &[(&topic, 0)]), [0]);
    let ids = [empty.transactional_id.clone(), ongoing.transactional_id.clone()];
    let all = ListTransactionsRequest::default();
    let strs = |names: &[&'static str]| names.iter().map(|name| Str::from(*name)).collect::<Vec<_>>();
    let with_states =
        |names: &[&'static str]| ListTransactionsRequest { state_filters: strs(names), ..all.clone() };
    let with_pattern = |pattern: String| ListTransactionsRequest {
        transactional_id_pattern: Some(Str::from(pattern)),
        ..all.clone()
    };
    let mut checks = Checks::new();
    for (name, version, request, expected) in [
        ("all", 0, all.clone(), ["Empty", "Ongoing"]),
        ("all", 1, all.clone(), ["Empty", "Ongoing"]),
        ("all", 2, all.clone(), ["Empty", "Ongoing"]),
        ("a state", 0, with_states(&["Ongoing"]), ["", "Ongoing"]),
        ("two states", 0, with_states(&["Ongoing", "Empty"]), ["Empty", "Ongoing"]),
        ("a state in lower case", 0, with_states(&["ongoing"]), ["", ""]),
        (
            "a producer",
            0,
            ListTransactionsRequest { producer_id_filters: vec![empty.id], ..all.clone() },
            ["Empty", ""],
        ),
        // What never began counts as old.
        ("a duration", 1, ListTransactionsRequest { duration_filter: 100_000, ..all.clone() }, ["Empty", ""]),
        (
            "no duration",
            1,
            ListTransactionsRequest { duration_filter: -5, ..all.clone() },
            ["Empty", "Ongoing"],
        ),
        ("an id", 2, with_pattern(ids[1].to_string()), ["", "Ongoing"]),
        ("part of an id", 2, with_pattern(ids[1][1..].to_owned()), ["", ""]),
        ("the end of an id", 2, with_pattern(format!(".*{}", &ids[1][1..])), ["", "Ongoing"]),
        ("no pattern", 2, with_pattern(String::new()), ["Empty", "Ongoing"]),
    ] {
        let expected = expected.map(|state| (!state.is_empty()).then(|| Str::from(state)));
        checks.same(name, listed(&mut empty, &ids, version, &request), expected.to_vec());
    }
}

#[test]
fn unknown_states_are_sent_back_and_a_bad_pattern_is_refused() {
    let bed = Bed::shared();
    let mut producer = Producer::new(&bed);
    let request = ListTransactionsRequest {
        state_filters: ["ongoing", "Ongoing", "Nonsense"].map(Str::from).to_vec(),
        ..ListTransactionsRequest::default()
    };
    let response = producer.client.request(0, &request);
    let mut unknown = response.unknown_state_filters;
    unknown.sort();
    assert_eq!(unknown, ["Nonsense", "ongoing"].map(Str::from));

    let request = ListTransactionsRequest {
        transactional_id_pattern: Some(Str::from("(")),
        ..ListTransactionsRequest::default()
    };
    let response = producer.client.request(2, &request);
    assert_eq!((response.error_code, response.transaction_states.len()), (128, 0));
}
