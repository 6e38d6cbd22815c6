//! The shipments in PostgreSQL. Lists travel as arrays, one for each column.

use chrono::{DateTime, Utc};
use feed_core::transfer::Migrations;
use sqlx::{PgPool, PgTransaction, Postgres};

use super::Store;
use super::rows::{
    LineRow, ShipmentRow, line_columns, lines_of, orders_of, shipment_columns, shipments,
};
use crate::order::OrderId;
use crate::shipment::Shipment;

impl Store for Postgres {
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

    async fn causes(
        tx: &mut PgTransaction<'_>,
        orders: &[OrderId],
    ) -> sqlx::Result<Vec<(OrderId, Option<String>)>> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "-- shipment::causes
             SELECT order_id, cause FROM shipment WHERE order_id = ANY ($1)",
        )
        .bind(column(orders, |order| order.0))
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, cause)| (OrderId(id), cause))
            .collect())
    }

    async fn insert(tx: &mut PgTransaction<'_>, shipments: &[Shipment]) -> sqlx::Result<()> {
        sqlx::query(
            "-- shipment::insert
             INSERT INTO shipment
                 (order_id, placed_at, customer_id, customer_name, customer_firstname,
                  shipping_street, shipping_zip, shipping_city, cause)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[],
                 $6::text[], $7::text[], $8::text[], $9::text[])",
        )
        .bind(column(shipments, |shipment| shipment.order.0))
        .bind(column(shipments, |shipment| shipment.placed))
        .bind(column(shipments, |shipment| shipment.customer.id))
        .bind(column(shipments, |shipment| {
            shipment.customer.name.as_str()
        }))
        .bind(column(shipments, |shipment| {
            shipment.customer.firstname.as_str()
        }))
        .bind(column(shipments, |shipment| {
            shipment.shipping_address.street.as_str()
        }))
        .bind(column(shipments, |shipment| {
            shipment.shipping_address.zip.as_str()
        }))
        .bind(column(shipments, |shipment| {
            shipment.shipping_address.city.as_str()
        }))
        .bind(column(shipments, |shipment| shipment.cause.as_deref()))
        .execute(&mut **tx)
        .await?;
        let lines = lines_of(shipments);
        sqlx::query(
            "-- shipment::insert_lines
             INSERT INTO shipment_line (order_id, line, count, item_id, item_name)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])",
        )
        .bind(column(&lines, |(order, _, _)| *order))
        .bind(column(&lines, |(_, number, _)| *number))
        .bind(column(&lines, |(_, _, line)| line.count))
        .bind(column(&lines, |(_, _, line)| line.item.id))
        .bind(column(&lines, |(_, _, line)| line.item.name.as_str()))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn cancel(
        tx: &mut PgTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<(OrderId, bool)>> {
        let rows: Vec<(i64, bool)> = sqlx::query_as(
            "-- shipment::cancel
             UPDATE shipment SET cancelled_at = cancelled.at
             FROM UNNEST($1::bigint[], $2::timestamptz[]) AS cancelled (order_id, at)
             WHERE shipment.order_id = cancelled.order_id AND cancelled_at IS NULL
             RETURNING shipment.order_id, dispatched_at IS NOT NULL",
        )
        .bind(column(cancelled, |(order, _)| order.0))
        .bind(column(cancelled, |(_, at)| *at))
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, left)| (OrderId(id), left))
            .collect())
    }

    async fn erase(tx: &mut PgTransaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(
            "-- shipment::erase
             UPDATE shipment
             SET customer_name = '', customer_firstname = '',
                 shipping_street = '', shipping_zip = '', shipping_city = ''
             WHERE order_id = ANY ($1)",
        )
        .bind(column(orders, |order| order.0))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn dispatch(pool: &PgPool, id: OrderId) -> sqlx::Result<bool> {
        // One statement: it waits for a cancellation on its way, and then finds it.
        let done = sqlx::query(
            "-- shipment::dispatch
             UPDATE shipment SET dispatched_at = date_trunc('milliseconds', clock_timestamp())
             WHERE order_id = $1 AND dispatched_at IS NULL AND cancelled_at IS NULL",
        )
        .bind(id.0)
        .execute(pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn find(pool: &PgPool, id: OrderId) -> sqlx::Result<Option<Shipment>> {
        let rows: Vec<ShipmentRow> = sqlx::query_as(concat!(
            "-- shipment::find
             SELECT ",
            shipment_columns!(),
            " FROM shipment WHERE order_id = $1"
        ))
        .bind(id.0)
        .fetch_all(pool)
        .await?;
        Ok(with_lines(pool, rows).await?.pop())
    }

    async fn list(pool: &PgPool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Shipment>> {
        let rows: Vec<ShipmentRow> = sqlx::query_as(concat!(
            "-- shipment::list
             SELECT ",
            shipment_columns!(),
            " FROM shipment WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2"
        ))
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        with_lines(pool, rows).await
    }

    async fn count(pool: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- shipment::count
             SELECT count(*) FROM shipment",
        )
        .fetch_one(pool)
        .await
    }
}

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

async fn with_lines(pool: &PgPool, rows: Vec<ShipmentRow>) -> sqlx::Result<Vec<Shipment>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<LineRow> = sqlx::query_as(concat!(
        "-- shipment::lines
         SELECT ",
        line_columns!(),
        " FROM shipment_line WHERE order_id = ANY ($1) ORDER BY order_id, line"
    ))
    .bind(orders_of(&rows))
    .fetch_all(pool)
    .await?;
    Ok(shipments(rows, lines))
}
