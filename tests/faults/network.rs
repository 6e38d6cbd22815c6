//! The network between the services, and between them and their databases: connections that fall
//! silent, and nobody is told.

use std::time::Duration;

use harness::{Backend, FreshDatabase};

use crate::fleet::Fleet;
use crate::front::Front;
use crate::life::Life;
use crate::plan::{Plan, Whose};
use crate::verdict::assert_innocent;

/// Consumers, clients and readers wait for answers that never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_feed_that_fall_silent_lose_nothing() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "silent-feed").await;
    life.last(Duration::from_secs(3)).await;
    life.fleet.front.lose();
    assert_innocent(&life.end().await);
}

/// Every connection that a service has to its database is dead, and looks as if it were not.
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
    assert_innocent(&life.end().await);
}

/// Something between a service and its PostgreSQL, and the address of the database through it.
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
