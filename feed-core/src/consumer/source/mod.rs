//! What a feed says. `fetch` asks it, within bounds, each time by a `request` with our `credentials`,
//! through a `proxy` if there is one; `wait` says how long the server may hold an answer back,
//! `freshness` how long it is enough. `body` and `charset` decode the answer, `reader` and `document`
//! read it, `link` resolves its links, and `content` gets the data. `prefetch` reads on while others are
//! at work with what was read; `window` tells whether a feed without numbers has moved on by too much.
//!
//! Nothing here knows of the consumer's database.

pub(super) mod body;
pub(super) mod charset;
pub(super) mod content;
pub(super) mod credentials;
pub(super) mod document;
pub(super) mod fetch;
pub(super) mod fetch_error;
pub(super) mod freshness;
pub(super) mod link;
mod media_type;
pub(super) mod prefetch;
pub(super) mod proxy;
mod reader;
mod request;
mod wait;
pub(super) mod window;
