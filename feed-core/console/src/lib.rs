//! Pages and commands for the operators of feeds and consumers.
//!
//! [`service`] makes a whole service of an effect, its tables and its routes. What it is made of, in reading order:
//! [`settings`] are those of a service that publishes or consumes, and [`fn@mount`] makes it one that
//! [`feed_chassis`] serves. [`subscription`] has the status pages and the commands of a consumer, [`feed`] the feed as a
//! page in a browser, [`transfer`] the commands that move a database. [`command`] is what all commands have in
//! common, and [`list`] the SQL of lists.
#![warn(missing_docs)]

pub mod command;
mod database;
pub mod feed;
mod health;
pub mod list;
mod mount;
pub mod service;
pub mod settings;
pub mod subscription;
pub mod transfer;

pub use database::open_database;
pub use health::not_halted;
pub use mount::{Running, Started, mount};
pub use settings::{DatabaseSettings, Follow, StartError, StatusSettings, parse_feed_url};
