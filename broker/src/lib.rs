//! Ottla's broker, as a library that a program can embed.

pub mod config;
pub mod controller;
pub mod log;
pub mod planted;
