//! The invoices in PostgreSQL. Lists travel as arrays, one for each column.

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{PgPool, PgTransaction, Postgres};

use super::Store;
use super::rows::{
    InvoiceRow, LineRow, invoice_columns, invoices, line_columns, lines_of, orders_of, to_cents,
};
use crate::invoice::Invoice;
use crate::order::OrderId;

impl Store for Postgres {
    const MIGRATIONS: Migrations = &[
        (
            1,
            "invoice",
            include_str!("../../migrations/postgres/0001_invoice.sql"),
        ),
        (
            2,
            "cause",
            include_str!("../../migrations/postgres/0002_cause.sql"),
        ),
    ];

    async fn causes(
        tx: &mut PgTransaction<'_>,
        orders: &[OrderId],
    ) -> sqlx::Result<Vec<(OrderId, Option<String>)>> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "-- invoice::causes
             SELECT order_id, cause FROM invoice WHERE order_id = ANY ($1)",
        )
        .bind(column(orders, |order| order.0))
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, cause)| (OrderId(id), cause))
            .collect())
    }

    async fn reserve(tx: &mut PgTransaction<'_>, year: i32, count: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- invoice::reserve
             INSERT INTO invoice_counter (year, next) VALUES ($1, 1 + $2)
             ON CONFLICT (year) DO UPDATE SET next = invoice_counter.next + $2
             RETURNING next - $2",
        )
        .bind(year)
        .bind(count)
        .fetch_one(&mut **tx)
        .await
    }

    async fn insert(tx: &mut PgTransaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
        let totals: Vec<i64> = invoices
            .iter()
            .map(|invoice| to_cents(invoice.total))
            .collect::<sqlx::Result<_>>()?;
        sqlx::query(
            "-- invoice::insert
             INSERT INTO invoice
                 (order_id, year, serial, issued_at,
                  customer_id, customer_name, customer_firstname, customer_email,
                  billing_street, billing_zip, billing_city, currency, total_cents, cause,
                  credited_at)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::int[], $3::bigint[], $4::timestamptz[],
                 $5::bigint[], $6::text[], $7::text[], $8::text[],
                 $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[],
                 $15::timestamptz[])",
        )
        .bind(column(invoices, |invoice| invoice.order.0))
        .bind(column(invoices, |invoice| invoice.number.year))
        .bind(column(invoices, |invoice| invoice.number.serial))
        .bind(column(invoices, |invoice| invoice.issued))
        .bind(column(invoices, |invoice| invoice.customer.id))
        .bind(column(invoices, |invoice| invoice.customer.name.as_str()))
        .bind(column(invoices, |invoice| {
            invoice.customer.firstname.as_str()
        }))
        .bind(column(invoices, |invoice| invoice.customer.email.as_str()))
        .bind(column(invoices, |invoice| {
            invoice.billing_address.street.as_str()
        }))
        .bind(column(invoices, |invoice| {
            invoice.billing_address.zip.as_str()
        }))
        .bind(column(invoices, |invoice| {
            invoice.billing_address.city.as_str()
        }))
        .bind(column(invoices, |invoice| invoice.currency.as_str()))
        .bind(totals)
        .bind(column(invoices, |invoice| invoice.cause.as_deref()))
        .bind(column(invoices, |invoice| invoice.credited))
        .execute(&mut **tx)
        .await?;
        let lines = lines_of(invoices);
        let prices: Vec<i64> = lines
            .iter()
            .map(|(_, _, line)| to_cents(line.item.price))
            .collect::<sqlx::Result<_>>()?;
        sqlx::query(
            "-- invoice::insert_lines
             INSERT INTO invoice_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])",
        )
        .bind(column(&lines, |(order, _, _)| *order))
        .bind(column(&lines, |(_, number, _)| *number))
        .bind(column(&lines, |(_, _, line)| line.count))
        .bind(column(&lines, |(_, _, line)| line.item.id))
        .bind(column(&lines, |(_, _, line)| line.item.name.as_str()))
        .bind(prices)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn credit(
        tx: &mut PgTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<OrderId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "-- invoice::credit
             UPDATE invoice SET credited_at = cancelled.at
             FROM UNNEST($1::bigint[], $2::timestamptz[]) AS cancelled (order_id, at)
             WHERE invoice.order_id = cancelled.order_id AND credited_at IS NULL
             RETURNING invoice.order_id",
        )
        .bind(column(cancelled, |(order, _)| order.0))
        .bind(column(cancelled, |(_, at)| *at))
        .fetch_all(&mut **tx)
        .await?;
        Ok(ids.into_iter().map(OrderId).collect())
    }

    async fn erase(tx: &mut PgTransaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(
            "-- invoice::erase
             UPDATE invoice
             SET customer_email = ''
             WHERE order_id = ANY ($1)",
        )
        .bind(column(orders, |order| order.0))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn find(pool: &PgPool, id: OrderId) -> sqlx::Result<Option<Invoice>> {
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

    async fn list(pool: &PgPool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Invoice>> {
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

    async fn count(pool: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- invoice::count
             SELECT count(*) FROM invoice",
        )
        .fetch_one(pool)
        .await
    }

    async fn gaps(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<(i32, i64, i64)>> {
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

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

async fn with_lines(pool: &PgPool, rows: Vec<InvoiceRow>) -> sqlx::Result<Vec<Invoice>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<LineRow> = sqlx::query_as(concat!(
        "-- invoice::lines
         SELECT ",
        line_columns!(),
        " FROM invoice_line WHERE order_id = ANY ($1) ORDER BY order_id, line"
    ))
    .bind(orders_of(&rows))
    .fetch_all(pool)
    .await?;
    Ok(invoices(rows, lines))
}
