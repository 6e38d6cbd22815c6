//! The invoices in SQLite: its dialect, and the statements with many rows. They travel as JSON, which `json_each`
//! unfolds.

use chrono::{DateTime, Utc};
use feed_core::dialect::sqlite::{Db, Row, instant, is_in, list};
use feed_core::transfer::Migrations;
use serde_json::{Value, json};
use sqlx::SqliteTransaction;

use super::{NativeStore, lines, migrations, to_cents};
use crate::invoice::Invoice;
use crate::order::OrderId;

#[expect(
    clippy::duplicate_mod,
    reason = "PostgreSQL's module has them too, with its dialect"
)]
#[path = "statements.rs"]
mod statements;

impl NativeStore for Db {
    const MIGRATIONS: Migrations = migrations!("sqlite");

    async fn insert(tx: &mut SqliteTransaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
        let rows: Vec<Value> = invoices.iter().map(row).collect::<sqlx::Result<_>>()?;
        sqlx::query(
            "-- invoice::insert
             INSERT INTO invoice
                 (order_id, year, serial, issued_at,
                  customer_id, customer_name, customer_firstname, customer_email,
                  billing_street, billing_zip, billing_city, currency, total_cents, cause,
                  credited_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                    value ->> 4, value ->> 5, value ->> 6, value ->> 7,
                    value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12,
                    value ->> 13, value ->> 14
             FROM json_each($1)",
        )
        .bind(list(&rows))
        .execute(&mut **tx)
        .await?;
        let mut rows = Vec::new();
        for (order, number, line) in lines(invoices) {
            let (item, cents) = (&line.item, to_cents(line.item.price)?);
            rows.push((order, number, line.count, item.id, &item.name, cents));
        }
        sqlx::query(
            "-- invoice::insert_lines
             INSERT INTO invoice_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
             FROM json_each($1)",
        )
        .bind(list(&rows))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn credit(
        tx: &mut SqliteTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<OrderId>> {
        let row = |(order, at): &(OrderId, DateTime<Utc>)| (*order, instant(*at));
        let rows: Vec<(OrderId, String)> = cancelled.iter().map(row).collect();
        let ids: Vec<i64> = sqlx::query_scalar(
            "-- invoice::credit
             UPDATE invoice SET credited_at = value ->> 1
             FROM json_each($1)
             WHERE order_id = value ->> 0 AND credited_at IS NULL
             RETURNING order_id",
        )
        .bind(list(&rows))
        .fetch_all(&mut **tx)
        .await?;
        Ok(ids.into_iter().map(OrderId).collect())
    }
}

/// An invoice as `insert` unfolds it.
fn row(invoice: &Invoice) -> sqlx::Result<Value> {
    let (number, customer) = (invoice.number, &invoice.customer);
    let address = &invoice.billing_address;
    let total = to_cents(invoice.total)?;
    Ok(json!([
        invoice.order,
        number.year,
        number.serial,
        instant(invoice.issued),
        customer.id,
        customer.name,
        customer.firstname,
        customer.email,
        address.street,
        address.zip,
        address.city,
        invoice.currency,
        total,
        invoice.cause,
        invoice.credited.map(instant),
    ]))
}
