//! The statements that differ between the databases at most by a list. Each database's module compiles this file,
//! with its dialect.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use feed_console::list::{Listed, push_search};
use feed_core::dialect::Column;
use feed_core::sql;
use feed_core::transfer::Migrations;
use rust_decimal::Decimal;
use sqlx::{QueryBuilder, Row as _};

use super::{Db, MIGRATIONS, Row, arguments, is_in, list, rows};
use crate::invoice::{Cause, CreditNoteNumber, Invoice, InvoiceNumber};
use crate::money::{DECIMALS, cents};
use crate::order::{Address, Customer, Item, Line, OrderId};
use crate::store::{Selection, Store};

type Pool = sqlx::Pool<Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// The columns that [`invoice`] reads.
const COLUMNS: &str = "order_id, year, serial, issued_at, credited_at,
             customer_id, customer_name, customer_firstname, customer_email,
             billing_street, billing_zip, billing_city, currency, total_cents, cause";

const LIST: Listed = Listed {
    table: "invoice",
    number: "order_id",
    time: "issued_at",
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
            "SELECT -- invoice::causes
             order_id, cause, customer_id, issued_at FROM invoice WHERE order_id {in_list}",
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

    async fn reserve(tx: &mut Transaction<'_>, year: i32, count: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "INSERT -- invoice::reserve
             INTO invoice_counter (year, next) VALUES ($1, 1 + $2)
             ON CONFLICT (year) DO UPDATE SET next = invoice_counter.next + $2
             RETURNING next - $2",
        )
        .bind(year)
        .bind(count)
        .fetch_one(&mut **tx)
        .await
    }

    async fn insert(tx: &mut Transaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
        let total = |invoice: &Invoice| to_cents(invoice.total);
        let totals: Vec<i64> = invoices.iter().map(total).collect::<sqlx::Result<_>>()?;
        let columns = [
            Column::integers(invoices, |invoice| invoice.order.0),
            Column::integers(invoices, |invoice| invoice.number.year.into()),
            Column::integers(invoices, |invoice| invoice.number.serial),
            Column::instants(invoices, |invoice| invoice.issued),
            Column::integers(invoices, |invoice| invoice.customer.id),
            Column::texts(invoices, |invoice| invoice.customer.name.as_str()),
            Column::texts(invoices, |invoice| invoice.customer.firstname.as_str()),
            Column::texts(invoices, |invoice| invoice.customer.email.as_str()),
            Column::texts(invoices, |invoice| invoice.billing_address.street.as_str()),
            Column::texts(invoices, |invoice| invoice.billing_address.zip.as_str()),
            Column::texts(invoices, |invoice| invoice.billing_address.city.as_str()),
            Column::texts(invoices, |invoice| invoice.currency.as_str()),
            Column::Integers(totals),
            Column::texts(invoices, |invoice| invoice.cause.as_deref()),
            Column::instants(invoices, |invoice| invoice.credited),
        ];
        let insert = sql!(
            "INSERT -- invoice::insert
             INTO invoice
                 (order_id, year, serial, issued_at,
                  customer_id, customer_name, customer_firstname, customer_email,
                  billing_street, billing_zip, billing_city, currency, total_cents, cause,
                  credited_at)
             SELECT * FROM {rows}",
            rows = rows(
                "issued",
                "order_id bigint, year int, serial bigint, issued_at timestamptz, \
                 customer_id bigint, customer_name text, customer_firstname text, \
                 customer_email text, billing_street text, billing_zip text, billing_city text, \
                 currency text, total_cents bigint, cause text, credited_at timestamptz"
            )
        );
        sqlx::query_with(insert, arguments(&columns)?)
            .execute(&mut **tx)
            .await?;
        insert_lines(tx, invoices).await
    }

    async fn credit(
        tx: &mut Transaction<'_>,
        cancelled: &[(OrderId, DateTime<Utc>)],
    ) -> sqlx::Result<Vec<OrderId>> {
        let columns = [
            Column::integers(cancelled, |(order, _)| order.0),
            Column::instants(cancelled, |(_, at)| *at),
        ];
        let credit = sql!(
            "UPDATE -- invoice::credit
             invoice SET credited_at = cancelled.at
             FROM {rows}
             WHERE invoice.order_id = cancelled.order_id AND credited_at IS NULL
             RETURNING invoice.order_id",
            rows = rows("cancelled", "order_id bigint, at timestamptz")
        );
        let ids: Vec<i64> = sqlx::query_scalar_with(credit, arguments(&columns)?)
            .fetch_all(&mut **tx)
            .await?;
        Ok(ids.into_iter().map(OrderId).collect())
    }

    async fn erase(tx: &mut Transaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- invoice::erase
             invoice
             SET customer_email = ''
             WHERE order_id {in_list}",
            in_list = is_in("$1")
        ))
        .bind(list(&numbers(orders)))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn find(pool: &Pool, id: OrderId) -> sqlx::Result<Option<Invoice>> {
        let rows = sqlx::query(sql!(
            "SELECT -- invoice::find
             {COLUMNS} FROM invoice WHERE order_id = $1"
        ))
        .bind(id.0)
        .fetch_all(pool)
        .await?;
        Ok(invoices(pool, rows).await?.pop())
    }

    async fn list(
        pool: &Pool,
        selection: &Selection,
        before: Option<OrderId>,
        limit: i64,
    ) -> sqlx::Result<Vec<Invoice>> {
        let mut query = QueryBuilder::new(format!(
            "SELECT -- invoice::list
             {COLUMNS} FROM invoice WHERE "
        ));
        LIST.push_page(&mut query, selection.issued, before.map(|id| id.0));
        select(&mut query, selection);
        LIST.push_order(&mut query, selection.issued, limit);
        invoices(pool, query.build().fetch_all(pool).await?).await
    }

    async fn count(pool: &Pool, selection: &Selection) -> sqlx::Result<i64> {
        let mut query = QueryBuilder::new(
            "SELECT -- invoice::count
             count(*) FROM invoice WHERE TRUE",
        );
        select(&mut query, selection);
        query.build_query_scalar().fetch_one(pool).await
    }

    async fn gaps(pool: &Pool, limit: i64) -> sqlx::Result<Vec<(i32, i64, i64)>> {
        sqlx::query_as(
            "WITH -- invoice::gaps
             bound AS (
                 SELECT year, max(next) AS next FROM (
                     SELECT year, next FROM invoice_counter
                     UNION ALL
                     SELECT year, serial + 1 FROM invoice
                 ) AS known GROUP BY year
             ), candidate AS (
                 SELECT year, 1 AS serial, next FROM bound
                 UNION
                 SELECT year, serial + 1, next FROM invoice JOIN bound USING (year)
             )
             SELECT year, serial,
                    COALESCE((SELECT min(later.serial) FROM invoice AS later
                              WHERE later.year = candidate.year
                                AND later.serial > candidate.serial), next) - 1
             FROM candidate
             WHERE serial < next
               AND NOT EXISTS (SELECT 1 FROM invoice AS taken
                               WHERE taken.year = candidate.year
                                 AND taken.serial = candidate.serial)
             ORDER BY year, serial LIMIT $1",
        )
        .bind(limit)
        .fetch_all(pool)
        .await
    }
}

