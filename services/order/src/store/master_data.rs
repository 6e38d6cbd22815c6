//! Customers and items, which change seldom and stand in no event of their own: the same statements
//! for both databases.

use std::future::Future;

use sqlx::{Pool, Postgres, Sqlite};

use super::rows::{CustomerRow, ItemRow, customer, item, to_cents};
use crate::order::{Customer, CustomerId, Item, ItemId, NewCustomer, NewItem};

/// A database that can hold customers and items. Lists are newest first.
pub trait MasterData: feed_core::Backend {
    /// The newest `limit` customers before `before`, whose name, e-mail or number matches `search`
    /// if there is one.
    fn customers(
        pool: &Pool<Self>,
        search: Option<&str>,
        before: CustomerId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Customer>>> + Send;

    /// How many customers match.
    fn count_customers(
        pool: &Pool<Self>,
        search: Option<&str>,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    fn customer(
        pool: &Pool<Self>,
        id: CustomerId,
    ) -> impl Future<Output = sqlx::Result<Option<Customer>>> + Send;

    fn insert_customer(
        pool: &Pool<Self>,
        customer: NewCustomer,
    ) -> impl Future<Output = sqlx::Result<Customer>> + Send;

    /// Changes a customer; false if there is none. What was sold to them stays as it was.
    fn update_customer(
        pool: &Pool<Self>,
        customer: &Customer,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// As [`MasterData::customers`].
    fn items(
        pool: &Pool<Self>,
        search: Option<&str>,
        before: ItemId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Item>>> + Send;

    /// How many items match.
    fn count_items(
        pool: &Pool<Self>,
        search: Option<&str>,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    fn item(
        pool: &Pool<Self>,
        id: ItemId,
    ) -> impl Future<Output = sqlx::Result<Option<Item>>> + Send;

    fn insert_item(
        pool: &Pool<Self>,
        item: NewItem,
    ) -> impl Future<Output = sqlx::Result<Item>> + Send;

    /// Changes an item; false if there is none. What was sold stays as it was.
    fn update_item(
        pool: &Pool<Self>,
        item: &Item,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
}

/// The text that a row is searched in; `$contains` is the database's own word for where one text
/// stands in another.
macro_rules! matches_customer {
    ($contains:literal) => {
        concat!(
            "($1 = '' OR CAST(id AS TEXT) = $1 OR ",
            $contains,
            "(lower(firstname || ' ' || name || ' ' || email), lower($1)) > 0)"
        )
    };
}
macro_rules! matches_item {
    ($contains:literal) => {
        concat!(
            "($1 = '' OR CAST(id AS TEXT) = $1 OR ",
            $contains,
            "(lower(name), lower($1)) > 0)"
        )
    };
}

macro_rules! master_data {
    ($database:ty, $contains:literal) => {
        impl MasterData for $database {
            async fn customers(
                pool: &Pool<Self>,
                search: Option<&str>,
                before: CustomerId,
                limit: i64,
            ) -> sqlx::Result<Vec<Customer>> {
                let rows: Vec<CustomerRow> = sqlx::query_as(concat!(
                    "-- order::list_customers
                     SELECT id, name, firstname, email FROM customers
                     WHERE ",
                    matches_customer!($contains),
                    " AND id < $2 ORDER BY id DESC LIMIT $3"
                ))
                .bind(search.unwrap_or_default())
                .bind(before.0)
                .bind(limit)
                .fetch_all(pool)
                .await?;
                Ok(rows.into_iter().map(customer).collect())
            }

            async fn count_customers(
                pool: &Pool<Self>,
                search: Option<&str>,
            ) -> sqlx::Result<i64> {
                sqlx::query_scalar(concat!(
                    "-- order::count_customers
                     SELECT count(*) FROM customers WHERE ",
                    matches_customer!($contains)
                ))
                .bind(search.unwrap_or_default())
                .fetch_one(pool)
                .await
            }

            async fn customer(
                pool: &Pool<Self>,
                id: CustomerId,
            ) -> sqlx::Result<Option<Customer>> {
                let row: Option<CustomerRow> = sqlx::query_as(
                    "-- order::customer
                     SELECT id, name, firstname, email FROM customers WHERE id = $1",
                )
                .bind(id.0)
                .fetch_optional(pool)
                .await?;
                Ok(row.map(customer))
            }

            async fn insert_customer(
                pool: &Pool<Self>,
                customer: NewCustomer,
            ) -> sqlx::Result<Customer> {
                let id = sqlx::query_scalar(
                    "-- order::insert_customer
                     INSERT INTO customers (name, firstname, email) VALUES ($1, $2, $3)
                     RETURNING id",
                )
                .bind(&customer.name)
                .bind(&customer.firstname)
                .bind(&customer.email)
                .fetch_one(pool)
                .await?;
                Ok(customer.with_id(CustomerId(id)))
            }

            async fn update_customer(
                pool: &Pool<Self>,
                customer: &Customer,
            ) -> sqlx::Result<bool> {
                let done = sqlx::query(
                    "-- order::update_customer
                     UPDATE customers SET name = $2, firstname = $3, email = $4 WHERE id = $1",
                )
                .bind(customer.id.0)
                .bind(&customer.name)
                .bind(&customer.firstname)
                .bind(&customer.email)
                .execute(pool)
                .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn items(
                pool: &Pool<Self>,
                search: Option<&str>,
                before: ItemId,
                limit: i64,
            ) -> sqlx::Result<Vec<Item>> {
                let rows: Vec<ItemRow> = sqlx::query_as(concat!(
                    "-- order::list_items
                     SELECT id, name, price_cents FROM items
                     WHERE ",
                    matches_item!($contains),
                    " AND id < $2 ORDER BY id DESC LIMIT $3"
                ))
                .bind(search.unwrap_or_default())
                .bind(before.0)
                .bind(limit)
                .fetch_all(pool)
                .await?;
                Ok(rows.into_iter().map(item).collect())
            }

            async fn count_items(pool: &Pool<Self>, search: Option<&str>) -> sqlx::Result<i64> {
                sqlx::query_scalar(concat!(
                    "-- order::count_items
                     SELECT count(*) FROM items WHERE ",
                    matches_item!($contains)
                ))
                .bind(search.unwrap_or_default())
                .fetch_one(pool)
                .await
            }

            async fn item(pool: &Pool<Self>, id: ItemId) -> sqlx::Result<Option<Item>> {
                let row: Option<ItemRow> = sqlx::query_as(
                    "-- order::item
                     SELECT id, name, price_cents FROM items WHERE id = $1",
                )
                .bind(id.0)
                .fetch_optional(pool)
                .await?;
                Ok(row.map(item))
            }

            async fn insert_item(pool: &Pool<Self>, item: NewItem) -> sqlx::Result<Item> {
                let id = sqlx::query_scalar(
                    "-- order::insert_item
                     INSERT INTO items (name, price_cents) VALUES ($1, $2) RETURNING id",
                )
                .bind(&item.name)
                .bind(to_cents(item.price)?)
                .fetch_one(pool)
                .await?;
                Ok(item.with_id(ItemId(id)))
            }

            async fn update_item(pool: &Pool<Self>, item: &Item) -> sqlx::Result<bool> {
                let done = sqlx::query(
                    "-- order::update_item
                     UPDATE items SET name = $2, price_cents = $3 WHERE id = $1",
                )
                .bind(item.id.0)
                .bind(&item.name)
                .bind(to_cents(item.price)?)
                .execute(pool)
                .await?;
                Ok(done.rows_affected() == 1)
            }
        }
    };
}

master_data!(Sqlite, "instr");
master_data!(Postgres, "strpos");
