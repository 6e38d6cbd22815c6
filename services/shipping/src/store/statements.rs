//! The statements that differ between the databases at most by a clock or a list. Each database's module compiles
//! this file, with its dialect.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use feed_console::list::{Listed, push_search};
use feed_core::dialect::Column;
use feed_core::sql;
use feed_core::transfer::Migrations;
use sqlx::{QueryBuilder, Row as _};

use super::{Db, MIGRATIONS, NOW, Row, arguments, is_in, list, rows};
use crate::order::{Address, Customer, Item, Line, OrderId};
use crate::shipment::{Cause, Shipment};
use crate::store::{Selection, Store};

type Pool = sqlx::Pool<Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// The columns that [`shipment`] reads.
const COLUMNS: &str = "order_id, placed_at, dispatched_at, cancelled_at,
             customer_id, customer_name, customer_firstname,
             shipping_street, shipping_zip, shipping_city, cause";

const LIST: Listed = Listed {
    table: "shipment",
    number: "order_id",
    time: "placed_at",
};

/// The text in which a search looks.
const NAME: &str = "customer_firstname || ' ' || customer_name";

impl Store for Db {
    const MIGRATIONS: Migrations = MIGRATIONS;

    async fn causes(
        tx: &mut Transaction<'_>,
        orders: &[OrderId],
    ) -> sqlx::Result<HashMap<OrderId, Cause>> {
        let rows: Vec<(i64, Option<String>, i64, DateTime<Utc>)> = sqlx::query_as(sql!(
            "SELECT -- shipment::causes
             order_id, cause, customer_id, placed_at FROM shipment WHERE order_id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(&numbers(orders)))
        .fetch_all(&mut **tx)
        .await?;
        let causes = rows.into_iter().map(|(id, event, customer, placed)| {
            let cause = Cause {
                event,
                customer,
                placed,
            };
            (OrderId(id), cause)
        });
        Ok(causes.collect())
    }

    async fn insert(tx: &mut Transaction<'_>, shipments: &[Shipment]) -> sqlx::Result<()> {
        let columns = [
            Column::integers(shipments, |shipment| shipment.order.0),
            Column::instants(shipments, |shipment| shipment.placed),
            Column::integers(shipments, |shipment| shipment.customer.id),
            Column::texts(shipments, |shipment| shipment.customer.name.as_str()),
            Column::texts(shipments, |shipment| shipment.customer.firstname.as_str()),
            Column::texts(shipments, |shipment| {
                shipment.shipping_address.street.as_str()
            }),
            Column::texts(shipments, |shipment| shipment.shipping_address.zip.as_str()),
            Column::texts(shipments, |shipment| {
                shipment.shipping_address.city.as_str()
            }),
            Column::texts(shipments, |shipment| shipment.cause.as_deref()),
        ];
        let insert = sql!(
            "INSERT -- shipment::insert
             INTO shipment
                 (order_id, placed_at, customer_id, customer_name, customer_firstname,
                  shipping_street, shipping_zip, shipping_city, cause)
             SELECT * FROM {rows}",
            rows = rows(
                "made",
                "order_id bigint, placed_at timestamptz, customer_id bigint, \
                 customer_name text, customer_firstname text, shipping_street text, \
                 shipping_zip text, shipping_city text, cause text"
            )
        );
        sqlx::query_with(insert, arguments(&columns)?)
            .execute(&mut **tx)
            .await?;
        insert_lines(tx, shipments).await
    }

    async fn cancel(
        tx: &mut Transaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<(OrderId, bool)>> {
        let columns = [
            Column::integers(cancelled, |(order, _)| order.0),
            Column::instants(cancelled, |(_, at)| *at),
        ];
        let cancel = sql!(
            "UPDATE -- shipment::cancel
             shipment SET cancelled_at = cancelled.at
             FROM {rows}
             WHERE shipment.order_id = cancelled.order_id AND cancelled_at IS NULL
             RETURNING shipment.order_id, dispatched_at IS NOT NULL",
            rows = rows("cancelled", "order_id bigint, at timestamptz")
        );
        let rows: Vec<(i64, bool)> = sqlx::query_as_with(cancel, arguments(&columns)?)
            .fetch_all(&mut **tx)
            .await?;
        let known = rows.into_iter().map(|(id, left)| (OrderId(id), left));
        Ok(known.collect())
    }

    async fn erase(tx: &mut Transaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- shipment::erase
             shipment
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
            "UPDATE -- shipment::dispatch
             shipment SET dispatched_at = {NOW}
             WHERE order_id = $1 AND dispatched_at IS NULL AND cancelled_at IS NULL
               AND NOT (shipping_street = '' AND shipping_zip = '' AND shipping_city = '')"
        ))
        .bind(id.0)
        .execute(pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn find(pool: &Pool, id: OrderId) -> sqlx::Result<Option<Shipment>> {
        let rows = sqlx::query(sql!(
            "SELECT -- shipment::find
             {COLUMNS} FROM shipment WHERE order_id = $1"
        ))
        .bind(id.0)
        .fetch_all(pool)
        .await?;
        Ok(shipments(pool, rows).await?.pop())
    }

    async fn list(
        pool: &Pool,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> sqlx::Result<Vec<Shipment>> {
        let mut query = QueryBuilder::new(format!(
            "SELECT -- shipment::list
             {COLUMNS} FROM shipment WHERE "
        ));
        LIST.push_page(&mut query, selection.placed, before.map(|id| id.0));
        select(&mut query, selection);
        LIST.push_order(&mut query, selection.placed, limit);
        shipments(pool, query.build().fetch_all(pool).await?).await
    }

    async fn count(pool: &Pool, selection: &Selection) -> sqlx::Result<i64> {
        let mut query = QueryBuilder::new(
            "SELECT -- shipment::count
             count(*) FROM shipment WHERE TRUE",
        );
        select(&mut query, selection);
        query.build_query_scalar().fetch_one(pool).await
    }
}

/// Appends the conditions of a selection. One that is not asked for is not there, so that the database finds the index
/// for those that are.
fn select(query: &mut QueryBuilder<Db>, selection: &Selection) {
    if let Some(order) = selection.order {
        query.push(" AND order_id = ").push_bind(order.0);
    }
    if let Some(search) = &selection.search {
        match search.number() {
            Some(order) => {
                query.push(" AND order_id = ").push_bind(order);
            }
            None => {
                push_search(query, NAME, search);
            }
        }
    }
    if let Some(status) = selection.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    LIST.push_days(query, selection.placed);
}

/// Stores the lines of shipments.
async fn insert_lines(tx: &mut Transaction<'_>, shipments: &[Shipment]) -> sqlx::Result<()> {
    let mut lines: Vec<(OrderId, i64, &Line)> = Vec::new();
    for shipment in shipments {
        let numbered = (1..).zip(&shipment.lines);
        lines.extend(numbered.map(|(number, line)| (shipment.order, number, line)));
    }
    let columns = [
        Column::integers(&lines, |(order, _, _)| order.0),
        Column::integers(&lines, |(_, number, _)| *number),
        Column::integers(&lines, |(_, _, line)| line.count),
        Column::integers(&lines, |(_, _, line)| line.item.id),
        Column::texts(&lines, |(_, _, line)| line.item.name.as_str()),
    ];
    let insert = sql!(
        "INSERT -- shipment::insert_lines
         INTO shipment_line (order_id, line, count, item_id, item_name)
         SELECT * FROM {rows}",
        rows = rows(
            "lines",
            "order_id bigint, line bigint, count bigint, item_id bigint, item_name text"
        )
    );
    sqlx::query_with(insert, arguments(&columns)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The shipments of rows, with their lines.
async fn shipments(pool: &Pool, rows: Vec<Row>) -> sqlx::Result<Vec<Shipment>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut shipments: Vec<Shipment> = rows.iter().map(shipment).collect::<sqlx::Result<_>>()?;
    let orders: Vec<i64> = shipments.iter().map(|shipment| shipment.order.0).collect();
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql!(
        "SELECT -- shipment::lines
         order_id, count, item_id, item_name
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
