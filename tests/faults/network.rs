//! The network between the services, and between them and their databases: connections that fall
//! silent without a notification; a link that is down for a while; a slow line.

use std::time::Duration;

use harness::wire::{Lost, Wire};
use harness::{Backend, FreshDatabase, tables};

use crate::checker::assert_no_violations;
use crate::fleet::Fleet;
use crate::front::Front;
use crate::life::Life;
use crate::link::{FAIR, Link, Weather};
use crate::plan::{Plan, Whose};

/// Consumers, clients and readers wait for answers that never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_feed_that_fall_silent_lose_nothing() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "silent-feed").await;
    life.last(Duration::from_secs(3)).await;
    life.fleet.front.lose();
    assert_no_violations(&life.end().await);
}

/// Every connection of a service to its database is dead, and looks alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_database_that_fall_silent_lose_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut fleet = Fleet::prepare(&plan, "silent-database").await;
    let mut fronts = Vec::new();
    for whose in [Whose::Order, Whose::Invoice, Whose::Shipping] {
        let cluster = &mut fleet.group(whose).cluster;
        let front = before(&cluster.database).await;
        cluster.database_url = front.1;
        fronts.push(front.0);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.last(Duration::from_secs(3)).await;
    for front in &fronts {
        front.lose();
    }
    life.fleet
        .history
        .fault("all connections to databases fall silent");
    life.last(Duration::from_secs(1)).await;
    assert_no_violations(&life.end().await);
}

/// One connection alone is dead, at a statement that is sent now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_at_a_statement_delays_nothing_else() {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "silent-statement").await;
    let mut wires = Vec::new();
    for whose in [Whose::Order, Whose::Invoice, Whose::Shipping] {
        let cluster = &mut fleet.group(whose).cluster;
        let wire = Wire::before(cluster.database.url(), Lost::Request).await;
        cluster.database_url = wire.url.clone();
        wires.push(wire);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.last(Duration::from_secs(1)).await;
    let deaf = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let decided = "INSERT INTO feed_decision (subscription, decision, decided_by)
                   VALUES ('order', 'resume keep', 'eve')";
    for (wire, (whose, statement, cause)) in wires.iter().zip([
        (Whose::Order, "LISTEN", deaf),
        (Whose::Invoice, "decision::open", decided),
        (Whose::Shipping, "LISTEN", deaf),
    ]) {
        wire.silence(statement);
        tables::run(life.fleet.url(whose), cause).await;
    }
    life.until("the statements are said", async |_| {
        wires.iter().all(Wire::is_silent)
    })
    .await;
    life.last(Duration::from_secs(4)).await;
    life.until("no event waits for its number", async |fleet| {
        let late = "SELECT count(*) FROM feed_outbox WHERE time < now() - interval '2 seconds'";
        tables::number(fleet.url(Whose::Order), late).await == 0
    })
    .await;
    life.fleet.history.fault("one connection of each is silent");
    assert_no_violations(&life.end().await);
}

/// 64 kbit a second, and some 200 ms until anything arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_slow_line_to_the_feed_loses_nothing() {
    let mut plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    plan.pauses = vec![1_500; 3];
    let mut fleet = Fleet::prepare(&plan, "slow-line").await;
    let line = Front::slow().await;
    line.before([fleet.front.url.clone()]);
    for whose in [Whose::Invoice, Whose::Shipping] {
        fleet.group(whose).cluster.feed_url = format!("{}feed", line.url);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.last(Duration::from_secs(10)).await;
    assert_no_violations(&life.end().await);
}

/// For a while nothing passes between the consumers and the feed, or only in one direction: what is
/// sent is lost silently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_link_that_is_down_for_a_while_loses_nothing() {
    let Some((mut life, link)) = over_a_link("link", 0).await else {
        return;
    };
    life.until("it continues", async |fleet| invoiced(fleet).await > 0)
        .await;
    for (there, back, seconds) in [
        (false, false, 1),
        (false, true, 5),
        (true, false, 12),
        (false, false, 12),
        (true, false, 40),
    ] {
        life.last(Duration::from_secs(2)).await;
        let weather = Weather {
            there,
            back,
            ..FAIR
        };
        link.set(weather);
        life.fleet.history.fault(&format!("{weather:?}"));
        life.last(Duration::from_secs(1)).await;
        let at = invoiced(&life.fleet).await;
        life.last(Duration::from_secs(seconds)).await;
        let now = invoiced(&life.fleet).await;
        assert_eq!(at, now, "it continued");
        link.set(FAIR);
    }
    assert_no_violations(&life.end().await);
}

/// Packets are lost, doubled, damaged or reordered, and all are slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_link_with_errors_loses_no_events() {
    let Some((mut life, link)) = over_a_link("weather", 1_500).await else {
        return;
    };
    let weather = Weather {
        lost: 0.1,
        doubled: 0.05,
        damaged: 0.05,
        late: 0.2,
        delay: 0.1,
        ..FAIR
    };
    link.set(weather);
    life.fleet.history.fault(&format!("{weather:?}"));
    life.last(Duration::from_secs(10)).await;
    let at = invoiced(&life.fleet).await;
    life.last(Duration::from_secs(30)).await;
    life.until("it continues", async |fleet| invoiced(fleet).await > at)
        .await;
    link.set(FAIR);
    assert_no_violations(&life.end().await);
}

/// Consumers that reach the feed over a link; `None`: no link can be created. Clients pause for so
/// many milliseconds, or as usual.
async fn over_a_link(name: &str, pause: u64) -> Option<(Life, Link)> {
    let mut plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    if pause > 0 {
        plan.pauses = vec![pause; 3];
    }
    let mut fleet = Fleet::prepare(&plan, name).await;
    let mut link = Link::new(&fleet.directory).await?;
    let front = link.front().await;
    front.before([fleet.front.url.clone()]);
    link.relay(&front, &fleet.directory).await;
    for whose in [Whose::Invoice, Whose::Shipping] {
        fleet.group(whose).cluster.feed_url = format!("http://{}:8080/feed", link.there);
    }
    fleet.settle().await;
    Some((Life::of(fleet, &plan), link))
}

/// The number of invoices.
async fn invoiced(fleet: &Fleet) -> i64 {
    let invoice = &fleet.groups[Whose::Invoice as usize];
    invoice.cluster.lowest().await
}

/// A front between a service and its PostgreSQL, and the address of the database through it.
async fn before(database: &FreshDatabase) -> (Front, String) {
    let url: url::Url = database.url().parse().unwrap();
    let directory = url
        .query_pairs()
        .find(|(name, _)| name == "host")
        .unwrap()
        .1;
    let front = Front::new().await;
    front.before([format!("{directory}/.s.PGSQL.5432")]);
    let authority = front
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let url = format!(
        "postgres://postgres@{authority}{}?sslmode=disable",
        url.path()
    );
    (front, url)
}
