//! The SQL of the lists that [`feed_chassis::list`] shows: newest first, page by page, with a search and days.
//!
//! A condition that is not asked for is not there, so that the database finds the index for those that are.

use chrono::{DateTime, Utc};
use feed_chassis::list::{Days, Search, Word};
use feed_core::dialect::sqlite::instant;
use sqlx::{Database, Postgres, QueryBuilder, Sqlite};

/// No row has a later time: 9999-12-31T23:59:59.999Z.
const END_OF_TIME: DateTime<Utc> = DateTime::from_timestamp_millis(253_402_300_799_999).unwrap();

/// A database with such lists.
pub trait Lists: Database {
    /// Appends a number as a parameter.
    fn push_number(query: &mut QueryBuilder<Self>, number: i64);

    /// Appends an instant as a parameter.
    fn push_instant(query: &mut QueryBuilder<Self>, at: DateTime<Utc>);

    /// Appends the condition that the text before it contains a word.
    fn push_contains(query: &mut QueryBuilder<Self>, word: Word<'_>);
}

impl Lists for Postgres {
    fn push_number(query: &mut QueryBuilder<Self>, number: i64) {
        query.push_bind(number);
    }

    fn push_instant(query: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        query.push_bind(at);
    }

    fn push_contains(query: &mut QueryBuilder<Self>, word: Word<'_>) {
        query.push(" ~ ").push_bind(word.regex());
    }
}

impl Lists for Sqlite {
    fn push_number(query: &mut QueryBuilder<Self>, number: i64) {
        query.push_bind(number);
    }

    fn push_instant(query: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        query.push_bind(instant(at));
    }

    fn push_contains(query: &mut QueryBuilder<Self>, word: Word<'_>) {
        query.push(" GLOB ").push_bind(word.glob());
    }
}

/// A table whose rows have a number and a time. The list is sorted by number, or by time and number if days are
/// selected.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The name of the table.
    pub table: &'static str,
    /// The column with the number, which is the key.
    pub number: &'static str,
    /// The column with the time.
    pub time: &'static str,
}

impl Listed {
    /// Appends the condition that a row comes after that with the number `before`; on the first page each row does.
    pub fn push_page<D: Lists>(
        &self,
        query: &mut QueryBuilder<D>,
        days: Days,
        before: Option<i64>,
    ) {
        let Self {
            table,
            number,
            time,
        } = self;
        let Some(before) = before else {
            query.push("TRUE");
            return;
        };
        if !days.are_given() {
            query.push(format_args!("{number} < "));
            D::push_number(query, before);
            return;
        }
        query.push(format_args!(
            "({time}, {number}) < (COALESCE((SELECT {time} FROM {table} WHERE {number} = "
        ));
        D::push_number(query, before);
        query.push("), ");
        D::push_instant(query, END_OF_TIME);
        query.push("), ");
        D::push_number(query, before);
        query.push(format_args!(") AND ({number} < "));
        D::push_number(query, before);
        // Without such a row, only what was made before it would have been: a list never begins again.
        query.push(format_args!(
            " OR EXISTS (SELECT 1 FROM {table} WHERE {number} = "
        ));
        D::push_number(query, before);
        query.push("))");
    }

    /// Appends the conditions that a row is of these days.
    pub fn push_days<D: Lists>(&self, query: &mut QueryBuilder<D>, days: Days) {
        let bounds = [(">=", days.from), ("<", days.until)];
        for (operator, bound) in bounds {
            if let Some(bound) = bound {
                query.push(format_args!(" AND {} {operator} ", self.time));
                D::push_instant(query, bound);
            }
        }
    }

    /// Appends the order, and the number of rows at most.
    pub fn push_order<D: Lists>(&self, query: &mut QueryBuilder<D>, days: Days, limit: i64) {
        query.push(" ORDER BY ");
        if days.are_given() {
            query.push(format_args!("{} DESC, ", self.time));
        }
        query.push(format_args!("{} DESC LIMIT ", self.number));
        D::push_number(query, limit);
    }
}

/// Appends the conditions that `text`, an expression of SQL, contains each word that was searched for.
pub fn push_search<D: Lists>(query: &mut QueryBuilder<D>, text: &str, search: &Search) {
    let text = Search::searched(text);
    for word in search.words() {
        query.push(format_args!(" AND {text}"));
        D::push_contains(query, word);
    }
}
