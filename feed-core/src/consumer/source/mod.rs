//! Reads a feed. `fetch` requests it within bounds. A `request` uses the `client`, the
//! `credentials`, and a `proxy` if there is one. `wait` limits how long the server
//! may hold an answer back, `freshness` how long an answer needs no new request. The `answer` is
//! decoded (`body`, `charset`) and parsed (`reader`, `date`, `document`, `entry`); `link` resolves links,
//! and `content` fetches data.
//!
//! `walk` reads a feed document by document; `prefetch` does so while earlier documents are
//! applied, and `persist` retries requests. `window` detects whether a feed without sequences has
//! moved on by more than it shows, and `backlog` which entries of its documents are new; `order` detects how a document lists
//! its entries.
//!
//! No module here uses the consumer's database.

pub(super) mod answer;
pub(super) mod backlog;
mod body;
pub(super) mod charset;
pub(super) mod client;
pub(super) mod content;
pub(super) mod credentials;
mod date;
pub(super) mod document;
pub(super) mod entry;
pub(super) mod fetch;
pub(super) mod fetch_error;
pub(super) mod freshness;
pub(super) mod header;
pub(super) mod link;
mod media_type;
pub(super) mod option_names;
mod order;
pub(super) mod persist;
pub(super) mod prefetch;
pub(super) mod proxy;
mod reader;
pub(super) mod redact;
mod request;
pub(super) mod wait;
pub(super) mod walk;
pub(super) mod window;
