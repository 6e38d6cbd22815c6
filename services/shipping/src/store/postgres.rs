//! The shipments in PostgreSQL: its dialect, and the statements with many rows. They travel as arrays, one for each
//! column.

use chrono::{DateTime, Utc};
use feed_core::dialect::postgres::{Db, NOW, Row, is_in, list};
use feed_core::transfer::Migrations;
use sqlx::PgTransaction;

use super::{NativeStore, lines, migrations};
use crate::order::{Line, OrderId};
use crate::shipment::Shipment;

#[path = "statements.rs"]
mod statements;

impl NativeStore for Db {
    const MIGRATIONS: Migrations = migrations!("postgres");

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
        .bind(column(shipments, |s| s.order.0))
        .bind(column(shipments, |s| s.placed))
        .bind(column(shipments, |s| s.customer.id))
        .bind(column(shipments, |s| s.customer.name.as_str()))
        .bind(column(shipments, |s| s.customer.firstname.as_str()))
        .bind(column(shipments, |s| s.shipping_address.street.as_str()))
        .bind(column(shipments, |s| s.shipping_address.zip.as_str()))
        .bind(column(shipments, |s| s.shipping_address.city.as_str()))
        .bind(column(shipments, |s| s.cause.as_deref()))
        .execute(&mut **tx)
        .await?;
        let lines: Vec<(OrderId, i64, &Line)> = lines(shipments).collect();
        sqlx::query(
            "-- shipment::insert_lines
             INSERT INTO shipment_line (order_id, line, count, item_id, item_name)
             SELECT * FROM UNNEST(
                 $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])",
        )
        .bind(column(&lines, |(order, _, _)| order.0))
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
        let known = rows.into_iter().map(|(id, left)| (OrderId(id), left));
        Ok(known.collect())
    }
}

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
