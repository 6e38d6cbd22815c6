//! The statements whose conditions depend on what a list selects. A condition that is not asked for is not there, so that
//! the database finds the index for those that are.

use chrono::{DateTime, Utc};
use feed_chassis::list::Search;
use sqlx::QueryBuilder;

use super::{COLUMNS, Db, MATCHES, Pool, instant, pattern};
use crate::order::{OrderId, Summary};
use crate::store::Selection;

/// No order is placed later: 9999-12-31T23:59:59.999Z.
const END_OF_TIME: DateTime<Utc> = DateTime::from_timestamp_millis(253_402_300_799_999).unwrap();

/// The text of an order in which a search looks.
const SEARCHED: &str = "customer_firstname || ' ' || customer_name || ' ' || customer_email";

pub(super) async fn orders(
    pool: &Pool,
    selection: &Selection,
    before: OrderId,
    limit: i64,
) -> sqlx::Result<Vec<Summary>> {
    let by_day = selection.placed.are_given();
    let mut query = QueryBuilder::new(format!(
        "SELECT -- order::list
         {COLUMNS} FROM orders WHERE "
    ));
    if by_day {
        query.push("(placed, id) < (COALESCE((SELECT placed FROM orders WHERE id = ");
        query.push_bind(before.0).push("), ");
        query.push_bind(instant(END_OF_TIME)).push("), ");
        query.push_bind(before.0).push(") AND (id < ");
        // Without such a row, only what was made before it would have been: a list never begins again.
        query
            .push_bind(before.0)
            .push(" OR EXISTS (SELECT 1 FROM orders WHERE id = ");
        query.push_bind(before.0).push("))");
    } else {
        query.push("id < ").push_bind(before.0);
    }
    select(&mut query, selection);
    query.push(match by_day {
        true => " ORDER BY placed DESC, id DESC LIMIT ",
        false => " ORDER BY id DESC LIMIT ",
    });
    query.push_bind(limit);
    query.build_query_as().fetch_all(pool).await
}

pub(super) async fn count_orders(pool: &Pool, selection: &Selection) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::new(
        "SELECT -- order::count
         count(*) FROM orders WHERE TRUE",
    );
    select(&mut query, selection);
    query.build_query_scalar().fetch_one(pool).await
}

fn select(query: &mut QueryBuilder<Db>, selection: &Selection) {
    if let Some(search) = &selection.search {
        match search.number() {
            Some(number) => {
                query.push(" AND id = ").push_bind(number);
            }
            None => {
                query.push(" AND (");
                matches(query, SEARCHED, search);
                query.push(")");
            }
        }
    }
    if let Some(status) = selection.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(customer) = selection.customer {
        query.push(" AND customer_id = ").push_bind(customer.0);
    }
    if let Some(from) = selection.placed.from {
        query.push(" AND placed >= ").push_bind(instant(from));
    }
    if let Some(until) = selection.placed.until {
        query.push(" AND placed < ").push_bind(instant(until));
    }
}

/// Appends the condition that a row has the number that was searched for, or the text.
pub(super) fn found(query: &mut QueryBuilder<Db>, text: &str, search: Option<&Search>) {
    let Some(search) = search else { return };
    query.push(" AND (");
    if let Some(number) = search.number() {
        query.push("id = ").push_bind(number).push(" OR ");
    }
    matches(query, text, search);
    query.push(")");
}

/// Appends the condition that `text` contains each word that was searched for.
fn matches(query: &mut QueryBuilder<Db>, text: &str, search: &Search) {
    let searched = Search::searched(text);
    query.push("TRUE");
    for word in search.words() {
        query.push(format_args!(" AND {searched} {MATCHES} "));
        query.push_bind(pattern(word));
    }
}
