//! The feed for people and for programs that read descriptions: a page for each document, and what the routes are.

mod openapi;
mod page;

pub use openapi::describe;
pub use page::page;
