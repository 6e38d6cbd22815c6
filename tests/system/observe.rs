//! What a service reports about itself: each fault for which an operator should be woken is visible
//! at `/metrics` and by `/health/ready`, and an event can be followed through all logs.

use std::collections::BTreeMap;

use harness::metrics::Metrics;
use harness::tables::{self, is_postgres, run};
use harness::{Backend, FreshDatabase, Service, System, new_order, until};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, Transaction};

crate::on_both! {
    a_healthy_shop_reports_no_fault
    a_consumer_that_is_down_does_not_answer
    a_feed_that_is_down_is_reported
    a_halted_subscription_is_reported
    a_parked_event_is_reported
    a_database_that_is_gone_is_reported
    a_schema_of_another_program_is_reported
    one_event_is_found_in_all_logs
    a_row_in_quarantine_is_reported
    the_documentation_has_every_metric
}

/// The numbers of a service that answers, in the form that Prometheus asks for.
async fn scrape(service: &Service) -> Metrics {
    let metrics = Metrics::scrape(&service.client, "metrics").await;
    let metrics = metrics.expect("the service answers");
    metrics.check().await;
    metrics
}

/// The number of that name, once the rule holds for it.
async fn becomes(service: &Service, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
    let (metrics, value) = until(name, async || {
        let metrics = Metrics::scrape(&service.client, "metrics").await?;
        let value = metrics.value(name, &[]).filter(|value| holds(*value))?;
        Some((metrics, value))
    })
    .await;
    metrics.check().await;
    value
}

async fn ready(service: &Service) -> u16 {
    service.client.get("health/ready", &[]).await.status
}

/// Waits until a service reports that it is not ready, and why.
async fn unready(service: &Service, why: &str) {
    until(&format!("it is not ready: {why}"), async || {
        let answer = service.client.get("health/ready", &[]).await;
        (answer.status == 503 && answer.body.contains(why)).then_some(())
    })
    .await;
    assert_eq!(service.client.get("health/live", &[]).await.status, 200);
}

fn now() -> f64 {
    chrono::Utc::now().timestamp_millis() as f64 / 1000.0
}

const LAST_CONTACT: &str = "subscription_last_contact_timestamp_seconds";

async fn a_healthy_shop_reports_no_fault(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    let order = scrape(&system.order).await;
    let posted = [("method", "POST"), ("route", "/orders"), ("status", "201")];
    assert_eq!(order.value("http_requests_total", &posted), Some(1.0));
    assert_eq!(order.value("feed_sequence", &[]), Some(1.0));
    assert_eq!(
        order.value("feed_oldest_unnumbered_seconds", &[]),
        Some(0.0)
    );
    for consumer in [&system.invoice, &system.shipping] {
        assert_eq!(ready(consumer).await, 200);
        let metrics = scrape(consumer).await;
        let subscription = |name: &str| {
            let value = metrics.value(name, &[("subscription", "order")]);
            value.unwrap_or_else(|| panic!("{name} is missing"))
        };
        for name in ["lag_events", "lag_seconds", "halted", "parked_events"] {
            assert_eq!(subscription(&format!("subscription_{name}")), 0.0, "{name}");
        }
        assert!(now() - subscription(LAST_CONTACT) < 60.0);
        assert_eq!(subscription("subscription_instances"), 1.0);
        let won = metrics.value("subscription_claims_total", &[("result", "won")]);
        assert_eq!(won, Some(1.0));
        assert_eq!(metrics.value("database_up", &[]), Some(1.0));
    }
}

/// `up == 0`.
async fn a_consumer_that_is_down_does_not_answer(backend: Backend) {
    let mut system = System::started(backend).await;
    system.invoice.kill();
    let gone = Metrics::scrape(&system.invoice.client, "metrics").await;
    assert!(gone.is_none());
    for _ in 0..3 {
        system.place().await;
    }
    becomes(&system.shipping, "subscription_claims_total", |won| {
        won == 3.0
    })
    .await;
    system.invoice.start().await;
    becomes(&system.invoice, "subscription_claims_total", |won| {
        won == 3.0
    })
    .await;
}

