//! The orders in SQLite.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{Sqlite, SqliteExecutor, SqlitePool, SqliteTransaction};

use super::rows::{LineRow, OrderRow, catalog, key_claim, order_columns, order_matches, to_cents};
use super::{KeyClaim, MAX_CHOICES, Store};
use crate::order::{CustomerId, ItemId, NewOrder, Order, OrderId, Summary};
use crate::rules::Catalog;

impl Store for Sqlite {
    const MIGRATIONS: Migrations = &[
        (
            1,
            "order",
            include_str!("../../migrations/sqlite/0001_order.sql"),
        ),
        (
            2,
            "erasure",
            include_str!("../../migrations/sqlite/0002_erasure.sql"),
        ),
    ];

    async fn catalog(pool: &SqlitePool) -> sqlx::Result<Catalog> {
        let customers = sqlx::query_as(
            "-- order::customers
             SELECT id, name, firstname, email FROM customers ORDER BY id LIMIT $1",
        )
        .bind(MAX_CHOICES)
        .fetch_all(pool)
        .await?;
        let items = sqlx::query_as(
            "-- order::items
             SELECT id, name, price_cents FROM items ORDER BY id LIMIT $1",
        )
        .bind(MAX_CHOICES)
        .fetch_all(pool)
        .await?;
        Ok(catalog(customers, items))
    }

    async fn named(
        tx: &mut SqliteTransaction<'_>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> sqlx::Result<Catalog> {
        let customers = sqlx::query_as(
            "-- order::named_customer
             SELECT id, name, firstname, email FROM customers WHERE id = $1",
        )
        .bind(customer.map(|customer| customer.0))
        .fetch_all(&mut **tx)
        .await?;
        let items = json(items)?;
        let items = sqlx::query_as(
            "-- order::named_items
             SELECT id, name, price_cents FROM items WHERE id IN (SELECT value FROM json_each($1))",
        )
        .bind(items)
        .fetch_all(&mut **tx)
        .await?;
        Ok(catalog(customers, items))
    }

    async fn insert(
        tx: &mut SqliteTransaction<'_>,
        order: NewOrder,
    ) -> sqlx::Result<Option<Order>> {
        // Nobody else writes: the customer is still there.
        let (id, now): (i64, DateTime<Utc>) = sqlx::query_as(
            "-- order::insert
             INSERT INTO orders
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
            "-- order::insert_lines
             INSERT INTO order_line (order_id, line, count, item_id, item_name, price_cents)
             SELECT $1, key + 1, value ->> 0, value ->> 1, value ->> 2, value ->> 3
             FROM json_each($2)",
        )
        .bind(id)
        .bind(json(&lines)?)
        .execute(&mut **tx)
        .await?;
        Ok(Some(order.placed(OrderId(id), now)))
    }

    async fn cancel(tx: &mut SqliteTransaction<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
        // The transaction has the file's write lock already, and with it the order's.
        let row: Option<OrderRow> = sqlx::query_as(concat!(
            "-- order::cancel
             UPDATE orders
             SET status = 'cancelled',
                 updated = max(updated, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
             WHERE id = $1 AND status = 'placed'
             RETURNING ",
            order_columns!()
        ))
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?;
        match row {
            Some(row) => Ok(Some(with_lines(&mut **tx, row).await?)),
            None => Ok(None),
        }
    }

    async fn number_orders_after(pool: &SqlitePool, last: OrderId) -> sqlx::Result<OrderId> {
        // There is no row before the first order.
        sqlx::query(
            "-- order::begin_numbers
             INSERT INTO sqlite_sequence (name, seq)
             SELECT 'orders', 0 WHERE NOT EXISTS (SELECT * FROM sqlite_sequence WHERE name = 'orders')",
        )
        .execute(pool)
        .await?;
        let next: i64 = sqlx::query_scalar(
            "-- order::number_after
             UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = 'orders'
             RETURNING seq + 1",
        )
        .bind(last.0)
        .fetch_one(pool)
        .await?;
        Ok(OrderId(next))
    }

    async fn find(pool: &SqlitePool, id: OrderId) -> sqlx::Result<Option<Order>> {
        let row: Option<OrderRow> = sqlx::query_as(concat!(
            "-- order::find
             SELECT ",
            order_columns!(),
            " FROM orders WHERE id = $1"
        ))
        .bind(id.0)
        .fetch_optional(pool)
        .await?;
        match row {
            Some(row) => Ok(Some(with_lines(pool, row).await?)),
            None => Ok(None),
        }
    }

    async fn list(pool: &SqlitePool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Summary>> {
        let rows: Vec<OrderRow> = sqlx::query_as(concat!(
            "-- order::list
             SELECT ",
            order_columns!(),
            " FROM orders WHERE id < $1 ORDER BY id DESC LIMIT $2"
        ))
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn count(pool: &SqlitePool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- order::count
             SELECT count(*) FROM orders",
        )
        .fetch_one(pool)
        .await
    }

    async fn search(
        pool: &SqlitePool,
        text: &str,
        before: OrderId,
        limit: i64,
    ) -> sqlx::Result<Vec<Summary>> {
        let rows: Vec<OrderRow> = sqlx::query_as(concat!(
            "-- order::search
             SELECT ",
            order_columns!(),
            " FROM orders WHERE ",
            order_matches!("instr"),
            " AND id < $2 ORDER BY id DESC LIMIT $3"
        ))
        .bind(text)
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn count_found(pool: &SqlitePool, text: &str) -> sqlx::Result<i64> {
        sqlx::query_scalar(concat!(
            "-- order::count_found
             SELECT count(*) FROM orders WHERE ",
            order_matches!("instr")
        ))
        .bind(text)
        .fetch_one(pool)
        .await
    }

    async fn claim_key(
        tx: &mut SqliteTransaction<'_>,
        key: &str,
        fingerprint: i64,
    ) -> sqlx::Result<KeyClaim> {
        // The update changes nothing: it makes the row of an earlier request visible here.
        let row = sqlx::query_as(
            "-- order::claim_key
             INSERT INTO idempotency_key (key, fingerprint) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET key = excluded.key
             RETURNING fingerprint, order_id",
        )
        .bind(key)
        .bind(fingerprint)
        .fetch_one(&mut **tx)
        .await?;
        Ok(key_claim(row))
    }

    async fn fulfil_key(
        tx: &mut SqliteTransaction<'_>,
        key: &str,
        order: OrderId,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- order::fulfil_key
             UPDATE idempotency_key SET order_id = $2 WHERE key = $1",
        )
        .bind(key)
        .bind(order.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

pub(super) async fn with_lines(
    executor: impl SqliteExecutor<'_>,
    order: OrderRow,
) -> sqlx::Result<Order> {
    let lines: Vec<LineRow> = sqlx::query_as(
        "-- order::lines
         SELECT count, item_id, item_name, price_cents
         FROM order_line WHERE order_id = $1 ORDER BY line",
    )
    .bind(order.id().0)
    .fetch_all(executor)
    .await?;
    Ok(order.with_lines(lines))
}

/// A list as one parameter.
fn json(list: &impl serde::Serialize) -> sqlx::Result<String> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(error.into()))
}
