//! How the simulated world behaves, seen as a test of the broker sees it.

mod execution;
