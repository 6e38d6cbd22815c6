//! The feed as pages for people, and the description of its routes for programs.

mod openapi;
mod page;

pub use openapi::describe;
pub use page::page;
