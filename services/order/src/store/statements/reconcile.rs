//! The comparison of the orders with their events.

use feed_core::sql;
use sqlx::{FromRow, Row as _};

use super::{COLUMNS, Db, Pool, is_in, list, order};
use crate::order::{Order, OrderId, OrderLine, Summary};
use crate::store::Reconcile;

impl Reconcile for Db {
    async fn orders_after(pool: &Pool, after: OrderId, limit: i64) -> sqlx::Result<Vec<Order>> {
        let rows = sqlx::query(sql!(
            "SELECT -- order::after
             {COLUMNS} FROM orders WHERE id > $1 ORDER BY id LIMIT $2"
        ))
        .bind(after.0)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        let mut ids: Vec<i64> = Vec::new();
        for row in &rows {
            ids.push(row.try_get("id")?);
        }
        // Lines never change.
        let lines = sqlx::query(sql!(
            "SELECT -- order::lines_of
             order_id, count, item_id, item_name, price_cents
             FROM order_line WHERE order_id {in_list} ORDER BY order_id, line",
            in_list = is_in("$1")
        ))
        .bind(list(&ids))
        .fetch_all(pool)
        .await?;
        let (mut orders, mut lines) = (Vec::new(), lines.into_iter().peekable());
        for row in &rows {
            let summary = Summary::from_row(row)?;
            let mut own = Vec::new();
            while let Some(line) = lines.peek() {
                if line.try_get::<i64, _>("order_id")? != summary.id.0 {
                    break;
                }
                own.push(OrderLine::from_row(line)?);
                lines.next();
            }
            orders.push(order(row, summary, own)?);
        }
        Ok(orders)
    }

    async fn stored(pool: &Pool, orders: &[i64]) -> sqlx::Result<Vec<i64>> {
        sqlx::query_scalar(sql!(
            "SELECT -- order::stored
             id FROM orders WHERE id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(orders))
        .fetch_all(pool)
        .await
    }
}
