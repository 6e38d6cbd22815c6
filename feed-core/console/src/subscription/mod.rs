//! Shows the state of a subscription and takes decisions about it: on pages ([`router`]) and from
//! the command line ([`command`]). Programs get the same as JSON.

pub mod command;
mod http;

pub use command::WHAT_TO_DO;
pub use http::{describe, router};
