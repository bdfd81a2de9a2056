//! ListTransactions: which transactional ids there are.

use ottla_protocol::api::list_transactions::ListTransactionsRequest;
use ottla_protocol::wire::Str;

use crate::groups::transactional;
use crate::player::Player;

crate::scripts![ids];

fn ids(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let _empty = transactional(play, "empty");
    let ongoing = transactional(play, "ongoing");
    ongoing.begin(play, &topic, 0);
    play.own().every("all", |_| ListTransactionsRequest::default());
    for states in [&["Ongoing"][..], &["Empty", "Ongoing"], &["ongoing"], &["Nonsense", "Empty"], &[""]] {
        play.own().every(&format!("states {states:?}"), |_| ListTransactionsRequest {
            state_filters: states.iter().copied().map(Str::from).collect(),
            ..ListTransactionsRequest::default()
        });
    }
    for (step, producer_id) in
        [("a producer", ongoing.producer_id), ("a producer that isn't there", 9_999_999)]
    {
        play.own().every(step, |_| ListTransactionsRequest {
            producer_id_filters: vec![producer_id],
            ..ListTransactionsRequest::default()
        });
    }
    for duration_filter in [0, 3_600_000, -5] {
        play.own().at(1..=2, &format!("longer than {duration_filter}"), |_| ListTransactionsRequest {
            duration_filter,
            ..ListTransactionsRequest::default()
        });
    }
    for pattern in ["", ".*ongoing", "ongoing", "["] {
        play.own().at([2], &format!("pattern {pattern:?}"), |_| ListTransactionsRequest {
            transactional_id_pattern: Some(Str::from(pattern)),
            ..ListTransactionsRequest::default()
        });
    }
}
