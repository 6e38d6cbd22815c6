//! The statements that differ between the databases at most by a clock, a function or a list. Each database's module
//! compiles this folder, with its dialect.

mod erasure;
mod lists;
mod reconcile;
mod records;

use std::collections::BTreeSet;

use feed_core::sql;
use feed_core::transfer::Migrations;
use rust_decimal::Decimal;
use sqlx::{FromRow, Row as _};

use super::{Db, GREATEST, MIGRATIONS, NAMED_CUSTOMER, NOW, Row, SETTLE, is_in, list};
use crate::order::{
    Address, Customer, CustomerId, Item, ItemId, NewOrder, Order, OrderId, OrderLine, Status,
    Summary,
};
use crate::rules::Catalog;
use crate::store::{KeyClaim, MAX_CHOICES, Selection, Store};

type Pool = sqlx::Pool<Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// The columns of an order, without its lines.
const COLUMNS: &str = "id, status, placed, updated,
             customer_id, customer_name, customer_firstname, customer_email,
             shipping_street, shipping_zip, shipping_city,
             billing_street, billing_zip, billing_city, number_of_lines, total_cents";

impl Store for Db {
    const MIGRATIONS: Migrations = MIGRATIONS;

    async fn insert(tx: &mut Transaction<'_>, order: NewOrder) -> sqlx::Result<Option<Order>> {
        super::insert(tx, order).await
    }

    async fn number_after(pool: &Pool, table: &'static str, last: i64) -> sqlx::Result<i64> {
        super::number_after(pool, table, last).await
    }

