//! The invoices in PostgreSQL: its dialect, and the statements with many rows. They travel as arrays, one for each
//! column.

use chrono::{DateTime, Utc};
use feed_core::dialect::postgres::{Db, Row, is_in, list};
use feed_core::transfer::Migrations;
use sqlx::PgTransaction;

use super::{NativeStore, lines, migrations, to_cents};
use crate::invoice::Invoice;
use crate::order::{Line, OrderId};

#[path = "statements.rs"]
mod statements;

impl NativeStore for Db {
    const MIGRATIONS: Migrations = migrations!("postgres");

    async fn insert(tx: &mut PgTransaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
        let total = |invoice: &Invoice| to_cents(invoice.total);
        let totals: Vec<i64> = invoices.iter().map(total).collect::<sqlx::Result<_>>()?;
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
        .bind(column(invoices, |i| i.order.0))
        .bind(column(invoices, |i| i.number.year))
        .bind(column(invoices, |i| i.number.serial))
        .bind(column(invoices, |i| i.issued))
        .bind(column(invoices, |i| i.customer.id))
        .bind(column(invoices, |i| i.customer.name.as_str()))
        .bind(column(invoices, |i| i.customer.firstname.as_str()))
        .bind(column(invoices, |i| i.customer.email.as_str()))
        .bind(column(invoices, |i| i.billing_address.street.as_str()))
        .bind(column(invoices, |i| i.billing_address.zip.as_str()))
        .bind(column(invoices, |i| i.billing_address.city.as_str()))
        .bind(column(invoices, |i| i.currency.as_str()))
        .bind(totals)
        .bind(column(invoices, |i| i.cause.as_deref()))
        .bind(column(invoices, |i| i.credited))
        .execute(&mut **tx)
        .await?;
        let lines: Vec<(OrderId, i64, &Line)> = lines(invoices).collect();
        let price = |(_, _, line): &(OrderId, i64, &Line)| to_cents(line.item.price);
        let prices: Vec<i64> = lines.iter().map(price).collect::<sqlx::Result<_>>()?;
        sqlx::query(
            "-- invoice::insert_lines
             INSERT INTO invoice_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])",
        )
        .bind(column(&lines, |(order, _, _)| order.0))
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
}

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
