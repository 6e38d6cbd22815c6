//! The orders in PostgreSQL: its dialect, and the statements that are its own.

use chrono::{DateTime, Utc};
use feed_core::dialect::postgres::{Db, GREATEST, NOW, Row, is_in, list};
use feed_core::transfer::Migrations;
use sqlx::{PgPool, PgTransaction};

use super::to_cents;
use crate::order::{NewOrder, Order, OrderId};

#[path = "statements/mod.rs"]
mod statements;

/// Reads a customer for a transaction that places an order, and holds a lock on the customer's number, for which only
/// an erasure waits.
const NAMED_CUSTOMER: &str = "SELECT -- order::named_customer
             id, name, firstname, email
             FROM customers,
                  pg_advisory_xact_lock_shared(hashtextextended('customer/' || $1::bigint, 0))
             WHERE id = $1";

/// Waits until no transaction holds the lock of [`NAMED_CUSTOMER`]. A transaction that locks later finds that the
/// customer is gone: `insert` looks again.
const SETTLE: &str = "SELECT -- order::settle
     pg_advisory_xact_lock(hashtextextended('customer/' || $1::bigint, 0))";

const MIGRATIONS: Migrations = feed_core::migrations! {
    "postgres":
    "0001_order",
    "0002_erasure",
    "0003_expand_lists",
};

/// One statement for the order and all its lines.
async fn insert(tx: &mut PgTransaction<'_>, order: NewOrder) -> sqlx::Result<Option<Order>> {
    let count = order.lines.len();
    let (mut counts, mut items) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut names, mut prices) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for line in &order.lines {
        counts.push(line.count);
        items.push(line.item.id.0);
        names.push(line.item.name.as_str());
        prices.push(to_cents(line.item.price)?);
    }
    let placed: Option<(i64, DateTime<Utc>)> = sqlx::query_as(
        "WITH -- order::insert
         placed AS (
             INSERT INTO orders
                 (status, placed, updated,
                  customer_id, customer_name, customer_firstname, customer_email,
                  shipping_street, shipping_zip, shipping_city,
                  billing_street, billing_zip, billing_city, number_of_lines, total_cents)
             SELECT 'placed', now, now, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                    cardinality($12::bigint[]), $11
             FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock
             WHERE EXISTS (SELECT FROM customers WHERE id = $1)
             RETURNING id, placed
         ), lines AS (
             INSERT INTO order_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT id, line, count, item_id, item_name, price_cents
             FROM placed,
                  UNNEST($12::bigint[], $13::bigint[], $14::text[], $15::bigint[])
                  WITH ORDINALITY AS sold (count, item_id, item_name, price_cents, line)
         )
         SELECT id, placed FROM placed",
    )
    .bind(order.customer.id.0)
    .bind(&order.customer.name)
    .bind(&order.customer.firstname)
    .bind(&order.customer.email)
    .bind(&order.shipping_address.street)
    .bind(&order.shipping_address.zip)
    .bind(&order.shipping_address.city)
    .bind(&order.billing_address.street)
    .bind(&order.billing_address.zip)
    .bind(&order.billing_address.city)
    .bind(to_cents(order.total())?)
    .bind(counts)
    .bind(items)
    .bind(names)
    .bind(prices)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(placed.map(|(id, now)| order.placed(OrderId(id), now)))
}

async fn number_after(pool: &PgPool, table: &'static str, last: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT -- order::number_after
         CASE WHEN last > 0 THEN setval(numbers, last) ELSE 0 END + 1
         FROM (SELECT numbers, GREATEST($2, pg_sequence_last_value(numbers)) AS last
               FROM CAST(pg_get_serial_sequence($1, 'id') AS regclass) AS numbers) AS them",
    )
    .bind(table)
    .bind(last)
    .fetch_one(pool)
    .await
}
