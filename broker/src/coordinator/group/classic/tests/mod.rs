//! The classic group as scripts of events.

mod joining;
mod leaving;
mod script;
mod static_members;
mod storm;
mod syncing;
mod timers;
