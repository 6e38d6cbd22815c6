//! Customers and items.

use feed_core::sql;

use super::{Db, Pool, matches};
use crate::order::{Customer, CustomerId, Item, ItemId, NewCustomer, NewItem};
use crate::store::{MasterData, to_cents};

/// The text of a customer in which a search looks.
const CUSTOMER: &str = "firstname || ' ' || name || ' ' || email";
/// The text of an item in which a search looks.
const ITEM: &str = "name";

impl MasterData for Db {
    async fn customers(
        pool: &Pool,
        search: Option<&str>,
        before: CustomerId,
        limit: i64,
    ) -> sqlx::Result<Vec<Customer>> {
        sqlx::query_as(sql!(
            "SELECT -- order::list_customers
             id, name, firstname, email FROM customers
             WHERE ($1 = '' OR {found}) AND id < $2 ORDER BY id DESC LIMIT $3",
            found = matches(CUSTOMER)
        ))
        .bind(search.unwrap_or_default())
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn count_customers(pool: &Pool, search: Option<&str>) -> sqlx::Result<i64> {
        sqlx::query_scalar(sql!(
            "SELECT -- order::count_customers
             count(*) FROM customers WHERE ($1 = '' OR {found})",
            found = matches(CUSTOMER)
        ))
        .bind(search.unwrap_or_default())
        .fetch_one(pool)
        .await
    }

    async fn customer(pool: &Pool, id: CustomerId) -> sqlx::Result<Option<Customer>> {
        sqlx::query_as(
            "SELECT -- order::customer
             id, name, firstname, email FROM customers WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(pool)
        .await
    }

    async fn insert_customer(pool: &Pool, customer: NewCustomer) -> sqlx::Result<Customer> {
        let id = sqlx::query_scalar(
            "INSERT -- order::insert_customer
             INTO customers (name, firstname, email) VALUES ($1, $2, $3)
             RETURNING id",
        )
        .bind(&customer.name)
        .bind(&customer.firstname)
        .bind(&customer.email)
        .fetch_one(pool)
        .await?;
        Ok(customer.with_id(CustomerId(id)))
    }

    async fn update_customer(pool: &Pool, customer: &Customer) -> sqlx::Result<bool> {
        let done = sqlx::query(
            "UPDATE -- order::update_customer
             customers SET name = $2, firstname = $3, email = $4 WHERE id = $1",
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
        pool: &Pool,
        search: Option<&str>,
        before: ItemId,
        limit: i64,
    ) -> sqlx::Result<Vec<Item>> {
        sqlx::query_as(sql!(
            "SELECT -- order::list_items
             id, name, price_cents FROM items
             WHERE ($1 = '' OR {found}) AND id < $2 ORDER BY id DESC LIMIT $3",
            found = matches(ITEM)
        ))
        .bind(search.unwrap_or_default())
        .bind(before.0)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn count_items(pool: &Pool, search: Option<&str>) -> sqlx::Result<i64> {
        sqlx::query_scalar(sql!(
            "SELECT -- order::count_items
             count(*) FROM items WHERE ($1 = '' OR {found})",
            found = matches(ITEM)
        ))
        .bind(search.unwrap_or_default())
        .fetch_one(pool)
        .await
    }

    async fn item(pool: &Pool, id: ItemId) -> sqlx::Result<Option<Item>> {
        sqlx::query_as(
            "SELECT -- order::item
             id, name, price_cents FROM items WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(pool)
        .await
    }

    async fn insert_item(pool: &Pool, item: NewItem) -> sqlx::Result<Item> {
        let id = sqlx::query_scalar(
            "INSERT -- order::insert_item
             INTO items (name, price_cents) VALUES ($1, $2) RETURNING id",
        )
        .bind(&item.name)
        .bind(to_cents(item.price)?)
        .fetch_one(pool)
        .await?;
        Ok(item.with_id(ItemId(id)))
    }

    async fn update_item(pool: &Pool, item: &Item) -> sqlx::Result<bool> {
        let done = sqlx::query(
            "UPDATE -- order::update_item
             items SET name = $2, price_cents = $3 WHERE id = $1",
        )
        .bind(item.id.0)
        .bind(&item.name)
        .bind(to_cents(item.price)?)
        .execute(pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