/// Rules: `subscription_lag_seconds > 60`, `time() - subscription_last_contact_timestamp_seconds > 120`.
async fn a_feed_that_is_down_is_reported(backend: Backend) {
    let mut system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.order.kill();
    let failed = [("outcome", "unreachable")];
    until("polls fail", async || {
        let metrics = Metrics::scrape(&system.invoice.client, "metrics").await?;
        (metrics.value("subscription_polls_total", &failed)? >= 2.0).then_some(())
    })
    .await;
    // Without contact, the last contact stays what it was, and the lag begins to grow.
    let last = scrape(&system.invoice).await.value(LAST_CONTACT, &[]);
    becomes(&system.invoice, "subscription_lag_seconds", |lag| {
        lag > 30.0
    })
    .await;
    assert_eq!(scrape(&system.invoice).await.value(LAST_CONTACT, &[]), last);
    // It must not be restarted because of that.
    assert_eq!(ready(&system.invoice).await, 200);

    // An hour later, in a process that has just started.
    assert_eq!(system.invoice.stop().await, Some(0));
    let ago = |column| match is_postgres(system.invoice.database.url()) {
        true => format!("{column} = {column} - interval '1 hour'"),
        false => format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-1 hour')"),
    };
    let [contact, taken] = ["last_contact", "taken_until"].map(ago);
    let sql = format!("UPDATE feed_instance SET {contact}, {taken}");
    system.invoice.database.execute(&sql).await;
    system.invoice.start().await;
    becomes(&system.invoice, "subscription_lag_seconds", |lag| {
        lag > 3600.0
    })
    .await;
    becomes(&system.invoice, LAST_CONTACT, |last| now() - last > 3600.0).await;

    system.order.start().await;
    becomes(&system.invoice, "subscription_lag_seconds", |lag| {
        lag == 0.0
    })
    .await;
}

/// Rule: `subscription_halted > 0`.
async fn a_halted_subscription_is_reported(backend: Backend) {
    let mut system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.order.stop().await;
    // Another database has another feed.
    let other = Service::new("order", backend).await;
    system
        .order
        .set("DATABASE_URL", other.database.url().to_owned());
    system.order.start().await;
    system.place().await;
    becomes(&system.invoice, "subscription_halted", |halted| {
        halted == 1.0
    })
    .await;
    unready(&system.invoice, "epoch").await;
}

/// Rule: `subscription_parked_events > 0`.
async fn a_parked_event_is_reported(backend: Backend) {
    let system = System::started(backend).await;
    let sql = "CREATE UNIQUE INDEX by_mistake ON invoice (customer_id)";
    system.invoice.database.execute(sql).await;
    for _ in 0..2 {
        system.place().await;
    }
    becomes(&system.invoice, "subscription_parked_events", |parked| {
        parked == 1.0
    })
    .await;
    // It has processed all of them: there is no lag.
    becomes(&system.invoice, "subscription_lag_events", |lag| lag == 0.0).await;
    assert_eq!(ready(&system.invoice).await, 200);
}

/// Rule: `database_up == 0`, and a rate of answers with a `5xx`.
async fn a_database_that_is_gone_is_reported(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    for service in [&system.order, &system.invoice] {
        becomes(service, "database_up", |up| up == 1.0).await;
        remove(&service.database).await;
    }
    for service in [&system.order, &system.invoice] {
        becomes(service, "database_up", |up| up == 0.0).await;
        unready(service, "database").await;
        let ready = scrape(service).await.value("database_ready", &[]);
        assert_eq!(ready, None, "one rule fires for it");
    }
    if backend == Backend::Sqlite {
        // What is open continues to work, and to show what it has.
        return;
    }
    let answer = system.order.client.post_json("orders", &new_order()).await;
    assert_eq!(answer.map(|answer| answer.status), Some(503));
    let order = scrape(&system.order).await;
    let failed = [("route", "/orders"), ("status", "503")];
    assert_eq!(order.value("http_requests_total", &failed), Some(1.0));
    let invoice = scrape(&system.invoice).await;
    for (metrics, name) in [
        (&order, "feed_sequence"),
        (&order, "feed_oldest_unnumbered_seconds"),
        (&invoice, "subscription_lag_events"),
        (&invoice, "subscription_lag_seconds"),
        (&invoice, "subscription_halted"),
    ] {
        assert_eq!(metrics.value(name, &[]), None, "{name} is not known");
    }
}

