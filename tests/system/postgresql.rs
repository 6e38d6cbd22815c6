//! PostgreSQL as it is configured elsewhere: servers that fall silent while a service starts, locks
//! and limits, and roles with defaults of their own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use futures_util::future::join_all;
use harness::load::{self, published};
use harness::{Backend, FreshDatabase, Service, System, settings, tables, until};
use sqlx::migrate::Migrate;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const SSL_REFUSED: &[u8] = b"N";
const SSL_GRANTED: &[u8] = b"S";
const ASKS_FOR_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const LETS_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x07Z\0\0\0\x05I";

/// The address of a server that answers each message of a client in turn, and then nothing more.
fn silent_after(answers: &'static [&'static [u8]]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || client.and_then(|client| answer(client, answers)));
        }
    });
    address.to_string()
}

fn answer(mut client: TcpStream, answers: &[&[u8]]) -> std::io::Result<()> {
    let mut message = [0; 1024];
    for answer in answers {
        let _ = client.read(&mut message)?;
        client.write_all(answer)?;
    }
    while client.read(&mut message)? > 0 {}
    Ok(())
}

/// The log of an order service that waits for this database, once it says that of it.
async fn waits(url: &str, expected: &str) -> String {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("RUST_LOG", "info".to_owned());
    order.set("DATABASE_URL", url.to_owned());
    let process = order.launch();
    let log = until(&format!("it says {expected}"), async || {
        let log = process.log();
        let said = log.lines().any(|line| {
            line.contains(" WARN feed_core::database::announce: still waiting: ")
                && line.contains(expected)
        });
        said.then_some(log)
    })
    .await;
    assert!(!log.contains("s3cret"), "{log}");
    assert_eq!(order.stop().await, Some(0), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_reported() {
    let nothing = "nothing answers at postgres://eve@";
    let cases = [
        (silent_after(&[]), "disable", nothing),
        (silent_after(&[]), "prefer", nothing),
        (silent_after(&[SSL_REFUSED]), "prefer", nothing),
        (silent_after(&[SSL_GRANTED]), "require", nothing),
        (silent_after(&[ASKS_FOR_PASSWORD]), "disable", nothing),
        (
            silent_after(&[LETS_IN]),
            "disable",
            "accepted the connection, and answers no statement",
        ),
        // A network that is reserved for documentation: no host answers.
        ("192.0.2.1:5432".to_owned(), "disable", nothing),
    ];
    let cases = cases.map(async |(address, ssl, expected)| {
        let url = format!("postgres://eve:s3cret@{address}/orders?sslmode={ssl}");
        let said = waits(&url, expected).await;
        assert!(said.contains(&address), "{url}: {said}");
    });
    join_all(cases).await;
}

/// A role of its own that owns the database, with these options and settings; and its URL.
async fn role(database: &FreshDatabase, options: &str, settings: &[&str]) -> String {
    let mut owner = tables::postgres(database.url()).await;
    let name = tables::texts(database.url(), "SELECT current_database()::text").await;
    let name = &name[0];
    let mut sql =
        format!("CREATE ROLE {name} LOGIN {options}; ALTER DATABASE {name} OWNER TO {name};");
    for setting in settings {
        sql += &format!("ALTER ROLE {name} SET {setting};");
    }
    owner.execute(AssertSqlSafe(sql)).await.unwrap();
    owner.close().await.unwrap();
    database
        .url()
        .replace("postgres://postgres@", &format!("postgres://{name}@"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_connections_is_reported_as_such() {
    let database = FreshDatabase::postgres().await;
    let url = role(&database, "CONNECTION LIMIT 1", &[]).await;
    let _only = tables::postgres(&url).await;
    let said = waits(&url, "DATABASE_CONNECTIONS").await;
    for expected in [
        "too many connections for role",
        "PostgreSQL refused another connection to postgres://",
        "DATABASE_CONNECTIONS",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("nothing answers"), "{said}");

    // A limit below what the service may use is reported before connections are missing.
    let limit = format!(
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT 8; ALTER DATABASE {} CONNECTION LIMIT 9",
        {
            let name = tables::texts(database.url(), "SELECT current_database()::text").await;
            name[0].clone()
        }
    );
    tables::run(
        database.url(),
        &limit.replace("CURRENT_USER", user_of(&url)),
    )
    .await;
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("DATABASE_URL", url);
    order.start().await;
    let warning = "allows 8 connections (CONNECTION LIMIT";
    assert!(order.process().unwrap().log().contains(warning));
    assert_eq!(order.stop().await, Some(0));
    order.set("DATABASE_CONNECTIONS", "7".to_owned());
    order.start().await;
    let log = order.process().unwrap().log();
    assert_eq!(log.matches(warning).count(), 1, "{log}");
}

fn user_of(url: &str) -> &str {
    let (_, rest) = url.split_once("//").unwrap();
    rest.split_once('@').unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fewest_connections_are_enough() {
    let mut system = System::new(Backend::Postgres).await;
    for service in [&mut system.order, &mut system.invoice] {
        service.set("DATABASE_CONNECTIONS", "4".to_owned());
        service.start().await;
    }
    for n in 0..20 {
        load::place(&system.order.client, n).await.unwrap();
    }
    system.invoice(20).await;
    let url = system.order.database.url();
    let connections = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let connections = tables::number(url, connections).await;
    assert!(connections <= 4, "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_migrations_of_another_instance_is_reported() {
    let mut order = Service::new("order", Backend::Postgres).await;
    let mut other = tables::postgres(order.database.url()).await;
    let other: &mut PgConnection = &mut other;
    let session: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *other)
        .await
        .unwrap();
    other.lock().await.unwrap();
    let waits = format!("still waiting: for migrations; session {session} ");
    let process = order.launch();
    until("it says what it waits for", async || {
        process.log().contains(&waits).then_some(())
    })
    .await;
    // It can be stopped meanwhile.
    assert_eq!(process.stop("TERM").await, Some(0));
    order.launch();
    other.unlock().await.unwrap();
    let client = order.client.clone();
    until("it answers", async || {
        client.try_send("GET", "", &[], "").await
    })
    .await;
}

/// In the log of each: the pool itself says only that it had to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_reached_while_services_run_is_logged() {
    let mut system = System::new(Backend::Postgres).await;
    for service in [&mut system.order, &mut system.invoice] {
        let url = role(&service.database, "", &[]).await;
        service.set("DATABASE_URL", url);
        service.start().await;
    }
    for service in [&system.order, &system.invoice] {
        let url = service.database.url();
        let name = tables::texts(url, "SELECT current_database()::text").await;
        let name = &name[0];
        tables::run(url, &format!("ALTER ROLE {name} CONNECTION LIMIT 0")).await;
        let end = format!(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = '{name}'"
        );
        tables::texts(url, &end).await;
        until("it says why", async || {
            let log = service.process()?.log();
            log.contains("too many connections for role").then_some(())
        })
        .await;
    }
}

/// Whatever the defaults of a role are, transactions and sessions are as the services need them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_of_a_role_change_nothing() {
    const ORDERS: u64 = 200;
    let hostile = [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "standard_conforming_strings = off",
        "synchronous_commit = off",
        "statement_timeout = '500ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "idle_session_timeout = '2s'",
        "search_path = app, public",
        "client_min_messages = 'debug1'",
        "datestyle = 'SQL, DMY'",
        "timezone = 'Asia/Kolkata'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
    ];
    let mut system = System::new(Backend::Postgres).await;
    for service in [&mut system.order, &mut system.invoice] {
        let url = role(&service.database, "", &hostile).await;
        service.set("DATABASE_URL", url);
        service.start().await;
    }
    settings::record(system.order.database.url()).await;
    let answers = load::place_at_once(&system.order.client, ORDERS).await;
    assert!(answers.iter().all(|status| *status == 201), "{answers:?}");
    assert_eq!(published(&system.order).await, ORDERS as i64);
    system.invoice(ORDERS as i64).await;
    settings::assert_in_force(system.order.database.url()).await;
    for service in [&system.order, &system.invoice] {
        let log = service.process().unwrap().log();
        for trouble in ["could not serialize", "canceling", "terminating", "ERROR"] {
            assert!(!log.contains(trouble), "{trouble}: {log}");
        }
    }
}

/// A SQLite file says so itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_tables_are_logged_once() {
    let mut order = Service::new("order", Backend::Postgres).await;
    order.set("RUST_LOG", "info".to_owned());
    for _ in 0..2 {
        order.start().await;
        let log = order.process().unwrap().log();
        let created = "created the tables of a new, empty database at postgres";
        assert_eq!(log.matches(created).count(), 1, "{log}");
        assert_eq!(order.stop().await, Some(0));
    }
}

/// The events of requests in flight get their numbers before the database is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_leaves_no_event_without_a_number() {
    let mut order = load::order().await;
    let url = order.database.url().to_owned();
    for _ in 0..3 {
        let before = tables::number(&url, "SELECT count(*) FROM orders").await;
        let client = order.client.clone();
        let load = tokio::spawn(async move { load::place_at_once(&client, 5_000).await });
        until("the load has begun", async || {
            let placed = tables::number(&url, "SELECT count(*) FROM orders").await;
            (placed > before + 100).then_some(())
        })
        .await;
        assert_eq!(order.stop().await, Some(0));
        load.abort();
        let left = "SELECT count(*) FROM feed_outbox";
        assert_eq!(tables::number(&url, left).await, 0);
        order.start().await;
    }
}
