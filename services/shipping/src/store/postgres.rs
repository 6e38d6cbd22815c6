//! The shipments in PostgreSQL.

use feed_core::dialect::postgres::{Db, NOW, Row, arguments, is_in, list, rows};
use feed_core::transfer::Migrations;

#[path = "statements.rs"]
mod statements;

const MIGRATIONS: Migrations = &[
    (
        1,
        "shipment",
        include_str!("../../migrations/postgres/0001_shipment.sql"),
    ),
    (
        2,
        "cause",
        include_str!("../../migrations/postgres/0002_cause.sql"),
    ),
];
