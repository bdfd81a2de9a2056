//! Giving topics more partitions.

use std::collections::BTreeMap;

use ottla_protocol::api::create_partitions::{self, CreatePartitionsRequest, CreatePartitionsRequestTopic};
use ottla_protocol::wire::Str;

use super::Admin;
use super::topics::unless_unknown;
use super::tries::{Outcomes, Tries, outcome_of};

impl Admin {
    /// Gives each topic so many partitions in all; the brokers say where the new ones go. With `validate_only` it only
    /// says whether it could be done. Where an answer was lost, the try after it may find the partitions there, and
    /// says INVALID_PARTITIONS.
    pub async fn create_partitions(
        &self,
        counts: &BTreeMap<String, i32>,
        validate_only: bool,
    ) -> Outcomes<String, ()> {
        let mut tries = Tries::new(&self.cluster, counts.keys().cloned());
        while let Some(left) = tries.next().await {
            let to_grow = |name: &String| CreatePartitionsRequestTopic {
                name: Str::copy_of(name),
                count: counts.get(name).copied().unwrap_or(0),
                assignments: None,
            };
            let request = CreatePartitionsRequest {
                topics: left.iter().map(to_grow).collect(),
                timeout_ms: tries.timeout_ms(),
                validate_only,
            };
            match self.call_controller(&tries.deadline, &request).await {
                Ok(answer) => {
                    for told in &answer.results {
                        let outcome = outcome_of(told.error_code, told.error_message.as_deref(), || ());
                        self.note_stale(&told.name, &outcome);
                        tries.on_outcome(&told.name.to_string(), unless_unknown(outcome));
                    }
                    tries.on_answer_read(&left, create_partitions::API.name);
                }
                Err(error) => tries.on_failure(&left, &error),
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(name, outcome)| (name, outcome.and_then(|grown| grown)))
            .collect()
    }
}
