//! Offsets as tables of events.
