//! The invoices in SQLite.

use feed_core::dialect::sqlite::{Db, Row, arguments, is_in, list, rows};
use feed_core::transfer::Migrations;

#[expect(
    clippy::duplicate_mod,
    reason = "PostgreSQL's module has them too, with its dialect"
)]
#[path = "statements.rs"]
mod statements;

const MIGRATIONS: Migrations = &[
    (
        1,
        "invoice",
        include_str!("../../migrations/sqlite/0001_invoice.sql"),
    ),
    (
        2,
        "cause",
        include_str!("../../migrations/sqlite/0002_cause.sql"),
    ),
];
