//! Every kind of coordinator of a broker.

use std::sync::Arc;

use super::group::GroupCoordinator;
use super::handle::{Coordinator, CoordinatorParts};

/// Every kind of coordinator of a broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Coordinators {
    groups: Coordinator<GroupCoordinator>,
}

impl Coordinators {
    /// Starts them. They load while requests may already come.
    pub(crate) fn start(groups: GroupCoordinator, parts: CoordinatorParts) -> Coordinators {
        Coordinators { groups: Coordinator::start(Arc::new(groups), parts) }
    }

    /// Groups.
    pub(crate) fn groups(&self) -> &Coordinator<GroupCoordinator> {
        &self.groups
    }

    /// Completes when one of them has met a bug, and says so.
    pub(crate) async fn failed(&self) -> String {
        self.groups.failed().await
    }

    /// Answers what is under way, refuses what waits, and ends. The shards have to be there still.
    pub(crate) async fn stop(&self) {
        self.groups.stop().await;
    }
}
