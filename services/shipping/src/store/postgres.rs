//! The shipments in PostgreSQL.

use feed_core::dialect::postgres::{Db, NOW, Row, arguments, is_in, list, rows};
use feed_core::transfer::Migrations;

#[path = "statements.rs"]
mod statements;

const MIGRATIONS: Migrations = feed_core::migrations! {
    "postgres":
    "0001_shipment",
    "0002_cause",
    "0003_expand_lists",
};
