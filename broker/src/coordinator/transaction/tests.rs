//! Scripts of events for the transaction coordinator.
