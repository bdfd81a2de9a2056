//! Consumer groups as scripts of events, and as random schedules.

mod play;
mod random;
mod scripts;
