//! The two protocols that everything rests on, as small models: `sequencer` is how events get their sequences, `lease` how
//! several instances share a subscription. `tests/model` visits every state of each, and replays real runs in them.
//!
//! What is in a model is named after the code that it represents; a change of that code must be repeated here.

pub mod lease;
pub mod sequencer;
mod walk;
