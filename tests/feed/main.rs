//! The feed as other programs read it: through caches, with feed readers, validators and curl, and
//! by consumers that other teams write. All programs are the real ones, as Debian ships them;
//! `tests/run` installs them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod caches;
mod consumers;
mod cost;
mod documents;
mod killed;
mod loops;
mod publisher;
mod readers;
mod same_bytes;
