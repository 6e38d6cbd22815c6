//! [examples/publisher.rs]: #a-publisher
//! [examples/consumer.rs]: #a-consumer
//! [examples/host.rs]: #a-service-that-takes-both-in
#![doc = include_str!("../README.md")]
//!
//! ## A publisher
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/publisher.rs")]
#![doc = "```"]
//!
//! ## A consumer
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/consumer.rs")]
#![doc = "```"]
//!
//! ## A service that takes both in
//!
#![doc = "```ignore"]
#![doc = include_str!("../examples/host.rs")]
#![doc = "```"]
//!
//! ## The map, in reading order
//!
//! An [`event`](NewEvent) is [appended](outbox::append) in the caller's transaction, numbered by
//! the `sequencer` after the commit, and shown by the [`feed`]. A [`consumer`] follows the feed.
//! All SQL lies below `store`. The command line, the listener, pages and operators' commands are in
//! the crates `feed-chassis` and `feed-console`.
#![warn(missing_docs)]
// A side without a database, or a database without a side, has nothing to do: much of it is then unused.
#![cfg_attr(
    not(all(
        any(feature = "publish", feature = "consume"),
        any(feature = "postgres", feature = "sqlite")
    )),
    allow(dead_code, unused_imports, unused_macros)
)]

#[cfg(feature = "publish")]
mod data;
mod event;

#[cfg(feature = "publish")]
pub mod outbox;
#[cfg(feature = "publish")]
mod sequencer;

mod cursor;
#[cfg(feature = "publish")]
pub mod feed;
mod partition;
mod reached;

#[cfg(feature = "consume")]
pub mod consumer;

mod database;
pub mod dialect;
#[cfg(all(feature = "publish", feature = "consume", any(test, feature = "fuzz")))]
#[doc(hidden)]
pub mod fuzz;
mod new_file;
mod store;
mod trace;
pub mod transfer;

#[cfg(feature = "consume")]
pub use consumer::{Batch, Consumer, Effect, EffectError, Received, Subscription};
pub use cursor::{Cursor, Epoch, InvalidCursor};
#[cfg(feature = "publish")]
pub use data::InvalidData;
pub use database::{Database, DatabaseOptions, Kind, MigrationSql, OptionNames, redact_url};
pub use event::{EventId, LAST_SEQUENCE, Sequence};
#[cfg(feature = "publish")]
pub use event::{InvalidEvent, NewEvent};
#[cfg(feature = "publish")]
pub use feed::{Feed, FeedSettings};
/// The HTTP primitives that the feed and its consumers use.
pub use feed_http as http;
pub use store::{Backend, DatabaseError};
/// What stops a feed and a consumer when it is cancelled.
pub use tokio_util::sync::CancellationToken;
