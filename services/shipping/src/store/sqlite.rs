//! The shipments in SQLite: its dialect, and the statements with many rows. They travel as JSON, which `json_each`
//! unfolds.

use chrono::{DateTime, Utc};
use feed_core::dialect::sqlite::{Db, NOW, Row, instant, is_in, list};
use feed_core::transfer::Migrations;
use serde_json::{Value, json};
use sqlx::SqliteTransaction;

use super::{NativeStore, lines, migrations};
use crate::order::OrderId;
use crate::shipment::Shipment;

#[expect(
    clippy::duplicate_mod,
    reason = "PostgreSQL's module has them too, with its dialect"
)]
#[path = "statements.rs"]
mod statements;

impl NativeStore for Db {
    const MIGRATIONS: Migrations = migrations!("sqlite");

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
        .bind(list(&rows))
        .execute(&mut **tx)
        .await?;
        let rows: Vec<_> = lines(shipments)
            .map(|(order, n, line)| (order, n, line.count, line.item.id, &line.item.name))
            .collect();
        sqlx::query(
            "-- shipment::insert_lines
             INSERT INTO shipment_line (order_id, line, count, item_id, item_name)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
             FROM json_each($1)",
        )
        .bind(list(&rows))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn cancel(
        tx: &mut SqliteTransaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<(OrderId, bool)>> {
        let row = |(order, at): &(OrderId, DateTime<Utc>)| (*order, instant(*at));
        let rows: Vec<(OrderId, String)> = cancelled.iter().map(row).collect();
        let rows: Vec<(i64, bool)> = sqlx::query_as(
            "-- shipment::cancel
             UPDATE shipment SET cancelled_at = value ->> 1
             FROM json_each($1)
             WHERE order_id = value ->> 0 AND cancelled_at IS NULL
             RETURNING order_id, dispatched_at IS NOT NULL",
        )
        .bind(list(&rows))
        .fetch_all(&mut **tx)
        .await?;
        let known = rows.into_iter().map(|(id, left)| (OrderId(id), left));
        Ok(known.collect())
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
