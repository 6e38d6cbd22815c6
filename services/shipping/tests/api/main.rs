//! The shipping service as its users see it, on both databases: it follows a real feed over HTTP,
//! or one as the original writes it, and is asked over its routes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod dispatch;
mod erased;
mod events;
mod original;
mod pages;
mod parked;
mod privacy;
mod reconcile;
mod recorded;
mod service;
