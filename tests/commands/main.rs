//! The commands as processes, against a broker that is one too: what they print, how they end, and what they say about
//! each mistake.

mod bed;

mod config;
mod data_set;
mod group;
mod mistakes;
mod produce;
mod tail;
mod topic;
mod txn;
