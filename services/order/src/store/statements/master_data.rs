//! Customers and items.

use feed_chassis::list::Search;
use sqlx::QueryBuilder;

use super::lists::found;
use super::{Db, Pool};
use crate::order::{Customer, CustomerId, Item, ItemId, NewCustomer, NewItem};
use crate::store::{MasterData, to_cents};

/// The text of a customer in which a search looks.
const CUSTOMER: &str = "firstname || ' ' || name || ' ' || email";
/// The text of an item in which a search looks.
const ITEM: &str = "name";

impl MasterData for Db {
    async fn customers(
        pool: &Pool,
        search: Option<&Search>,
        before: CustomerId,
        limit: i64,
    ) -> sqlx::Result<Vec<Customer>> {
        let mut query = QueryBuilder::new(
            "SELECT -- order::list_customers
             id, name, firstname, email FROM customers WHERE id < ",
        );
        query.push_bind(before.0);
        found(&mut query, CUSTOMER, search);
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(pool).await
    }

    async fn count_customers(pool: &Pool, search: Option<&Search>) -> sqlx::Result<i64> {
        let mut query = QueryBuilder::new(
            "SELECT -- order::count_customers
             count(*) FROM customers WHERE TRUE",
        );
        found(&mut query, CUSTOMER, search);
        query.build_query_scalar().fetch_one(pool).await
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

    async fn update_customer(
        pool: &Pool,
        customer: &Customer,
        only: Option<&Customer>,
    ) -> sqlx::Result<bool> {
        let mut query = QueryBuilder::new(
            "UPDATE -- order::update_customer
             customers SET name = ",
        );
        query.push_bind(&customer.name);
        query.push(", firstname = ").push_bind(&customer.firstname);
        query.push(", email = ").push_bind(&customer.email);
        query.push(" WHERE id = ").push_bind(customer.id.0);
        if let Some(only) = only {
            query.push(" AND name = ").push_bind(&only.name);
            query.push(" AND firstname = ").push_bind(&only.firstname);
            query.push(" AND email = ").push_bind(&only.email);
        }
        let done = query.build().execute(pool).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn items(
        pool: &Pool,
        search: Option<&Search>,
        before: ItemId,
        limit: i64,
    ) -> sqlx::Result<Vec<Item>> {
        let mut query = QueryBuilder::new(
            "SELECT -- order::list_items
             id, name, price_cents FROM items WHERE id < ",
        );
        query.push_bind(before.0);
        found(&mut query, ITEM, search);
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(pool).await
    }

    async fn count_items(pool: &Pool, search: Option<&Search>) -> sqlx::Result<i64> {
        let mut query = QueryBuilder::new(
            "SELECT -- order::count_items
             count(*) FROM items WHERE TRUE",
        );
        found(&mut query, ITEM, search);
        query.build_query_scalar().fetch_one(pool).await
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

    async fn update_item(pool: &Pool, item: &Item, only: Option<&Item>) -> sqlx::Result<bool> {
        let mut query = QueryBuilder::new(
            "UPDATE -- order::update_item
             items SET name = ",
        );
        query.push_bind(&item.name);
        query
            .push(", price_cents = ")
            .push_bind(to_cents(item.price)?);
        query.push(" WHERE id = ").push_bind(item.id.0);
        if let Some(only) = only {
            query.push(" AND name = ").push_bind(&only.name);
            query
                .push(" AND price_cents = ")
                .push_bind(to_cents(only.price)?);
        }
        let done = query.build().execute(pool).await?;
        Ok(done.rows_affected() == 1)
    }
}
