//! The partitions that a command line names: `TOPIC` with all that it has, or `TOPIC:0,3`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::Client;
use ottla_protocol::types::PartitionIndex;

use crate::Failure;
use crate::cluster::topic_view;

/// A topic, and those of its partitions that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicPlaces {
    topic: String,
    /// All of them, if none is named.
    partitions: Vec<i32>,
}

/// Reads `TOPIC` or `TOPIC:0,3`. No topic has a colon in its name.
pub(super) fn parse_topic_places(text: &str) -> Result<TopicPlaces, String> {
    let wrong = || "expected TOPIC or TOPIC:N,N with the numbers of partitions, as in orders:0,3".to_owned();
    let (topic, numbers) = text.split_once(':').map_or((text, None), |(topic, rest)| (topic, Some(rest)));
    if topic.is_empty() {
        return Err(wrong());
    }
    let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
    let partitions: Option<Vec<i32>> = match numbers {
        None => Some(Vec::new()),
        Some(numbers) => numbers.split(',').map(number).collect(),
    };
    Ok(TopicPlaces { topic: topic.to_owned(), partitions: partitions.ok_or_else(wrong)? })
}

/// Every partition that is meant. Each has to be there.
pub(super) async fn partitions_of(
    client: &Client,
    places: &[TopicPlaces],
) -> Result<BTreeSet<(String, PartitionIndex)>, Failure> {
    let mut found = BTreeSet::new();
    for TopicPlaces { topic, partitions } in places {
        let there: BTreeMap<PartitionIndex, _> = topic_view(client, topic).await?.partitions;
        let named = partitions.iter().copied().map(PartitionIndex);
        if let Some(missing) = named.clone().find(|index| !there.contains_key(index)) {
            return Err(Failure::Failed(format!(
                "topic {topic:?} has no partition {missing}; it has {}, numbered from 0",
                there.len()
            )));
        }
        let meant: Vec<PartitionIndex> =
            if partitions.is_empty() { there.into_keys().collect() } else { named.collect() };
        found.extend(meant.into_iter().map(|index| (topic.clone(), index)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions_are_read() {
        let check = |text, topic: &str, partitions: &[i32]| {
            let expected = TopicPlaces { topic: topic.to_owned(), partitions: partitions.to_vec() };
            assert_eq!(parse_topic_places(text), Ok(expected), "{text}");
        };
        check("orders", "orders", &[]);
        check("orders:0", "orders", &[0]);
        check("a.b-c:3,0", "a.b-c", &[3, 0]);
        for wrong in ["", ":1", "t:", "t:x", "t:-1", "t:1,", "t:1:2", "t:99999999999"] {
            assert!(parse_topic_places(wrong).is_err(), "{wrong}");
        }
    }
}
