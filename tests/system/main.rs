//! The system seen from outside: real processes, real databases, real HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod audit;
mod collector;
mod command_line;
mod commands;
mod conditional;
mod crashes;
mod demo;
mod documentation;
mod erase;
mod failover;
mod interoperation;
mod litestream;
mod moving;
mod observe;
mod order_to_invoice;
mod parked;
mod paused;
mod postgresql;
mod program;
mod proxies;
mod repository;
mod restore;
mod secure;
mod shop;
mod start;
mod traces;
mod upgrade;
mod waiting;
mod words;

pub(crate) use harness::on_both_backends as on_both;
