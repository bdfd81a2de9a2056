//! Asking coordinators about what is theirs: who coordinates which group or transactional id, and again where somebody
//! else does by now, or nobody yet.

use std::collections::BTreeMap;

use ottla_protocol::api::Request;
use ottla_protocol::api::find_coordinator::{self, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;

use super::Admin;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::client::Deadline;
use crate::error::{Error, RequestError};
use crate::network::pool::Target;

/// What is coordinated, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinated {
    Groups = 0,
    TransactionalIds = 1,
}

/// What an answer says of each group or transactional id.
pub(super) type ToldByName<T> = Vec<(String, Result<T, Error>)>;

impl Admin {
    /// Asks each coordinator about what it coordinates. `read` is given who answered.
    pub(super) async fn ask_coordinators<R: Request, T>(
        &self,
        coordinated: Coordinated,
        names: impl IntoIterator<Item = String>,
        request: impl Fn(&[String]) -> R,
        read: impl Fn(BrokerId, R::Response) -> ToldByName<T>,
    ) -> Outcomes<String, T> {
        let mut tries = Tries::new(&self.cluster, names);
        while let Some(left) = tries.next().await {
            let (coordinators, failures) = self.find_coordinators(&tries.deadline, coordinated, &left).await;
            for (name, error) in failures {
                tries.on_outcome(&name, Err(error));
            }
            for (coordinator, names) in coordinators {
                let request = request(&names);
                match self.cluster.call_until(&tries.deadline, Target::Broker(coordinator), &request).await {
                    Ok(answer) => {
                        for (name, outcome) in read(coordinator, answer) {
                            tries.on_outcome(&name, outcome);
                        }
                        tries.on_answer_read(&names, R::API.name);
                    }
                    Err(error) => tries.on_failure(&names, &error),
                }
            }
        }
        tries.into_outcomes()
    }

    /// The same about one.
    pub(super) async fn ask_coordinator<R: Request, T>(
        &self,
        coordinated: Coordinated,
        name: &str,
        request: impl Fn() -> R,
        read: impl Fn(R::Response) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let read = |_, answer| vec![(name.to_owned(), read(answer))];
        let names = [name.to_owned()];
        let mut outcomes = self.ask_coordinators(coordinated, names, |_| request(), read).await;
        outcomes.remove(name).unwrap_or(Err(Error::NotMentioned { api: R::API.name }))
    }

    /// Who coordinates what, and of what nobody can tell.
    async fn find_coordinators(
        &self,
        deadline: &Deadline,
        coordinated: Coordinated,
        names: &[String],
    ) -> (BTreeMap<BrokerId, Vec<String>>, Vec<(String, Error)>) {
        let mut found: BTreeMap<BrokerId, Vec<String>> = BTreeMap::new();
        let mut failures = Vec::new();
        for (name, outcome) in self.coordinators_of(deadline, coordinated, names).await {
            match outcome {
                Ok(coordinator) => found.entry(coordinator).or_default().push(name),
                Err(error) => failures.push((name, error)),
            }
        }
        (found, failures)
    }

    /// A broker before version 4 of FindCoordinator tells of one name at a time.
    async fn coordinators_of(
        &self,
        deadline: &Deadline,
        coordinated: Coordinated,
        names: &[String],
    ) -> ToldByName<BrokerId> {
        let mut told = Vec::new();
        let mut left = names;
        while let [first, others @ ..] = left {
            let request = FindCoordinatorRequest {
                key: Str::copy_of(first),
                key_type: coordinated as i8,
                coordinator_keys: left.iter().map(|name| Str::copy_of(name)).collect(),
            };
            match self.call_any(deadline, &request).await {
                Ok(answer) if answer.coordinators.is_empty() => {
                    told.push((first.clone(), only_one(&answer)));
                    left = others;
                }
                Ok(answer) => {
                    told.extend(many(&answer));
                    left = &[];
                }
                Err(error) => {
                    told.extend(left.iter().map(|name| (name.clone(), Err(Error::from(error.clone())))));
                    left = &[];
                }
            }
        }
        told
    }
}

fn only_one(answer: &FindCoordinatorResponse) -> Result<BrokerId, Error> {
    outcome_of(answer.error_code, answer.error_message.as_deref(), || BrokerId(answer.node_id))
}

fn many(answer: &FindCoordinatorResponse) -> impl Iterator<Item = (String, Result<BrokerId, Error>)> {
    answer.coordinators.iter().map(|row| {
        let outcome = outcome_of(row.error_code, row.error_message.as_deref(), || BrokerId(row.node_id));
        (row.key.to_string(), outcome)
    })
}

/// Whether an error only says that the broker has nothing like this API.
pub(super) fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Request(RequestError::UnsupportedApi { api }) if *api != find_coordinator::API.name)
}
