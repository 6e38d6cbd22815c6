//! PostgreSQL runs, and accepts no further connection.

use feed_core::Database;
use harness::server::Server;
use harness::{tables, until};
use sqlx::{Connection, Executor, PgConnection, Postgres, Row};

use crate::support::Publisher;

/// The detail of the problem that keeps it from being ready, once that has this text.
async fn not_ready(database: &Database<Postgres>, text: &str) -> String {
    until(text, async || {
        let problem = database.ready().await.err()?;
        assert_eq!(problem.status(), 503);
        let detail = problem.detail().to_owned();
        detail.contains(text).then_some(detail)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_reached_while_it_runs_is_named() {
    let server = Server::start(&["fsync=off"], &[]).await;
    for sql in [
        "CREATE ROLE eve LOGIN",
        "ALTER DATABASE postgres OWNER TO eve",
    ] {
        tables::run(&server.url, sql).await;
    }
    let url = server
        .url
        .replace("postgres://postgres@", "postgres://eve@");
    let database = Database::<Postgres>::open(&url).await.unwrap();
    database.ready().await.unwrap();
    tables::run(&server.url, "ALTER ROLE eve CONNECTION LIMIT 0").await;
    let end = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = 'eve'";
    tables::texts(&server.url, end).await;
    let detail = not_ready(&database, "too many connections for role \"eve\"").await;
    let refused = "PostgreSQL refused another connection to postgres://eve@";
    assert!(detail.starts_with(refused), "{detail}");
    tables::run(&server.url, "ALTER ROLE eve CONNECTION LIMIT -1").await;
    database.ready().await.unwrap();
}

/// `pg_ctl stop -m smart`, or a `SIGTERM` to the server: sessions that are there continue. Nothing asks the service whether it
/// is ready, nor uses its sessions that write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_waits_for_sessions_is_named_and_ends() {
    let server = Server::start(&["fsync=off"], &[]).await;
    let publisher = Publisher::<Postgres>::open(&server.url).await;
    let database = publisher.database.clone();
    let publishing = tokio::spawn(publisher.feed.clone().run());
    until("it listens", async || {
        let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        (tables::number(&server.url, listening).await == 1).then_some(())
    })
    .await;
    publisher.publish(1).await;
    database.ready().await.unwrap();
    // That of another program: the shutdown waits for it, too.
    let mut other = PgConnection::connect(&server.url).await.unwrap();
    let stopping = tokio::spawn(async move { server.stop("smart").await });
    until("our sessions end", async || {
        let ours = "SELECT count(*) FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let ours = other.fetch_one(ours).await.unwrap();
        (ours.get::<i64, _>(0) == 0).then_some(())
    })
    .await;
    not_ready(&database, "accepts no connections at the moment").await;
    other.close().await.unwrap();
    stopping.await.unwrap();
    publisher.shutdown.cancel();
    publishing.await.unwrap();
}
