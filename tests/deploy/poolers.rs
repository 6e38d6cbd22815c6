//! Services behind a `PgBouncer`: in session mode, in transaction mode with a direct address
//! besides, and refused where neither works.

use harness::load::{self, place, published};
use harness::pooler::Pooler;
use harness::programs::available;
use harness::server::Server;
use harness::{Backend, FreshDatabase, Service, System, settings, tables, until};
use sqlx::{Connection, Executor, PgConnection};

/// Waits until invoice has applied all `count` orders, and checks that each had one effect.
async fn all_arrive(system: &System, count: i64) {
    assert_eq!(published(&system.order).await, count);
    let url = system.invoice.database.url();
    until("every order has its invoice", async || {
        let invoices = tables::try_number(url, "SELECT count(*) FROM invoice").await?;
        (invoices >= count).then_some(())
    })
    .await;
    let once = "SELECT (SELECT count(*) FROM invoice) || ' ' || (SELECT count(DISTINCT order_id) FROM invoice)
                    || ' ' || (SELECT count(*) FROM feed_claim) || ' ' || (SELECT count(*) FROM feed_parked)";
    assert_eq!(
        tables::texts(url, once).await,
        [format!("{count} {count} {count} 0")]
    );
}

async fn orders_arrive(mode: &str, options: &str) {
    if !available(&["pgbouncer"]) {
        return;
    }
    let mut system = System::new(Backend::Postgres).await;
    let mut pooler = Pooler::start(system.order.database.url(), mode, options).await;
    for service in [&mut system.order, &mut system.invoice] {
        let direct = service.database.url().to_owned();
        service.set("DATABASE_URL", pooler.url(&direct));
        if mode == "transaction" {
            service.set("DATABASE_DIRECT_URL", direct);
        }
    }
    system.order.start().await;
    system.invoice.start().await;
    let order_url = system.order.database.url().to_owned();
    settings::record(&order_url).await;

    let answers = load::place_at_once(&system.order.client, 300).await;
    let refused: Vec<_> = answers.iter().filter(|status| **status != 201).collect();
    assert!(refused.is_empty(), "{refused:?}");
    all_arrive(&system, 300).await;

    settings::assert_in_force(&order_url).await;

    // A second instance starts beside the first one.
    let mut second = Service::new("order", Backend::Sqlite).await;
    second.set("DATABASE_URL", pooler.url(&order_url));
    if mode == "transaction" {
        second.set("DATABASE_DIRECT_URL", order_url.clone());
    }
    second.start().await;
    place(&second.client, 300).await.unwrap();

    pooler.restart().await;
    for n in 301..320 {
        let client = &system.order.client;
        // Requests that the interruption has hit are refused; the client repeats them.
        until("an order is taken", async || place(client, n).await).await;
    }
    all_arrive(&system, 320).await;
    for service in [&mut system.order, &mut system.invoice] {
        let log = service.process().unwrap().log();
        assert!(!log.contains("unexpected message"), "{log}");
        assert_eq!(service.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_arrive_through_a_session_pooler() {
    orders_arrive("session", "default_pool_size = 100").await;
}

/// With fewer sessions than the services have connections, which is what such a pooler is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_arrive_through_a_transaction_pooler() {
    let usual = "ignore_startup_parameters = extra_float_digits, options";
    orders_arrive("transaction", &format!("default_pool_size = 5\n{usual}")).await;
}

/// The error of a service that refuses to start with these settings; nothing was created in its
/// database.
async fn refused(database: &FreshDatabase, settings: &[(&'static str, String)]) -> String {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("RUST_LOG", "info".to_owned());
    for (name, value) in settings {
        order.set(name, value.clone());
    }
    let process = order.launch();
    let ended = process.ended().await;
    let log = process.log();
    assert_eq!(ended, Some(1), "{log}");
    let made = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert!(tables::texts(database.url(), made).await.is_empty());
    log
}

/// Clients of a pooler that work without a pause, so that its sessions change hands.
struct Crowd(Vec<tokio::task::JoinHandle<()>>);

impl Crowd {
    fn at(url: &str) -> Self {
        let work = |url: String| async move {
            let mut client = PgConnection::connect(&url).await.unwrap();
            loop {
                client.execute("SELECT pg_sleep(0.001)").await.unwrap();
            }
        };
        Self((0..4).map(|_| tokio::spawn(work(url.to_owned()))).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for client in &self.0 {
            client.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_pooler_without_a_direct_address_is_refused_by_name() {
    if !available(&["pgbouncer"]) {
        return;
    }
    let database = FreshDatabase::postgres().await;
    // However it chooses among its sessions, and whatever other clients do.
    for (settings, crowded) in [
        ("default_pool_size = 1", false),
        ("default_pool_size = 20", false),
        ("default_pool_size = 20\nmin_pool_size = 2", false),
        (
            "default_pool_size = 20\nmin_pool_size = 2\nserver_round_robin = 1",
            false,
        ),
        ("default_pool_size = 8", true),
        ("default_pool_size = 8\nserver_round_robin = 1", true),
    ] {
        let pooler = Pooler::start(database.url(), "transaction", settings).await;
        let url = pooler.url(database.url());
        let _crowd = crowded.then(|| Crowd::at(&format!("{url}?statement-cache-capacity=0")));
        let said = refused(&database, &[("DATABASE_URL", url.clone())]).await;
        for expected in [
            "the database cannot be used (DATABASE_URL): ",
            &url,
            "transaction mode",
            "DATABASE_DIRECT_URL",
        ] {
            assert!(said.contains(expected), "{settings}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");

        // The direct address has to be direct.
        let both = [("DATABASE_URL", url.clone()), ("DATABASE_DIRECT_URL", url)];
        let said = refused(&database, &both).await;
        for expected in [
            "by its direct address (DATABASE_DIRECT_URL): ",
            "transaction mode",
        ] {
            assert!(said.contains(expected), "{settings}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_do_not_belong_together_are_refused() {
    if !available(&["pgbouncer"]) {
        return;
    }
    let database = FreshDatabase::postgres().await;
    let other = FreshDatabase::postgres().await;
    let pooler = Pooler::start(database.url(), "transaction", "").await;
    let statements = Pooler::start(database.url(), "statement", "").await;
    let direct = database.url().to_owned();
    for (url, direct, expected) in [
        (
            pooler.url(other.url()),
            direct.clone(),
            "have to lead to the same database",
        ),
        (
            statements.url(database.url()),
            direct.clone(),
            "statement pooling mode",
        ),
        (
            "sqlite:order.db".to_owned(),
            direct,
            "not for a sqlite: file",
        ),
        (
            pooler.url(database.url()),
            "sqlite:order.db".to_owned(),
            "not for a sqlite: file",
        ),
    ] {
        let settings = [("DATABASE_URL", url), ("DATABASE_DIRECT_URL", direct)];
        let said = refused(&database, &settings).await;
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// It is then another server by its start time alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_restart_while_the_pooler_does_not_answer() {
    if !available(&["pgbouncer"]) {
        return;
    }
    let server = Server::start(&["fsync=off"], &[]).await;
    let database = FreshDatabase::postgres_at(&server.url).await;
    let pooler = Pooler::start(database.url(), "transaction", "").await;
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("DATABASE_URL", pooler.url(database.url()));
    order.set("DATABASE_DIRECT_URL", database.url().to_owned());
    pooler.signal("STOP");
    order.launch();
    until("it waits for the pooler", async || {
        let log = order.process().unwrap().log();
        log.contains("still waiting").then_some(())
    })
    .await;
    server.stop("fast").await;
    server.launch().await;
    pooler.signal("CONT");
    until("it is ready", async || {
        let ready = order.client.get("health/ready", &[]).await;
        (ready.status == 200).then_some(())
    })
    .await;
    place(&order.client, 1).await.unwrap();
    assert_eq!(order.stop().await, Some(0));
}
