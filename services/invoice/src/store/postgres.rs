//! The invoices in PostgreSQL.

use chrono::{DateTime, Utc};
use feed_chassis::list::Word;
use feed_core::dialect::postgres::{Db, Row, arguments, is_in, list, rows};
use feed_core::transfer::Migrations;

#[path = "statements.rs"]
mod statements;

/// The operator that compares a text with a [`pattern`].
const MATCHES: &str = "~";

fn pattern(word: Word<'_>) -> String {
    word.regex()
}

/// An instant as a parameter.
fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

const MIGRATIONS: Migrations = feed_core::migrations! {
    "postgres":
    "0001_invoice",
    "0002_cause",
    "0003_expand_lists",
};
