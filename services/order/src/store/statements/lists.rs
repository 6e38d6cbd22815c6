//! The statements whose conditions depend on what a list selects. A condition that is not asked for is not there, so that
//! the database finds the index for those that are.

use feed_chassis::list::Search;
use feed_console::list::{Listed, push_search};
use sqlx::QueryBuilder;

use super::{COLUMNS, Db, Pool};
use crate::order::{OrderId, Summary};
use crate::store::Selection;

const LIST: Listed = Listed {
    table: "orders",
    number: "id",
    time: "placed",
};

/// The text of an order in which a search looks.
const SEARCHED: &str = "customer_firstname || ' ' || customer_name || ' ' || customer_email";

pub(super) async fn orders(
    pool: &Pool,
    selection: &Selection,
    before: Option<OrderId>,
    limit: i64,
) -> sqlx::Result<Vec<Summary>> {
    let mut query = QueryBuilder::new(format!(
        "SELECT -- order::list
         {COLUMNS} FROM orders WHERE "
    ));
    LIST.push_page(&mut query, selection.placed, before.map(|id| id.0));
    select(&mut query, selection);
    LIST.push_order(&mut query, selection.placed, limit);
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
                push_search(query, SEARCHED, search);
            }
        }
    }
    if let Some(status) = selection.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(customer) = selection.customer {
        query.push(" AND customer_id = ").push_bind(customer.0);
    }
    LIST.push_days(query, selection.placed);
}

/// Appends the condition that a row has the number that was searched for, or the text.
pub(super) fn found(query: &mut QueryBuilder<Db>, text: &str, search: Option<&Search>) {
    let Some(search) = search else { return };
    query.push(" AND (");
    if let Some(number) = search.number() {
        query.push("id = ").push_bind(number).push(" OR ");
    }
    query.push("TRUE");
    push_search(query, text, search);
    query.push(")");
}