async fn remove(database: &FreshDatabase) {
    let Some(directory) = database.directory() else {
        let (base, options) = database.url().split_once('?').unwrap();
        let (server, name) = base.rsplit_once('/').unwrap();
        let other = format!("{server}/postgres?{options}");
        run(&other, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        return;
    };
    std::fs::remove_file(directory.join("test.db")).unwrap();
}

/// Rule: `database_ready == 0`.
async fn a_schema_of_another_program_is_reported(backend: Backend) {
    let system = System::started(backend).await;
    let tables = [
        (&system.order, "_order_migrations"),
        (&system.invoice, "_feed_migrations"),
    ];
    for (service, table) in tables {
        assert_eq!(ready(service).await, 200);
        let copy = |from: &str, to: &str| {
            format!(
                "INSERT INTO {table} (version, description, success, checksum, execution_time)
                 SELECT {to}, description, success, checksum, execution_time
                 FROM {table} WHERE version = {from}"
            )
        };
        // As after an upgrade, beside an instance of the old version.
        becomes(service, "database_ready", |is| is == 1.0).await;
        service.database.execute(&copy("1", "999")).await;
        unready(service, "newer than this program: migration 999").await;
        becomes(service, "database_ready", |is| is == 0.0).await;
        // As after a backup replaced the result of an upgrade.
        let back = format!("DELETE FROM {table} WHERE version IN (1, 999)");
        service.database.execute(&back).await;
        unready(service, "older than this program: migration 1").await;
        let metrics = scrape(service).await;
        assert_eq!(metrics.value("database_ready", &[]), Some(0.0));
        assert_eq!(metrics.value("database_up", &[]), Some(1.0));
    }
}

/// Rule: `feed_oldest_unnumbered_seconds > 30`. On SQLite an event has its sequence when it
/// commits. The event is dated in the future: its own time must not decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_not_numbered_are_reported() {
    let mut system = System::new(Backend::Postgres).await;
    system.order.start().await;
    let mut holder = PgConnection::connect(system.order.database.url())
        .await
        .unwrap();
    // A failure before that has nothing to do with it.
    let fails = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
                 CREATE TRIGGER fail BEFORE INSERT ON feed_event FOR EACH ROW EXECUTE FUNCTION fail();
                 INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', 'order/899', '{}')";
    system.order.database.execute(fails).await;
    until("numbering fails", async || {
        let log = system.order.process().unwrap().log();
        log.contains("cannot number events").then_some(())
    })
    .await;
    let mut tx = holder.begin().await.unwrap();
    tx.execute("SELECT FROM feed_head FOR UPDATE")
        .await
        .unwrap();
    let repaired = "DROP TRIGGER fail ON feed_event";
    system.order.database.execute(repaired).await;
    let future = "INSERT INTO feed_outbox (event_type, subject, data, time)
                  VALUES ('order.placed', 'order/900', '{}', now() + interval '1 day')";
    system.order.database.execute(future).await;
    let oldest = "feed_oldest_unnumbered_seconds";
    let seen = becomes(&system.order, oldest, |age| age > 1.0).await;
    becomes(&system.order, oldest, |age| age > seen + 1.0).await;
    assert_eq!(
        scrape(&system.order).await.value("feed_sequence", &[]),
        Some(0.0)
    );
    let log = || system.order.process().unwrap().log();
    until("the log says why", async || {
        log().contains("holds the row of feed_head").then_some(())
    })
    .await;
    tx.rollback().await.unwrap();
    becomes(&system.order, oldest, |age| age == 0.0).await;
    becomes(&system.order, "feed_sequence", |sequence| sequence == 2.0).await;
    until("the log says that it works again", async || {
        log().contains("get their numbers again").then_some(())
    })
    .await;
    assert_eq!(
        log().matches("feed_head").count(),
        1,
        "once for all: {}",
        log()
    );

    // A shutdown does not wait for the lock.
    let mut tx = holder.begin().await.unwrap();
    tx.execute("SELECT FROM feed_head FOR UPDATE")
        .await
        .unwrap();
    system.order.database.execute(future).await;
    becomes(&system.order, oldest, |age| age > 0.0).await;
    assert_eq!(system.order.stop().await, Some(0));
}

