#![warn(missing_docs)]
//! Events between services without a broker.

pub mod consumer;
mod cursor;
mod database;
mod event;
pub mod feed;
pub mod outbox;
mod problem;
mod sequencer;
pub mod service;
mod store;

pub use consumer::{Consumer, Effect, EffectError, Received, Subscription};
pub use cursor::{Cursor, Epoch, InvalidCursor};
pub use database::{Database, DatabaseError, Kind};
pub use event::{EventId, NewEvent, Sequence};
pub use feed::{Feed, FeedSettings, NAMESPACE};
pub use problem::Problem;
pub use store::Backend;
