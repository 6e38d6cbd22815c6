//! The invoice service as its users see it, on both databases: it follows a real feed over HTTP,
//! or one as the original writes it, and is asked over its routes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod erased;
mod events;
mod numbers;
mod original;
mod pages;
mod parked;
mod reconcile;
mod recorded;
mod service;
