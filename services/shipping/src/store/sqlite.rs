//! The shipments in SQLite. Lists travel as JSON, which `json_each` unfolds.

use chrono::{DateTime, SecondsFormat, Utc};
use feed_core::transfer::Migrations;
use serde_json::{Value, json};
use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::Store;
use super::rows::{
    LineRow, ShipmentRow, line_columns, lines_of, orders_of, shipment_columns, shipments,
};
use crate::order::OrderId;
use crate::shipment::Shipment;

impl Store for Sqlite {
    const MIGRATIONS: Migrations = &[
        (
            1,
            "shipment",
            include_str!("../../migrations/sqlite/0001_shipment.sql"),
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
            "-- shipment::causes
             SELECT order_id, cause FROM shipment WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(json!(orders).to_string())
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, cause)| (OrderId(id), cause))
            .collect())
    }

    async fn insert(tx: &mut SqliteTransaction<'_>, shipments: &[Shipment]) -> sqlx::Result<()> {
        let rows: Vec<Value> = shipments.iter().map(row).collect();
        sqlx::query(
            "-- shipment::insert
             INSERT INTO shipment
                 (order_id, placed_at, customer_id, customer_name, customer_firstname,
                  shipping_street, shipping_zip, shipping_city, cause)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    value ->> 5, value ->> 6, value ->> 7, value ->> 8
             FROM json_each($1)",
        )
        .bind(json!(rows).to_string())
        .execute(&mut **tx)
        .await?;
        let lines: Vec<Value> = lines_of(shipments)
            .into_iter()
            .map(|(order, n, line)| json!([order, n, line.count, line.item.id, line.item.name]))
            .collect();
        sqlx::query(
            "-- shipment::insert_lines
             INSERT INTO shipment_line (order_id, line, count, item_id, item_name)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
             FROM json_each($1)",
        )
        .bind(json!(lines).to_string())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn cancel(
        tx: &mut SqliteTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<(OrderId, bool)>> {
        let cancelled: Vec<Value> = cancelled
            .iter()
            .map(|(order, at)| json!([order, instant(*at)]))
            .collect();
        let rows: Vec<(i64, bool)> = sqlx::query_as(
            "-- shipment::cancel
             UPDATE shipment SET cancelled_at = value ->> 1
             FROM json_each($1)
             WHERE order_id = value ->> 0 AND cancelled_at IS NULL
             RETURNING order_id, dispatched_at IS NOT NULL",
        )
        .bind(json!(cancelled).to_string())
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, left)| (OrderId(id), left))
            .collect())
    }

    async fn erase(tx: &mut SqliteTransaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(
            "-- shipment::erase
             UPDATE shipment
             SET customer_name = '', customer_firstname = '',
                 shipping_street = '', shipping_zip = '', shipping_city = ''
             WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(json!(orders).to_string())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn dispatch(pool: &SqlitePool, id: OrderId) -> sqlx::Result<bool> {
        let done = sqlx::query(
            "-- shipment::dispatch
             UPDATE shipment SET dispatched_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE order_id = $1 AND dispatched_at IS NULL AND cancelled_at IS NULL",
        )
        .bind(id.0)
        .execute(pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn find(pool: &SqlitePool, id: OrderId) -> sqlx::Result<Option<Shipment>> {
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

    async fn list(pool: &SqlitePool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Shipment>> {
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

    async fn count(pool: &SqlitePool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- shipment::count
             SELECT count(*) FROM shipment",
        )
        .fetch_one(pool)
        .await
    }
}

/// A shipment as `insert` unfolds it.
fn row(shipment: &Shipment) -> Value {
    let (customer, address) = (&shipment.customer, &shipment.shipping_address);
    json!([
        shipment.order,
        instant(shipment.placed),
        customer.id,
        customer.name,
        customer.firstname,
        address.street,
        address.zip,
        address.city,
        shipment.cause,
    ])
}

/// As instants are stored.
fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn with_lines(pool: &SqlitePool, rows: Vec<ShipmentRow>) -> sqlx::Result<Vec<Shipment>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<LineRow> = sqlx::query_as(concat!(
        "-- shipment::lines
         SELECT ",
        line_columns!(),
        " FROM shipment_line WHERE order_id IN (SELECT value FROM json_each($1))
          ORDER BY order_id, line"
    ))
    .bind(json!(orders_of(&rows)).to_string())
    .fetch_all(pool)
    .await?;
    Ok(shipments(rows, lines))
}
