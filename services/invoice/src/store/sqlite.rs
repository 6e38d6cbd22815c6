//! The invoices in SQLite. Lists travel as JSON, which `json_each` unfolds.

use chrono::{DateTime, SecondsFormat, Utc};
use feed_core::transfer::Migrations;
use serde_json::{Value, json};
use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::Store;
use super::rows::{
    InvoiceRow, LineRow, invoice_columns, invoices, line_columns, lines_of, orders_of, to_cents,
};
use crate::invoice::Invoice;
use crate::order::OrderId;

impl Store for Sqlite {
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

    async fn causes(
        tx: &mut SqliteTransaction<'_>,
        orders: &[OrderId],
    ) -> sqlx::Result<Vec<(OrderId, Option<String>)>> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "-- invoice::causes
             SELECT order_id, cause FROM invoice WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(json!(orders).to_string())
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, cause)| (OrderId(id), cause))
            .collect())
    }

    async fn reserve(tx: &mut SqliteTransaction<'_>, year: i32, count: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- invoice::reserve
             INSERT INTO invoice_counter (year, next) VALUES ($1, 1 + $2)
             ON CONFLICT (year) DO UPDATE SET next = next + $2
             RETURNING next - $2",
        )
        .bind(year)
        .bind(count)
        .fetch_one(&mut **tx)
        .await
    }

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
        .bind(json!(rows).to_string())
        .execute(&mut **tx)
        .await?;
        let mut lines = Vec::new();
        for (order, number, line) in lines_of(invoices) {
            let item = &line.item;
            let price = to_cents(item.price)?;
            lines.push(json!([
                order, number, line.count, item.id, item.name, price
            ]));
        }
        sqlx::query(
            "-- invoice::insert_lines
             INSERT INTO invoice_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
             FROM json_each($1)",
        )
        .bind(json!(lines).to_string())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn credit(
        tx: &mut SqliteTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<OrderId>> {
        let cancelled: Vec<Value> = cancelled
            .iter()
            .map(|(order, at)| json!([order, instant(*at)]))
            .collect();
        let ids: Vec<i64> = sqlx::query_scalar(
            "-- invoice::credit
             UPDATE invoice SET credited_at = value ->> 1
             FROM json_each($1)
             WHERE order_id = value ->> 0 AND credited_at IS NULL
             RETURNING order_id",
        )
        .bind(json!(cancelled).to_string())
        .fetch_all(&mut **tx)
        .await?;
        Ok(ids.into_iter().map(OrderId).collect())
    }

    async fn erase(tx: &mut SqliteTransaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(
            "-- invoice::erase
             UPDATE invoice
             SET customer_email = ''
             WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(json!(orders).to_string())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn find(pool: &SqlitePool, id: OrderId) -> sqlx::Result<Option<Invoice>> {
        let rows: Vec<InvoiceRow> = sqlx::query_as(concat!(
            "-- invoice::find
             SELECT ",
            invoice_columns!(),
            " FROM invoice WHERE order_id = $1"
        ))
        .bind(id.0)
        .fetch_all(pool)
        .await?;
        Ok(with_lines(pool, rows).await?.pop())
    }

    async fn list(pool: &SqlitePool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Invoice>> {
        let rows: Vec<InvoiceRow> = sqlx::query_as(concat!(
            "-- invoice::list
             SELECT ",
            invoice_columns!(),
            " FROM invoice WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2"
        ))
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        with_lines(pool, rows).await
    }

    async fn count(pool: &SqlitePool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- invoice::count
             SELECT count(*) FROM invoice",
        )
        .fetch_one(pool)
        .await
    }

    async fn gaps(pool: &SqlitePool, limit: i64) -> sqlx::Result<Vec<(i32, i64, i64)>> {
        sqlx::query_as(
            "-- invoice::gaps
             WITH bound AS (
                 SELECT year, max(next) AS next FROM (
                     SELECT year, next FROM invoice_counter
                     UNION ALL
                     SELECT year, serial + 1 FROM invoice
                 ) AS known GROUP BY year
             ), candidate AS (
                 SELECT year, 1 AS serial, next FROM bound
                 UNION
                 SELECT year, serial + 1, next FROM invoice JOIN bound USING (year)
             )
             SELECT year, serial,
                    COALESCE((SELECT min(later.serial) FROM invoice AS later
                              WHERE later.year = candidate.year
                                AND later.serial > candidate.serial), next) - 1
             FROM candidate
             WHERE serial < next
               AND NOT EXISTS (SELECT 1 FROM invoice AS taken
                               WHERE taken.year = candidate.year
                                 AND taken.serial = candidate.serial)
             ORDER BY year, serial LIMIT $1",
        )
        .bind(limit)
        .fetch_all(pool)
        .await
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

/// As instants are stored.
fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn with_lines(pool: &SqlitePool, rows: Vec<InvoiceRow>) -> sqlx::Result<Vec<Invoice>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<LineRow> = sqlx::query_as(concat!(
        "-- invoice::lines
         SELECT ",
        line_columns!(),
        " FROM invoice_line WHERE order_id IN (SELECT value FROM json_each($1))
          ORDER BY order_id, line"
    ))
    .bind(json!(orders_of(&rows)).to_string())
    .fetch_all(pool)
    .await?;
    Ok(invoices(rows, lines))
}
