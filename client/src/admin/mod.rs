//! Administration: one method for each request, each with its own file.
//!
//! Every method tries again what may succeed later, with back-off, until `default.api.timeout.ms` is over, and then
//! gives the last error. Methods on several things give each its own outcome. A future that is dropped asks no more;
//! what a broker was already asked to do it may still do.

mod alter_configs;
mod cluster;
mod config_resources;
mod configs;
mod consumer_protocol;
mod coordinators;
mod group_offsets;
mod groups;
mod leaders;
mod log_dirs;
mod offsets;
mod partitions;
mod producers;
mod records;
#[cfg(test)]
mod tests;
mod topic_partitions;
mod topics;
mod transactions;
mod tries;

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::api::Request;
use ottla_protocol::types::BrokerId;

pub use self::alter_configs::{ConfigChange, ConfigChanges};
pub use self::cluster::ClusterDescription;
pub use self::config_resources::ConfigResourceType;
pub use self::configs::{ConfigEntry, ConfigResource};
pub use self::group_offsets::CommittedOffset;
pub use self::groups::{
    CONSUMER_PROTOCOL_TYPE, GroupDescription, GroupFilter, GroupListing, GroupMember, PartitionsByTopic,
};
pub use self::log_dirs::{LogDir, LogDirReplica};
pub use self::offsets::{ListedOffset, OffsetSpec};
pub use self::producers::ActiveProducer;
pub use self::topic_partitions::{PartitionDescription, TopicPartitions};
pub use self::topics::{CreatedTopic, NewTopic, TopicListing};
pub use self::transactions::{
    HangingTransaction, TransactionDescription, TransactionFilter, TransactionListing,
};
pub use self::tries::Outcomes;
use self::tries::Tries;
use crate::client::{Cluster, Deadline};
use crate::error::{Error, RequestError};
use crate::network::pool::Target;

/// The administration of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    cluster: Arc<Cluster>,
}

impl Admin {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Admin {
        Admin { cluster }
    }

    /// Asks one question that has one answer, until `read` makes something of it.
    async fn ask<R: Request, T>(
        &self,
        request: &R,
        read: impl Fn(R::Response) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = Tries::new(&self.cluster, [()]);
        while let Some(left) = tries.next().await {
            match self.call_any(&tries.deadline, request).await {
                Ok(answer) => tries.on_outcome(&(), read(answer)),
                Err(error) => tries.on_failure(&left, &error),
            }
        }
        let timed_out =
            Error::Request(RequestError::TimedOut { after: self.cluster.config.default_api_timeout });
        tries.into_outcomes().remove(&()).unwrap_or(Err(timed_out))
    }

    /// Asks every broker there is the same; all of them have to answer.
    async fn ask_every_broker<R: Request, T>(
        &self,
        request: &R,
        read: impl Fn(BrokerId, R::Response) -> Result<T, Error>,
    ) -> Result<BTreeMap<BrokerId, T>, Error> {
        self.cluster.metadata.on_brokers_stale();
        let view =
            self.cluster.until(&self.cluster.deadline(), self.cluster.metadata.view([].into())).await?;
        let mut tries = Tries::new(&self.cluster, view.brokers.keys().copied());
        while let Some(left) = tries.next().await {
            for broker in left {
                match self.cluster.call_until(&tries.deadline, Target::Broker(broker), request).await {
                    Ok(answer) => tries.on_outcome(&broker, read(broker, answer)),
                    Err(error) => tries.on_failure(&[broker], &error),
                }
            }
        }
        let outcomes = tries.into_outcomes().into_iter();
        outcomes.map(|(broker, outcome)| Ok((broker, outcome?))).collect()
    }

    /// Asks whichever broker can be asked.
    async fn call_any<R: Request>(
        &self,
        deadline: &Deadline,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        self.cluster.call_until(deadline, self.cluster.pool.any(), request).await
    }

    /// Asks the controller, which is who carries out changes; where nobody is known to be it, any broker, which passes
    /// the request on or says that it is not the controller.
    async fn call_controller<R: Request>(
        &self,
        deadline: &Deadline,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        let view = self.cluster.until(deadline, self.cluster.metadata.view([].into())).await?;
        let target = view.controller.map_or_else(|| self.cluster.pool.any(), Target::Broker);
        self.cluster.call_until(deadline, target, request).await
    }
}
