//! The statements that differ between the databases at most by a clock or a list. Each database's module compiles
//! this file, with its dialect.

use std::collections::HashMap;

use feed_core::sql;
use sqlx::Row as _;

use super::{Db, NOW, Row, is_in, list};
use crate::order::{Address, Customer, Item, Line, OrderId};
use crate::shipment::Shipment;
use crate::store::Store;

type Pool = sqlx::Pool<Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// The columns that [`shipment`] reads.
const COLUMNS: &str = "order_id, placed_at, dispatched_at, cancelled_at,
             customer_id, customer_name, customer_firstname,
             shipping_street, shipping_zip, shipping_city, cause";

impl Store for Db {
    async fn causes(
        tx: &mut Transaction<'_>,
        orders: &[OrderId],
    ) -> sqlx::Result<HashMap<OrderId, Option<String>>> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(sql!(
            "-- shipment::causes
             SELECT order_id, cause FROM shipment WHERE order_id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(&numbers(orders)))
        .fetch_all(&mut **tx)
        .await?;
        let causes = rows.into_iter().map(|(id, cause)| (OrderId(id), cause));
        Ok(causes.collect())
    }

    async fn erase(tx: &mut Transaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "-- shipment::erase
             UPDATE shipment
             SET customer_name = '', customer_firstname = '',
                 shipping_street = '', shipping_zip = '', shipping_city = ''
             WHERE order_id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(&numbers(orders)))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn dispatch(pool: &Pool, id: OrderId) -> sqlx::Result<bool> {
        let done = sqlx::query(sql!(
            "-- shipment::dispatch
             UPDATE shipment SET dispatched_at = {NOW}
             WHERE order_id = $1 AND dispatched_at IS NULL AND cancelled_at IS NULL"
        ))
        .bind(id.0)
        .execute(pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn find(pool: &Pool, id: OrderId) -> sqlx::Result<Option<Shipment>> {
        let rows = sqlx::query(sql!(
            "-- shipment::find
             SELECT {COLUMNS} FROM shipment WHERE order_id = $1"
        ))
        .bind(id.0)
        .fetch_all(pool)
        .await?;
        Ok(shipments(pool, rows).await?.pop())
    }

    async fn list(pool: &Pool, before: OrderId, limit: i64) -> sqlx::Result<Vec<Shipment>> {
        let rows = sqlx::query(sql!(
            "-- shipment::list
             SELECT {COLUMNS} FROM shipment WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2"
        ))
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        shipments(pool, rows).await
    }

    async fn count(pool: &Pool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- shipment::count
             SELECT count(*) FROM shipment",
        )
        .fetch_one(pool)
        .await
    }
}

/// The shipments of rows, with their lines.
async fn shipments(pool: &Pool, rows: Vec<Row>) -> sqlx::Result<Vec<Shipment>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut shipments: Vec<Shipment> = rows.iter().map(shipment).collect::<sqlx::Result<_>>()?;
    let orders: Vec<i64> = shipments.iter().map(|shipment| shipment.order.0).collect();
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql!(
        "-- shipment::lines
         SELECT order_id, count, item_id, item_name
         FROM shipment_line WHERE order_id {in_list} ORDER BY order_id, line",
        in_list = is_in("$1")
    ))
    .bind(list(&orders))
    .fetch_all(pool)
    .await?;
    let mut lines: HashMap<OrderId, Vec<Line>> = HashMap::new();
    for (order, count, id, name) in rows {
        let item = Item { id, name };
        let of_order = lines.entry(OrderId(order)).or_default();
        of_order.push(Line { count, item });
    }
    for shipment in &mut shipments {
        shipment.lines = lines.remove(&shipment.order).unwrap_or_default();
    }
    Ok(shipments)
}

/// The shipment of a row, still without its lines.
fn shipment(row: &Row) -> sqlx::Result<Shipment> {
    Ok(Shipment {
        order: OrderId(row.try_get("order_id")?),
        placed: row.try_get("placed_at")?,
        dispatched: row.try_get("dispatched_at")?,
        cancelled: row.try_get("cancelled_at")?,
        customer: Customer {
            id: row.try_get("customer_id")?,
            name: row.try_get("customer_name")?,
            firstname: row.try_get("customer_firstname")?,
        },
        shipping_address: Address {
            street: row.try_get("shipping_street")?,
            zip: row.try_get("shipping_zip")?,
            city: row.try_get("shipping_city")?,
        },
        lines: Vec::new(),
        cause: row.try_get("cause")?,
    })
}

fn numbers(orders: &[OrderId]) -> Vec<i64> {
    orders.iter().map(|order| order.0).collect()
}
