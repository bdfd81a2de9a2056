//! The offsets that groups have committed: what is kept (`state`), and what is decided about them. Commits of clients and of
//! transactions (`commit`), what is told (`fetch`), what is forgotten on demand (`delete`) and by time (`expiry`).

mod commit;
mod delete;
mod expiry;
mod fetch;
mod state;
#[cfg(test)]
mod tests;
mod transactions;

pub(crate) use state::{GroupOffsets, LogOrder};
pub(crate) use transactions::CommitGuard;
pub(super) use transactions::Transactions;
