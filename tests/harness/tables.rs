//! Queries of a database, past the service that owns it, by SQL that both databases understand. A
//! failure ends the test.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};

use crate::DEADLINE;

/// A connection to PostgreSQL. If none is left, because so many tests run at once, it tries again.
///
/// # Panics
///
/// It does not answer in time.
pub async fn postgres(url: &str) -> PgConnection {
    let begin = Instant::now();
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection,
            Err(error) => assert!(begin.elapsed() < DEADLINE, "the server: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Opens a SQLite file. Its statements wait for as long as another process may be frozen with the write lock.
async fn sqlite(url: &str) -> sqlx::Result<SqliteConnection> {
    let options: SqliteConnectOptions = url.parse()?;
    options.busy_timeout(DEADLINE).connect().await
}

/// Reads one column of texts.
///
/// # Panics
///
/// The database does not answer, or the statement is wrong.
pub async fn texts(url: &str, sql: &str) -> Vec<String> {
    let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
    if is_postgres(url) {
        let mut connection = postgres(url).await;
        let rows = query.fetch_all(&mut connection).await.expect(sql);
        connection.close().await.expect("a close");
        rows
    } else {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let mut connection = sqlite(url).await.expect("the file");
        let rows = query.fetch_all(&mut connection).await.expect(sql);
        connection.close().await.expect("a close");
        rows
    }
}

/// Reads one integer.
///
/// # Panics
///
/// As [`texts`], or there is none.
pub async fn number(url: &str, sql: &str) -> i64 {
    let text = texts(url, &format!("SELECT CAST(({sql}) AS TEXT)")).await;
    text[0].parse().expect("an integer")
}

/// Reads one integer; `None` if there is no such table, or no such file.
///
/// # Panics
///
/// The database does not answer.
pub async fn try_number(url: &str, sql: &str) -> Option<i64> {
    let sql = AssertSqlSafe(format!("SELECT CAST(({sql}) AS TEXT)"));
    let text: sqlx::Result<String> = if is_postgres(url) {
        let mut connection = postgres(url).await;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await
    } else {
        let mut connection = sqlite(url).await.ok()?;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await
    };
    text.ok()?.parse().ok()
}

/// Runs statements.
///
/// # Panics
///
/// As [`texts`].
pub async fn run(url: &str, sql: &str) {
    try_run(url, sql).await.expect(sql);
}

/// Runs statements that the database may refuse.
///
/// # Errors
///
/// It does.
///
/// # Panics
///
/// The database does not answer.
pub async fn try_run(url: &str, sql: &str) -> sqlx::Result<()> {
    let statements = AssertSqlSafe(sql.to_owned());
    if is_postgres(url) {
        let mut connection = postgres(url).await;
        let done = connection.execute(statements).await;
        connection.close().await.expect("a close");
        done.map(drop)
    } else {
        let mut connection = sqlite(url).await.expect("the file");
        let done = connection.execute(statements).await;
        connection.close().await.expect("a close");
        done.map(drop)
    }
}

/// All rows of a table as JSON arrays, without some columns, in an order that depends only on the
/// rows.
///
/// # Panics
///
/// As [`texts`].
pub async fn rows(url: &str, table: &str, without: &[&str]) -> Vec<String> {
    let (names, array) = if is_postgres(url) {
        let names = "SELECT column_name::text FROM information_schema.columns WHERE table_name = ";
        (format!("{names}'{table}'"), "jsonb_build_array")
    } else {
        let names = format!("SELECT name FROM pragma_table_xinfo('{table}')");
        (names, "json_array")
    };
    let mut names = texts(url, &names).await;
    names.retain(|name| !without.contains(&name.as_str()));
    names.sort();
    let names = names.join(", ");
    let sql = format!("SELECT CAST({array}({names}) AS TEXT) FROM {table}");
    let mut rows = texts(url, &sql).await;
    rows.sort();
    rows
}

/// True for a database on a server.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:")
}
