//! Customers and items. They change seldom and have no events of their own.

use std::future::Future;

use feed_chassis::list::Search;
use sqlx::Pool;

use crate::order::{Customer, CustomerId, Item, ItemId, NewCustomer, NewItem};

/// A database that can hold customers and items. Lists are newest first.
pub trait MasterData: feed_core::Backend {
    /// The newest `limit` customers before `before` that have the number or the text of `search`, if there is one, in
    /// name or e-mail address.
    fn customers(
        pool: &Pool<Self>,
        search: Option<&Search>,
        before: CustomerId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Customer>>> + Send;

    /// How many customers match.
    fn count_customers(
        pool: &Pool<Self>,
        search: Option<&Search>,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    fn customer(
        pool: &Pool<Self>,
        id: CustomerId,
    ) -> impl Future<Output = sqlx::Result<Option<Customer>>> + Send;

    fn insert_customer(
        pool: &Pool<Self>,
        customer: NewCustomer,
    ) -> impl Future<Output = sqlx::Result<Customer>> + Send;

    /// Changes a customer; false if there is none, or none like `only`. Their orders stay as they are.
    fn update_customer(
        pool: &Pool<Self>,
        customer: &Customer,
        only: Option<&Customer>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// As [`MasterData::customers`].
    fn items(
        pool: &Pool<Self>,
        search: Option<&Search>,
        before: ItemId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Item>>> + Send;

    /// How many items match.
    fn count_items(
        pool: &Pool<Self>,
        search: Option<&Search>,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    fn item(
        pool: &Pool<Self>,
        id: ItemId,
    ) -> impl Future<Output = sqlx::Result<Option<Item>>> + Send;

    fn insert_item(
        pool: &Pool<Self>,
        item: NewItem,
    ) -> impl Future<Output = sqlx::Result<Item>> + Send;

    /// Changes an item; false if there is none, or none like `only`. Orders stay as they are.
    fn update_item(
        pool: &Pool<Self>,
        item: &Item,
        only: Option<&Item>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
}
