//! What feed-core promises, on both databases: the outbox and its numbers, the feed over HTTP,
//! the consumer with its claims and leases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accept;
mod archive;
mod base_url;
mod batch_size;
mod batches;
mod checklist;
mod checklist_http;
mod claims;
mod consumer;
mod data_bytes;
mod database;
mod dates;
mod decide;
mod erase;
mod extremes;
mod failover;
mod faulty_effect;
mod feed;
mod filtered;
mod history;
mod host;
mod lag;
mod large_head;
mod leap_second;
mod lease;
mod lease_locks;
mod left_open;
mod mistakes;
mod number_at_commit;
mod one_server;
mod outbox;
mod page_size;
mod paused;
mod planner;
mod query;
mod reconcile;
mod replay;
mod restored;
mod retry;
mod retry_stopped;
mod row_cases;
mod rows;
mod rows_before;
mod schemas;
mod shared_wait;
mod silent;
mod stream;
#[expect(dead_code, reason = "the tests of the console use the rest")]
mod support;
mod unread;
mod upgrade;
mod waiting;
mod with_data;
