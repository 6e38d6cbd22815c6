//! The orders in PostgreSQL.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{PgExecutor, PgPool, PgTransaction, Postgres};

use super::rows::{LineRow, OrderRow, catalog, key_claim, order_columns, order_matches, to_cents};
use super::{KeyClaim, MAX_CHOICES, Store};
use crate::order::{CustomerId, ItemId, NewOrder, Order, OrderId, Summary};
use crate::rules::Catalog;

impl Store for Postgres {
    const MIGRATIONS: Migrations = &[
        (
            1,
            "order",
            include_str!("../../migrations/postgres/0001_order.sql"),
        ),
        (
            2,
            "erasure",
            include_str!("../../migrations/postgres/0002_erasure.sql"),
        ),
    ];

    async fn catalog(pool: &PgPool) -> sqlx::Result<Catalog> {
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
        tx: &mut PgTransaction<'_>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> sqlx::Result<Catalog> {
        let customers = sqlx::query_as(
            "-- order::named_customer
             SELECT id, name, firstname, email
             FROM customers,
                  pg_advisory_xact_lock_shared(hashtextextended('customer/' || $1::bigint, 0))
             WHERE id = $1",
        )
        .bind(customer.map(|customer| customer.0))
        .fetch_all(&mut **tx)
        .await?;
        let items: Vec<i64> = items.iter().map(|item| item.0).collect();
        let items = sqlx::query_as(
            "-- order::named_items
             SELECT id, name, price_cents FROM items WHERE id = ANY($1)",
        )
        .bind(items)
        .fetch_all(&mut **tx)
        .await?;
        Ok(catalog(customers, items))
    }

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
            "-- order::insert
             WITH placed AS (
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

    async fn cancel(tx: &mut PgTransaction<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
        // Locks the row before the event is appended, so that the events of an order are in the
        // order of its changes (I6). A second caller waits here, and then finds it cancelled.
        let row: Option<OrderRow> = sqlx::query_as(concat!(
            "-- order::cancel
             UPDATE orders
             SET status = 'cancelled',
                 updated = GREATEST(updated, date_trunc('milliseconds', clock_timestamp()))
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

    async fn number_orders_after(pool: &PgPool, last: OrderId) -> sqlx::Result<OrderId> {
        let next: i64 = sqlx::query_scalar(
            "-- order::number_after
             SELECT CASE WHEN last > 0 THEN setval(numbers, last) ELSE 0 END + 1
             FROM (SELECT numbers, GREATEST($1, pg_sequence_last_value(numbers),
                                            (SELECT max(id) FROM orders)) AS last
                   FROM CAST(pg_get_serial_sequence('orders', 'id') AS regclass) AS numbers) AS them",
        )
        .bind(last.0)
        .fetch_one(pool)
        .await?;
        Ok(OrderId(next))
    }

    async fn find(pool: &PgPool, id: OrderId) -> sqlx::Result<Option<Order>> {
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

    async fn list(pool: &PgPool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Summary>> {
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

    async fn count(pool: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- order::count
             SELECT count(*) FROM orders",
        )
        .fetch_one(pool)
        .await
    }

    async fn search(
        pool: &PgPool,
        text: &str,
        before: OrderId,
        limit: i64,
    ) -> sqlx::Result<Vec<Summary>> {
        let rows: Vec<OrderRow> = sqlx::query_as(concat!(
            "-- order::search
             SELECT ",
            order_columns!(),
            " FROM orders WHERE ",
            order_matches!("strpos"),
            " AND id < $2 ORDER BY id DESC LIMIT $3"
        ))
        .bind(text)
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn count_found(pool: &PgPool, text: &str) -> sqlx::Result<i64> {
        sqlx::query_scalar(concat!(
            "-- order::count_found
             SELECT count(*) FROM orders WHERE ",
            order_matches!("strpos")
        ))
        .bind(text)
        .fetch_one(pool)
        .await
    }

    async fn claim_key(
        tx: &mut PgTransaction<'_>,
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

    async fn fulfil_key(tx: &mut PgTransaction<'_>, key: &str, order: OrderId) -> sqlx::Result<()> {
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
    executor: impl PgExecutor<'_>,
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
