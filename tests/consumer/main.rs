//! The consumer against a fake producer: any Atom feed works, and one that is hostile or broken
//! does no harm.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod batches;
mod bounds;
mod catch_up;
mod codings;
mod content;
mod contradictions;
mod decisions;
mod deleted;
mod edits;
mod foreign;
mod hostile;
mod instances;
mod large;
mod lost;
mod origins;
mod pace;
mod paging;
mod proxies;
mod recorder;
mod redirects;
mod refused;
mod requests;
mod support;
mod tail;
mod takeovers;
mod unstorable;
mod validators;
mod windows;
mod writers;
