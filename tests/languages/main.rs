//! The program `feed`, as teams without Rust use it: all that they write is SQL.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod feed;

mod asyncapi;
mod check;
mod check_consumer;
mod deliver;
mod deliver_unusual;
mod examples;
mod ledger;
mod privacy;
mod proxies;
mod readme;
mod retry_after;
mod serve;
mod status;
mod streams;
mod tail;
mod unusual;
mod webhook;
