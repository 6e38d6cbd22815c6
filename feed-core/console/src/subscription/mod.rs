//! Shows the state of a subscription and takes decisions about it: on pages ([`router`]) and from
//! the command line ([`command`]). Programs get the same as JSON.

mod address;
pub mod command;
pub mod concern;
mod http;
mod pace;

pub use address::{Address, InvalidAddress, InvalidOrigin, Origin, status_of};
pub use command::{Again, WHAT_TO_DO};
pub use http::{OPEN, describe, router, router_beside};
