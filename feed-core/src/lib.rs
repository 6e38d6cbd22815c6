//! [examples/publisher.rs]: #a-publisher
//! [examples/consumer.rs]: #a-consumer
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
//! ## The map, in reading order
//!
//! An [`event`](NewEvent) is [appended](outbox::append) in the caller's transaction, numbered by
//! the `sequencer` after the commit, and shown by the [`feed`]. A [`consumer`] follows the feed.
//! All SQL lies below `store`; [`service`] is what a service needs around it all.
#![warn(missing_docs)]

mod data;
mod event;
mod namespace;

pub mod outbox;
mod sequencer;

mod cursor;
pub mod feed;

pub mod consumer;

mod credentials;
mod database;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod problem;
pub mod service;
mod store;
mod trace;
pub mod transfer;

pub use consumer::{Batch, Consumer, Effect, EffectError, Received, Subscription};
pub use credentials::CredentialsError;
pub use cursor::{Cursor, Epoch, InvalidCursor};
pub use data::InvalidData;
pub use database::{Database, DatabaseOptions, Kind, shown};
pub use event::{EventId, InvalidEvent, NewEvent, Sequence};
pub use feed::{Feed, FeedSettings};
pub use namespace::NAMESPACE;
pub use problem::Problem;
pub use store::{Backend, DatabaseError};
/// What stops a feed and a consumer when it is cancelled.
pub use tokio_util::sync::CancellationToken;
