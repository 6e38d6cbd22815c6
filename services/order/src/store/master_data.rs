//! Customers and items. They change seldom and have no events of their own.

use feed_chassis::list::Search;
use feed_core::dialect::Answer;
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
    ) -> impl Answer<Vec<Customer>>;

    /// How many customers match.
    fn count_customers(pool: &Pool<Self>, search: Option<&Search>) -> impl Answer<i64>;

    fn customer(pool: &Pool<Self>, id: CustomerId) -> impl Answer<Option<Customer>>;

    fn insert_customer(pool: &Pool<Self>, customer: NewCustomer) -> impl Answer<Customer>;

    /// Changes a customer; false if there is none, or none like `only`. Their orders stay as they are.
    fn update_customer(
        pool: &Pool<Self>,
        customer: &Customer,
        only: Option<&Customer>,
    ) -> impl Answer<bool>;

    /// As [`MasterData::customers`].
    fn items(
        pool: &Pool<Self>,
        search: Option<&Search>,
        before: ItemId,
        limit: i64,
    ) -> impl Answer<Vec<Item>>;

    /// How many items match.
    fn count_items(pool: &Pool<Self>, search: Option<&Search>) -> impl Answer<i64>;

    fn item(pool: &Pool<Self>, id: ItemId) -> impl Answer<Option<Item>>;

    fn insert_item(pool: &Pool<Self>, item: NewItem) -> impl Answer<Item>;

    /// Changes an item; false if there is none, or none like `only`. Orders stay as they are.
    fn update_item(pool: &Pool<Self>, item: &Item, only: Option<&Item>) -> impl Answer<bool>;
}