    async fn catalog(
        pool: &Pool,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> sqlx::Result<Catalog> {
        let most = MAX_CHOICES as i64;
        let customers = sqlx::query_as(
            "SELECT -- order::customers
             id, name, firstname, email FROM customers
             WHERE id = $1 OR id IN (SELECT id FROM customers ORDER BY id LIMIT $2)",
        )
        .bind(customer.map(|customer| customer.0))
        .bind(most)
        .fetch_all(pool)
        .await?;
        let items: Vec<i64> = items.iter().map(|item| item.0).collect();
        let items = sqlx::query_as(sql!(
            "SELECT -- order::items
             id, name, price_cents FROM items
             WHERE id {in_list} OR id IN (SELECT id FROM items ORDER BY id LIMIT $2)",
            in_list = is_in("$1")
        ))
        .bind(list(&items))
        .bind(most)
        .fetch_all(pool)
        .await?;
        Ok(catalog(customers, items))
    }

    async fn named(
        tx: &mut Transaction<'_>,
        customer: Option<CustomerId>,
        items: &BTreeSet<ItemId>,
    ) -> sqlx::Result<Catalog> {
        let customers = sqlx::query_as(NAMED_CUSTOMER)
            .bind(customer.map(|customer| customer.0))
            .fetch_all(&mut **tx)
            .await?;
        let items: Vec<i64> = items.iter().map(|item| item.0).collect();
        let items = sqlx::query_as(sql!(
            "SELECT -- order::named_items
             id, name, price_cents FROM items WHERE id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(&items))
        .fetch_all(&mut **tx)
        .await?;
        Ok(catalog(customers, items))
    }

    async fn cancel(tx: &mut Transaction<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
        // Locks the row before the event is appended, so that the events of an order are in the order of its changes
        // (I6). A second caller waits here, and then finds it cancelled.
        let row = sqlx::query(sql!(
            "UPDATE -- order::cancel
             orders
             SET status = 'cancelled',
                 updated = {GREATEST}(updated, {NOW})
             WHERE id = $1 AND status = 'placed'
             RETURNING {COLUMNS}"
        ))
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?;
        whole(&mut **tx, row).await
    }

    async fn find(pool: &Pool, id: OrderId) -> sqlx::Result<Option<Order>> {
        let row = sqlx::query(sql!(
            "SELECT -- order::find
             {COLUMNS} FROM orders WHERE id = $1"
        ))
        .bind(id.0)
        .fetch_optional(pool)
        .await?;
        whole(pool, row).await
    }

    async fn list(
        pool: &Pool,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> sqlx::Result<Vec<Summary>> {
        lists::orders(pool, selection, before, limit).await
    }

    async fn count(pool: &Pool, selection: &Selection) -> sqlx::Result<i64> {
        lists::count_orders(pool, selection).await
    }

    async fn claim_key(
        tx: &mut Transaction<'_>,
        key: &str,
        fingerprint: i64,
    ) -> sqlx::Result<KeyClaim> {
        // The update changes nothing. It makes the row of an earlier request visible here.
        let (fingerprint, order): (i64, Option<i64>) = sqlx::query_as(
            "INSERT -- order::claim_key
             INTO idempotency_key (key, fingerprint) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET key = excluded.key
             RETURNING fingerprint, order_id",
        )
        .bind(key)
        .bind(fingerprint)
        .fetch_one(&mut **tx)
        .await?;
        Ok(match order.map(OrderId) {
            None => KeyClaim::Ours,
            Some(order) => KeyClaim::Used { fingerprint, order },
        })
    }

    async fn fulfil_key(tx: &mut Transaction<'_>, key: &str, order: OrderId) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- order::fulfil_key
             idempotency_key SET order_id = $2 WHERE key = $1",
        )
        .bind(key)
        .bind(order.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// The order of a row with its lines, if there is a row.
async fn whole(
    executor: impl sqlx::Executor<'_, Database = Db>,
    row: Option<Row>,
) -> sqlx::Result<Option<Order>> {
    let Some(row) = row else { return Ok(None) };
    let summary = Summary::from_row(&row)?;
    let lines = sqlx::query_as(
        "SELECT -- order::lines
         count, item_id, item_name, price_cents
         FROM order_line WHERE order_id = $1 ORDER BY line",
    )
    .bind(summary.id.0)
    .fetch_all(executor)
    .await?;
    order(&row, summary, lines).map(Some)
}

/// The order of a row.
fn order(row: &Row, summary: Summary, lines: Vec<OrderLine>) -> sqlx::Result<Order> {
    let Summary {
        id,
        status,
        placed,
        updated,
        customer,
        total,
        number_of_lines,
    } = summary;
    Ok(Order {
        id,
        status,
        placed,
        updated,
        customer,
        shipping_address: Address {
            street: row.try_get("shipping_street")?,
            zip: row.try_get("shipping_zip")?,
            city: row.try_get("shipping_city")?,
        },
        billing_address: Address {
            street: row.try_get("billing_street")?,
            zip: row.try_get("billing_zip")?,
            city: row.try_get("billing_city")?,
        },
        lines,
        number_of_lines,
        total,
    })
}

impl FromRow<'_, Row> for Summary {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: OrderId(row.try_get("id")?),
            status: status(row.try_get("status")?)?,
            placed: row.try_get("placed")?,
            updated: row.try_get("updated")?,
            customer: Customer {
                id: CustomerId(row.try_get("customer_id")?),
                name: row.try_get("customer_name")?,
                firstname: row.try_get("customer_firstname")?,
                email: row.try_get("customer_email")?,
            },
            number_of_lines: row.try_get("number_of_lines")?,
            total: from_cents(row.try_get("total_cents")?),
        })
    }
}

impl FromRow<'_, Row> for OrderLine {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            count: row.try_get("count")?,
            item: Item {
                id: ItemId(row.try_get("item_id")?),
                name: row.try_get("item_name")?,
                price: from_cents(row.try_get("price_cents")?),
            },
        })
    }
}

impl FromRow<'_, Row> for Customer {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: CustomerId(row.try_get("id")?),
            name: row.try_get("name")?,
            firstname: row.try_get("firstname")?,
            email: row.try_get("email")?,
        })
    }
}

impl FromRow<'_, Row> for Item {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: ItemId(row.try_get("id")?),
            name: row.try_get("name")?,
            price: from_cents(row.try_get("price_cents")?),
        })
    }
}

fn catalog(customers: Vec<Customer>, items: Vec<Item>) -> Catalog {
    Catalog {
        customers: customers.into_iter().map(|c| (c.id, c)).collect(),
        items: items.into_iter().map(|item| (item.id, item)).collect(),
    }
}

fn status(text: &str) -> sqlx::Result<Status> {
    let mut all = Status::ALL.iter().copied();
    all.find(|status| status.as_str() == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("no order has the status {text}").into()))
}

fn from_cents(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}
