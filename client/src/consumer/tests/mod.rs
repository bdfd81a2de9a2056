//! What a consumer decides, as scripts; and a consumer of a whole broker on the simulated seams.

mod decisions;
mod script;
mod simulated;