/// Appends the conditions of a selection. One that is not asked for is not there, so that the database finds the index
/// for those that are.
fn select(query: &mut QueryBuilder<Db>, selection: &Selection) {
    if let Some(order) = selection.order {
        query.push(" AND order_id = ").push_bind(order.0);
    }
    if let Some(search) = &selection.search {
        let text = search.text();
        if let Some(order) = search.number() {
            query.push(" AND order_id = ").push_bind(order);
        } else if let Some(number) = InvoiceNumber::read(text) {
            has_number(query, number);
        } else if let Some(CreditNoteNumber(number)) = CreditNoteNumber::read(text) {
            has_number(query, number);
            query.push(" AND credited_at IS NOT NULL");
        } else {
            push_search(query, NAME, search);
        }
    }
    if let Some(status) = selection.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    LIST.push_days(query, selection.issued);
}

fn has_number(query: &mut QueryBuilder<Db>, number: InvoiceNumber) {
    query.push(" AND year = ").push_bind(number.year);
    query.push(" AND serial = ").push_bind(number.serial);
}

/// Stores the lines of invoices.
async fn insert_lines(tx: &mut Transaction<'_>, invoices: &[Invoice]) -> sqlx::Result<()> {
    let mut lines: Vec<(OrderId, i64, &Line)> = Vec::new();
    let mut prices = Vec::new();
    for invoice in invoices {
        for (number, line) in (1..).zip(&invoice.lines) {
            lines.push((invoice.order, number, line));
            prices.push(to_cents(line.item.price)?);
        }
    }
    let columns = [
        Column::integers(&lines, |(order, _, _)| order.0),
        Column::integers(&lines, |(_, number, _)| *number),
        Column::integers(&lines, |(_, _, line)| line.count),
        Column::integers(&lines, |(_, _, line)| line.item.id),
        Column::texts(&lines, |(_, _, line)| line.item.name.as_str()),
        Column::Integers(prices),
    ];
    let insert = sql!(
        "INSERT -- invoice::insert_lines
         INTO invoice_line (order_id, line, count, item_id, item_name, price_cents)
         SELECT * FROM {rows}",
        rows = rows(
            "lines",
            "order_id bigint, line bigint, count bigint, item_id bigint, item_name text, \
                 price_cents bigint"
        )
    );
    sqlx::query_with(insert, arguments(&columns)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The invoices of rows, with their lines.
async fn invoices(pool: &Pool, rows: Vec<Row>) -> sqlx::Result<Vec<Invoice>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut invoices: Vec<Invoice> = rows.iter().map(invoice).collect::<sqlx::Result<_>>()?;
    let orders: Vec<i64> = invoices.iter().map(|invoice| invoice.order.0).collect();
    let rows: Vec<(i64, i64, i64, String, i64)> = sqlx::query_as(sql!(
        "SELECT -- invoice::lines
         order_id, count, item_id, item_name, price_cents
         FROM invoice_line WHERE order_id {in_list} ORDER BY order_id, line",
        in_list = is_in("$1")
    ))
    .bind(list(&orders))
    .fetch_all(pool)
    .await?;
    let mut lines: HashMap<OrderId, Vec<Line>> = HashMap::new();
    for (order, count, id, name, cents) in rows {
        let price = Decimal::new(cents, DECIMALS);
        let item = Item { id, name, price };
        let of_order = lines.entry(OrderId(order)).or_default();
        of_order.push(Line { count, item });
    }
    for invoice in &mut invoices {
        invoice.lines = lines.remove(&invoice.order).unwrap_or_default();
    }
    Ok(invoices)
}

/// The invoice of a row, still without its lines.
fn invoice(row: &Row) -> sqlx::Result<Invoice> {
    Ok(Invoice {
        order: OrderId(row.try_get("order_id")?),
        number: InvoiceNumber {
            year: row.try_get("year")?,
            serial: row.try_get("serial")?,
        },
        issued: row.try_get("issued_at")?,
        credited: row.try_get("credited_at")?,
        customer: Customer {
            id: row.try_get("customer_id")?,
            name: row.try_get("customer_name")?,
            firstname: row.try_get("customer_firstname")?,
            email: row.try_get("customer_email")?,
        },
        billing_address: Address {
            street: row.try_get("billing_street")?,
            zip: row.try_get("billing_zip")?,
            city: row.try_get("billing_city")?,
        },
        lines: Vec::new(),
        total: Decimal::new(row.try_get("total_cents")?, DECIMALS),
        currency: row.try_get("currency")?,
        cause: row.try_get("cause")?,
    })
}

fn numbers(orders: &[OrderId]) -> Vec<i64> {
    orders.iter().map(|order| order.0).collect()
}

/// # Errors
///
/// The amount is no whole number of cents, or more than a column holds. An order that was read has no such amounts.
fn to_cents(amount: Decimal) -> sqlx::Result<i64> {
    cents(amount)
        .ok_or_else(|| sqlx::Error::Encode(format!("{amount} is no amount of money").into()))
}