/// The query of docs/operations.md finds the session that holds what numbering waits for, and no other: with the row of the
/// head, or with an event that waits for its number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_that_stops_numbering_is_found() {
    let text = include_str!("../../docs/operations.md");
    let (_, text) = text
        .split_once("### Orders are accepted, but not published")
        .unwrap();
    let (_, text) = text.split_once("```sql\n").unwrap();
    let (query, _) = text.split_once("SELECT pg_terminate_backend").unwrap();
    for held in ["feed_head", "feed_outbox"] {
        let mut system = System::new(Backend::Postgres).await;
        system.order.start().await;
        let url = system.order.database.url();
        let connect = async || PgConnection::connect(url).await.unwrap();
        let (mut looking, mut holder) = (connect().await, connect().await);
        let mut head = holder.begin().await.unwrap();
        head.execute("SELECT FROM feed_head FOR UPDATE")
            .await
            .unwrap();
        system.place().await;
        if held == "feed_outbox" {
            // While nobody can number it, the event waits in the outbox.
            let mut other = connect().await;
            let mut tx = other.begin().await.unwrap();
            tx.execute("SELECT FROM feed_outbox FOR UPDATE")
                .await
                .unwrap();
            head.rollback().await.unwrap();
            finds(&mut looking, query, tx).await;
        } else {
            finds(&mut looking, query, head).await;
        }
        becomes(&system.order, "feed_sequence", |sequence| sequence == 1.0).await;
    }
}

/// Finds the session of `holder`, and no other, by the query; ends it as the document says.
async fn finds(looking: &mut PgConnection, query: &str, mut holder: Transaction<'_, Postgres>) {
    let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *holder)
        .await
        .unwrap();
    // Attempts to number wait for it again and again.
    let mut found = Vec::new();
    until("the holder is found", async || {
        let rows = sqlx::query(AssertSqlSafe(query))
            .fetch_all(&mut *looking)
            .await;
        let pids = rows
            .unwrap()
            .into_iter()
            .map(|row| row.get::<i32, _>("pid"));
        found.extend(pids);
        found.contains(&own).then_some(())
    })
    .await;
    assert!(found.iter().all(|pid| *pid == own), "{found:?}, not {own}");
    let ended = format!("SELECT pg_terminate_backend({own})");
    looking.execute(AssertSqlSafe(ended)).await.unwrap();
}

/// Scrapes use one connection, however long the database hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_that_hangs_takes_no_connection_from_others() {
    let mut system = System::new(Backend::Postgres).await;
    system.order.start().await;
    let mut holder = PgConnection::connect(system.order.database.url())
        .await
        .unwrap();
    let mut tx = holder.begin().await.unwrap();
    tx.execute("LOCK TABLE feed_head IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for _ in 0..4 {
        let metrics = scrape(&system.order).await;
        assert_eq!(metrics.value("feed_sequence", &[]), None);
        assert_eq!(metrics.value("database_up", &[]), Some(1.0));
        // All scrapes together have one; the others are the sequencer's two, and that of the
        // answer.
        let used = metrics.value("database_connections", &[("state", "used")]);
        assert!(used.unwrap() <= 4.0, "{used:?}");
    }
    tx.rollback().await.unwrap();
    becomes(&system.order, "feed_sequence", |sequence| sequence == 0.0).await;
}

