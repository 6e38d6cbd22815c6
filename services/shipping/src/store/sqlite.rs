//! The shipments in SQLite.

use feed_core::dialect::sqlite::{Db, NOW, Row, arguments, is_in, list, rows};
use feed_core::transfer::Migrations;

#[expect(
    clippy::duplicate_mod,
    reason = "PostgreSQL's module has them too, with its dialect"
)]
#[path = "statements.rs"]
mod statements;

const MIGRATIONS: Migrations = feed_core::migrations! {
    "sqlite":
    "0001_shipment",
    "0002_cause",
    "0003_expand_lists",
};
