//! What feed-core promises, on both databases: the outbox and its numbers, the feed over HTTP,
//! the consumer with its claims and leases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod checklist;
mod checklist_http;
mod claims;
mod consumer;
mod database;
mod erase;
mod feed;
mod history;
mod lease;
mod operate;
mod outbox;
mod reconcile;
mod row_cases;
mod rows;
mod rows_before;
mod support;
mod upgrade;
