//! The orders in SQLite: its dialect, and the statements that are its own.

use chrono::{DateTime, Utc};
use feed_core::dialect::sqlite::{Db, GREATEST, NOW, Row, is_in, list};
use feed_core::transfer::Migrations;
use sqlx::{SqlitePool, SqliteTransaction};

use super::to_cents;
use crate::order::{NewOrder, Order, OrderId};

#[expect(
    clippy::duplicate_mod,
    reason = "PostgreSQL's module has them too, with its dialect"
)]
#[path = "statements/mod.rs"]
mod statements;

/// Reads a customer for a transaction that places an order. That is the only write transaction, so it needs no lock.
const NAMED_CUSTOMER: &str = "SELECT -- order::named_customer
             id, name, firstname, email FROM customers WHERE id = $1";

/// Waits for nothing: no order was being placed while the customer was removed.
const SETTLE: &str = "SELECT -- order::settle
     $1";

const MIGRATIONS: Migrations = feed_core::migrations! {
    "sqlite":
    "0001_order",
    "0002_erasure",
    "0003_expand_lists",
};

async fn insert(tx: &mut SqliteTransaction<'_>, order: NewOrder) -> sqlx::Result<Option<Order>> {
    // No other transaction writes, so the customer is still there.
    let (id, now): (i64, DateTime<Utc>) = sqlx::query_as(
        "INSERT -- order::insert
         INTO orders
             (status, placed, updated,
              customer_id, customer_name, customer_firstname, customer_email,
              shipping_street, shipping_zip, shipping_city,
              billing_street, billing_zip, billing_city, total_cents, number_of_lines)
         SELECT 'placed', now, now, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
         FROM (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now)
         RETURNING id, placed",
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
    .bind(i64::try_from(order.lines.len()).unwrap_or(i64::MAX))
    .fetch_one(&mut **tx)
    .await?;
    let mut lines = Vec::with_capacity(order.lines.len());
    for line in &order.lines {
        let item = &line.item;
        lines.push((line.count, item.id, &item.name, to_cents(item.price)?));
    }
    sqlx::query(
        "INSERT -- order::insert_lines
         INTO order_line (order_id, line, count, item_id, item_name, price_cents)
         SELECT $1, key + 1, value ->> 0, value ->> 1, value ->> 2, value ->> 3
         FROM json_each($2)",
    )
    .bind(id)
    .bind(list(&lines))
    .execute(&mut **tx)
    .await?;
    Ok(Some(order.placed(OrderId(id), now)))
}

async fn number_after(pool: &SqlitePool, table: &'static str, last: i64) -> sqlx::Result<i64> {
    // There is no row before the first number.
    sqlx::query(
        "INSERT -- order::begin_numbers
         INTO sqlite_sequence (name, seq)
         SELECT $1, 0 WHERE NOT EXISTS (SELECT * FROM sqlite_sequence WHERE name = $1)",
    )
    .bind(table)
    .execute(pool)
    .await?;
    sqlx::query_scalar(
        "UPDATE -- order::number_after
         sqlite_sequence SET seq = max(seq, $2) WHERE name = $1
         RETURNING seq + 1",
    )
    .bind(table)
    .bind(last)
    .fetch_one(pool)
    .await
}
