//! The whole system while everything that can fail does: real processes, real databases, real HTTP,
//! and a checker that decides afterwards whether the rules held. Tests that take minutes are for
//! `tests/long faults`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checker;
mod clients;
mod clocks;
mod controls;
mod damage;
mod disk;
mod evidence;
mod failover;
mod fleet;
mod forged;
mod front;
mod group;
mod guards;
mod hangups;
mod history;
mod life;
mod link;
mod locks;
mod lost_tail;
mod network;
mod operators;
mod patroni;
mod plan;
mod power;
mod program;
mod random;
mod reached;
mod readers;
mod receiver;
mod restore;
mod rules;
mod seen;
mod sent;
mod soak;
mod steps;
