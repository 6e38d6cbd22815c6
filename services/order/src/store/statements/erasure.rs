//! The erasure of a customer.

use feed_core::sql;

use super::{COLUMNS, Db, NOW, Pool, SETTLE, Transaction, whole};
use crate::order::{CustomerId, Order, OrderId};
use crate::store::Erasure;

impl Erasure for Db {
    async fn remove_customer(
        tx: &mut Transaction<'_>,
        customer: CustomerId,
        by: &str,
    ) -> sqlx::Result<bool> {
        let removed = sqlx::query(
            "DELETE -- order::remove_customer
             FROM customers WHERE id = $1",
        )
        .bind(customer.0)
        .execute(&mut **tx)
        .await?;
        if removed.rows_affected() == 0 {
            let erased: Option<i64> = sqlx::query_scalar(
                "SELECT -- order::erased
                 customer_id FROM erasure WHERE customer_id = $1",
            )
            .bind(customer.0)
            .fetch_optional(&mut **tx)
            .await?;
            return Ok(erased.is_some());
        }
        sqlx::query(sql!(
            "INSERT -- order::begin_erasure
             INTO erasure (customer_id, erased_by, begun_at)
             VALUES ($1, $2, {NOW}) ON CONFLICT (customer_id) DO UPDATE
             SET erased_by = excluded.erased_by, begun_at = excluded.begun_at,
                 done_at = NULL"
        ))
        .bind(customer.0)
        .bind(by)
        .execute(&mut **tx)
        .await?;
        Ok(true)
    }

    async fn settle(pool: &Pool, customer: CustomerId) -> sqlx::Result<()> {
        sqlx::query(SETTLE).bind(customer.0).execute(pool).await?;
        Ok(())
    }

    async fn orders_to_erase(
        pool: &Pool,
        customer: CustomerId,
        after: OrderId,
        limit: i64,
    ) -> sqlx::Result<Vec<OrderId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT -- order::to_erase
             id FROM orders
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

    async fn erase_order(tx: &mut Transaction<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
        let row = sqlx::query(sql!(
            "UPDATE -- order::erase
             orders
             SET customer_name = '', customer_firstname = '', customer_email = '',
                 shipping_street = '', shipping_zip = '', shipping_city = '',
                 billing_street = '', billing_zip = '', billing_city = ''
             WHERE id = $1 AND customer_name <> ''
             RETURNING {COLUMNS}"
        ))
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?;
        whole(&mut **tx, row).await
    }

    async fn finish_erasure(tx: &mut Transaction<'_>, customer: CustomerId) -> sqlx::Result<()> {
        sqlx::query(
            "DELETE -- order::erase_keys
             FROM idempotency_key
             WHERE order_id IN (SELECT id FROM orders WHERE customer_id = $1)",
        )
        .bind(customer.0)
        .execute(&mut **tx)
        .await?;
        sqlx::query(sql!(
            "UPDATE -- order::finish_erasure
             erasure SET done_at = {NOW} WHERE customer_id = $1 AND done_at IS NULL"
        ))
        .bind(customer.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
