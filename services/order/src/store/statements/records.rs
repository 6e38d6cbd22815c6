//! Customers and items.

use feed_chassis::list::Search;
use sqlx::QueryBuilder;

use super::lists::found;
use super::{Db, Pool};
use crate::store::{Records, Stored, Value};

impl Records for Db {
    async fn records<R: Stored>(
        pool: &Pool,
        search: Option<&Search>,
        before: Option<i64>,
        limit: i64,
    ) -> sqlx::Result<Vec<R>> {
        let (list, columns) = (R::LIST, R::COLUMNS);
        let mut query = QueryBuilder::new(format!(
            "SELECT -- order::list_{list}
             id, {columns} FROM {list} WHERE TRUE"
        ));
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before);
        }
        found(&mut query, R::SEARCHED, search);
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(pool).await
    }

    async fn count_records<R: Stored>(pool: &Pool, search: Option<&Search>) -> sqlx::Result<i64> {
        let list = R::LIST;
        let mut query = QueryBuilder::new(format!(
            "SELECT -- order::count_{list}
             count(*) FROM {list} WHERE TRUE"
        ));
        found(&mut query, R::SEARCHED, search);
        query.build_query_scalar().fetch_one(pool).await
    }

    async fn record<R: Stored>(pool: &Pool, id: i64) -> sqlx::Result<Option<R>> {
        let (name, list, columns) = (R::NAME, R::LIST, R::COLUMNS);
        let mut query = QueryBuilder::new(format!(
            "SELECT -- order::{name}
             id, {columns} FROM {list} WHERE id = "
        ));
        query.push_bind(id);
        query.build_query_as().fetch_optional(pool).await
    }

    async fn insert_record<R: Stored>(pool: &Pool, new: R::New) -> sqlx::Result<R> {
        let (name, list, columns) = (R::NAME, R::LIST, R::COLUMNS);
        let mut query = QueryBuilder::new(format!(
            "INSERT -- order::insert_{name}
             INTO {list} ({columns}) VALUES "
        ));
        // The database gives the number, so any will do for the values.
        row(&mut query, &R::numbered(new.clone(), 0))?;
        query.push(" RETURNING id");
        let id = query.build_query_scalar().fetch_one(pool).await?;
        Ok(R::numbered(new, id))
    }

    async fn update_record<R: Stored>(
        pool: &Pool,
        record: &R,
        only: Option<&R>,
    ) -> sqlx::Result<bool> {
        let (name, list, columns) = (R::NAME, R::LIST, R::COLUMNS);
        let mut query = QueryBuilder::new(format!(
            "UPDATE -- order::update_{name}
             {list} SET ({columns}) = "
        ));
        row(&mut query, record)?;
        query.push(" WHERE id = ").push_bind(record.id());
        if let Some(only) = only {
            query.push(format_args!(" AND ({columns}) = "));
            row(&mut query, only)?;
        }
        let done = query.build().execute(pool).await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Appends the values of a record.
fn row<R: Stored>(query: &mut QueryBuilder<Db>, record: &R) -> sqlx::Result<()> {
    query.push("(");
    let mut values = query.separated(", ");
    for value in record.values()? {
        match value {
            Value::Text(text) => values.push_bind(text),
            Value::Cents(cents) => values.push_bind(cents),
        };
    }
    query.push(")");
    Ok(())
}
