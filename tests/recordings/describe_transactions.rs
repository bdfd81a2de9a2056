//! DescribeTransactions: where transactional ids stand.

use ottla_protocol::api::describe_transactions::DescribeTransactionsRequest;
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::wire::Str;

use crate::groups::transactional;
use crate::player::Player;

crate::scripts![states, what_is_not_there];

fn asked(ids: &[&Str]) -> DescribeTransactionsRequest {
    DescribeTransactionsRequest { transactional_ids: ids.iter().map(|id| (*id).clone()).collect() }
}

fn states(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    let producer = transactional(play, "id");
    play.every("empty", |_| asked(&[&producer.id]));
    producer.begin(play, &topic, 2);
    producer.begin(play, &topic, 0);
    play.every("ongoing", |_| asked(&[&producer.id]));
    let end = EndTxnRequest {
        transactional_id: producer.id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        committed: true,
    };
    assert_eq!(play.quietly(4, &end).error_code, 0);
    play.wait_until(4, "it has ended", &end, |response| response.error_code == 0);
    play.every("complete", |_| asked(&[&producer.id]));
}

fn what_is_not_there(play: &mut Player) {
    let producer = transactional(play, "id");
    let absent = play.name("absent");
    play.every("an id that isn't there", |_| asked(&[&absent]));
    play.every("an empty id", |_| asked(&[&Str::EMPTY]));
    play.every("two, and one twice", |_| asked(&[&absent, &producer.id, &producer.id]));
    play.every("none", |_| asked(&[]));
}
