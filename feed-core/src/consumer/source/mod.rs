//! What a feed says. `fetch` asks it as `settings` say, within bounds, each time by a `request` of our
//! `client`, with our `credentials`, and through a `proxy` if there is one; `wait` says how long the server may hold an answer back,
//! `freshness` how long that is enough. The `answer` is decoded (`body`, `charset`) and read (`reader`,
//! `document`, `entry`); `link` resolves what it links to, and `content` gets the data.
//!
//! `walk` goes through a feed, document by document; `prefetch` does so while others are at work with
//! what was read, and `persist` asks again where that may help. `window` tells whether a feed without
//! numbers has moved on by more than it shows.
//!
//! Nothing here knows of the consumer's database.

pub(super) mod answer;
mod body;
pub(super) mod charset;
pub(super) mod client;
pub(super) mod content;
pub(super) mod credentials;
pub(super) mod document;
pub(super) mod entry;
pub(super) mod fetch;
pub(super) mod fetch_error;
pub(super) mod freshness;
pub(super) mod header;
pub(super) mod link;
mod media_type;
pub(super) mod persist;
pub(super) mod prefetch;
pub(super) mod proxy;
mod reader;
pub(super) mod redact;
mod request;
pub(super) mod settings;
pub(super) mod wait;
pub(super) mod walk;
pub(super) mod window;
