//! The HTTP primitives that [`feed-core`] and the crates around it share.
//!
//! A handler returns a [`Problem`] (RFC 9457) on failure, chooses a form by [`fn@negotiate`] (RFC
//! 9110, 12.5.1), and answers `304` by [`conditional`] (RFC 9110, 13). [`query`] reads parameters. A [`BaseUrl`] makes links.
//! [`credentials`] reads the file that a service and its clients share, [`metrics`] represents
//! measurements as data, and [`trace`] carries the W3C trace context.
//!
//! [`feed-core`]: https://docs.rs/feed-core
#![warn(missing_docs)]

mod base_url;
mod cause;
pub mod conditional;
pub mod credentials;
#[cfg(feature = "sqlx")]
mod database;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod metrics;
mod namespace;
mod negotiate;
#[cfg(feature = "postgres")]
mod postgres;
mod problem;
pub mod query;
#[cfg(feature = "axum")]
mod response;
mod text;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub mod tls;
pub mod trace;

pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use cause::with_causes;
#[cfg(feature = "sqlx")]
pub use database::cannot_store;
pub use namespace::NAMESPACE;
pub use negotiate::{members, negotiate, split, weight};
pub use problem::{Failure, Problem};
#[cfg(feature = "axum")]
pub use response::{Json, Page};
pub use text::{canonical_number, escape_json, is_control, is_obeyed, without_quoted};

/// Marks a response (in its extensions) that was held back at the client's request: its time does
/// not depend on the service.
#[derive(Debug, Clone, Copy)]
pub struct HeldBack;
