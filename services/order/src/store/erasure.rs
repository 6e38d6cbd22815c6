//! What erasing a customer asks of the database: the same statements for both.

use std::future::Future;

use sqlx::{Pool, Postgres, Sqlite, Transaction};

use super::rows::{OrderRow, order_columns};
use super::{postgres, sqlite};
use crate::order::{CustomerId, Order, OrderId};

/// A database in which customers can be erased.
pub trait Erasure: feed_core::Backend {
    /// Removes a customer, and records who has decided it. False: there is none, nor was one erased.
    fn remove_customer(
        tx: &mut Transaction<'_, Self>,
        customer: CustomerId,
        by: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Waits until the orders have ended that were being placed when the customer was removed.
    fn settle(
        pool: &Pool<Self>,
        customer: CustomerId,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The first `limit` orders after `after` that still name the customer.
    fn orders_to_erase(
        pool: &Pool<Self>,
        customer: CustomerId,
        after: OrderId,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<OrderId>>> + Send;

    /// Removes the person from an order, and locks it until the transaction ends. `None`: it names
    /// nobody.
    fn erase_order(
        tx: &mut Transaction<'_, Self>,
        id: OrderId,
    ) -> impl Future<Output = sqlx::Result<Option<Order>>> + Send;

    /// Drops what is left of the requests that placed the orders, which are never placed again; and
    /// records that all is done.
    fn finish_erasure(
        tx: &mut Transaction<'_, Self>,
        customer: CustomerId,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

macro_rules! erasure {
    ($database:ty, $now:literal, $settle:literal, $with_lines:path) => {
        impl Erasure for $database {
            async fn remove_customer(
                tx: &mut Transaction<'_, Self>,
                customer: CustomerId,
                by: &str,
            ) -> sqlx::Result<bool> {
                let removed = sqlx::query(
                    "-- order::remove_customer
                     DELETE FROM customers WHERE id = $1",
                )
                .bind(customer.0)
                .execute(&mut **tx)
                .await?;
                if removed.rows_affected() == 0 {
                    let erased: Option<i64> = sqlx::query_scalar(
                        "-- order::erased
                         SELECT customer_id FROM erasure WHERE customer_id = $1",
                    )
                    .bind(customer.0)
                    .fetch_optional(&mut **tx)
                    .await?;
                    return Ok(erased.is_some());
                }
                sqlx::query(concat!(
                    "-- order::begin_erasure
                     INSERT INTO erasure (customer_id, erased_by, begun_at)
                     VALUES ($1, $2, ",
                    $now,
                    ") ON CONFLICT (customer_id) DO UPDATE
                     SET erased_by = excluded.erased_by, begun_at = excluded.begun_at,
                         done_at = NULL"
                ))
                .bind(customer.0)
                .bind(by)
                .execute(&mut **tx)
                .await?;
                Ok(true)
            }

            async fn settle(pool: &Pool<Self>, customer: CustomerId) -> sqlx::Result<()> {
                sqlx::query($settle).bind(customer.0).execute(pool).await?;
                Ok(())
            }

            async fn orders_to_erase(
                pool: &Pool<Self>,
                customer: CustomerId,
                after: OrderId,
                limit: i64,
            ) -> sqlx::Result<Vec<OrderId>> {
                let ids: Vec<i64> = sqlx::query_scalar(
                    "-- order::to_erase
                     SELECT id FROM orders
                     WHERE customer_id = $1 AND customer_name <> '' AND id > $2
                     ORDER BY id LIMIT $3",
                )
                .bind(customer.0)
                .bind(after.0)
                .bind(limit)
                .fetch_all(pool)
                .await?;
                Ok(ids.into_iter().map(OrderId).collect())
            }

            async fn erase_order(
                tx: &mut Transaction<'_, Self>,
                id: OrderId,
            ) -> sqlx::Result<Option<Order>> {
                let row: Option<OrderRow> = sqlx::query_as(concat!(
                    "-- order::erase
                     UPDATE orders
                     SET customer_name = '', customer_firstname = '', customer_email = '',
                         shipping_street = '', shipping_zip = '', shipping_city = '',
                         billing_street = '', billing_zip = '', billing_city = ''
                     WHERE id = $1 AND customer_name <> ''
                     RETURNING ",
                    order_columns!()
                ))
                .bind(id.0)
                .fetch_optional(&mut **tx)
                .await?;
                match row {
                    Some(row) => Ok(Some($with_lines(&mut **tx, row).await?)),
                    None => Ok(None),
                }
            }

            async fn finish_erasure(
                tx: &mut Transaction<'_, Self>,
                customer: CustomerId,
            ) -> sqlx::Result<()> {
                sqlx::query(
                    "-- order::erase_keys
                     DELETE FROM idempotency_key
                     WHERE order_id IN (SELECT id FROM orders WHERE customer_id = $1)",
                )
                .bind(customer.0)
                .execute(&mut **tx)
                .await?;
                sqlx::query(concat!(
                    "-- order::finish_erasure
                     UPDATE erasure SET done_at = ",
                    $now,
                    " WHERE customer_id = $1 AND done_at IS NULL"
                ))
                .bind(customer.0)
                .execute(&mut **tx)
                .await?;
                Ok(())
            }
        }
    };
}

// Who places an order in SQLite has the only write transaction: when a customer is removed, there is
// nothing to wait for.
erasure!(
    Sqlite,
    "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    "-- order::settle
     SELECT $1",
    sqlite::with_lines
);
// Who places an order holds the lock shared (`order::named_customer`), and looks again when it is
// inserted: who comes after us finds that the customer is gone.
erasure!(
    Postgres,
    "date_trunc('milliseconds', clock_timestamp())",
    "-- order::settle
     SELECT pg_advisory_xact_lock(hashtextextended('customer/' || $1::bigint, 0))",
    postgres::with_lines
);