async fn one_event_is_found_in_all_logs(backend: Backend) {
    let mut system = System::new(backend).await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.set("LOG_FORMAT", "json".to_owned());
        service.start().await;
    }
    let placed = [system.place().await, system.place().await];
    for id in placed {
        system.invoice(id).await;
        system.shipment(id).await;
    }
    let feed = system.order.client.get("feed", &[]).await;
    let ids: Vec<String> = feed.elements("id").into_iter().skip(1).collect();
    assert_eq!(ids.len(), 2);
    for service in [&system.order, &system.invoice, &system.shipping] {
        for id in &ids {
            // A consumer logs it with its next batch.
            until(&format!("{id} is in the log"), async || {
                let log = service.process()?.log();
                let lines = log.lines().map(|line| {
                    let line: Value = serde_json::from_str(line).expect("each line is JSON");
                    let field = |name: &str| line[name].as_str().map(str::to_owned);
                    field("event.id").or_else(|| field("event.ids"))
                });
                let mut found = lines.flatten();
                found
                    .any(|ids| ids.split(' ').any(|one| one == id))
                    .then_some(())
            })
            .await;
        }
    }
}

/// Rule: `feed_quarantined_rows > 0`. Another program has used an id that is published; on SQLite
/// the insert is refused, so the row is added as the migration does it.
async fn a_row_in_quarantine_is_reported(backend: Backend) {
    let system = System::started(backend).await;
    let first = system.place().await;
    system.invoice(first).await;
    let url = system.order.database.url();
    let id = tables::texts(url, "SELECT CAST(id AS TEXT) FROM feed_event")
        .await
        .remove(0);
    let row = match backend {
        Backend::Postgres => format!(
            "INSERT INTO feed_outbox (id, event_type, subject, title, summary, link, data)
             VALUES ('{id}', 'order.placed', 'order/4711', '', '', '', '{{}}')"
        ),
        Backend::Sqlite => {
            format!("INSERT INTO feed_quarantine (reason, id) VALUES ('no event', '{id}')")
        }
    };
    run(url, &row).await;
    becomes(&system.order, "feed_quarantined_rows", |rows| rows == 1.0).await;
    // All others are applied, and the page names this one.
    let next = system.place().await;
    system.invoice(next).await;
    assert_eq!(ready(&system.order).await, 200);
    let status = system.order.client.get("feed/status", &[]).await;
    assert_eq!(status.status, 200, "{}", status.body);
    assert_eq!(status.json()["quarantine"][0]["id"], id);
    let log = system.order.process().unwrap().log();
    let named: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("is in quarantine"))
        .collect();
    assert!(named.len() == 1 && named[0].contains(&id), "{named:?}");
    run(url, "DELETE FROM feed_quarantine").await;
    becomes(&system.order, "feed_quarantined_rows", |rows| rows == 0.0).await;
}

/// The table in docs/metrics.md has all metrics, and nothing else.
async fn the_documentation_has_every_metric(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    let mut shown = BTreeMap::new();
    for service in [&system.order, &system.invoice] {
        service.client.get("", &[]).await;
        for (name, family) in scrape(service).await.families {
            let labels: Vec<String> = family.labels().into_iter().map(str::to_owned).collect();
            shown.insert(name, (family.kind, labels, family.help));
        }
    }
    let text = include_str!("../../docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<_, _> = rows
        .filter_map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let &[name, kind, labels, help] = cells.as_slice() else {
                return None;
            };
            let mut labels: Vec<String> = labels
                .split(", ")
                .filter(|label| !label.is_empty())
                .map(|label| label.trim_matches('`').to_owned())
                .collect();
            labels.sort();
            let name = name.trim_matches('`').to_owned();
            Some((name, (kind.to_owned(), labels, help.to_owned())))
        })
        .collect();
    assert_eq!(documented, shown);
}
