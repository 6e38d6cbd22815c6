//! The order service dies at each statement of its work: an order with its lines, its key and its
//! event, a cancellation, numbering, the closing of a second, and each commit; or it never learns
//! the result of a commit. (Consumers die at each step in `tests/instances`.)

use std::time::Duration;

use harness::gate::{FOR_EVER, Gate, Step, held_on_sqlite};
use harness::wire::{Lost, Wire};
use harness::{Backend, tables};

use crate::checker::assert_no_violations;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// On PostgreSQL; `CONSTRAINT` is a trigger that runs inside `COMMIT`.
const ON_POSTGRES: [(&str, &str); 15] = [
    ("orders", "BEFORE INSERT"),
    ("order_line", "AFTER INSERT"),
    ("idempotency_key", "BEFORE INSERT"),
    ("idempotency_key", "BEFORE UPDATE"),
    ("orders", "BEFORE UPDATE"),
    ("feed_outbox", "BEFORE INSERT"),
    ("feed_outbox", "AFTER INSERT"),
    ("feed_outbox", "CONSTRAINT"),
    ("feed_outbox", "AFTER DELETE"),
    ("feed_event", "BEFORE INSERT"),
    ("feed_event", "AFTER INSERT"),
    ("feed_event", "CONSTRAINT"),
    ("feed_head", "BEFORE UPDATE OF sequence"),
    ("feed_head", "AFTER UPDATE OF sequence"),
    ("feed_head", "BEFORE UPDATE OF closed_until"),
];

/// What the shop without a service of ours does, and the database in its commit. Its key is a column of the order.
const OF_A_SHOP: [(&str, &str); 10] = [
    ("orders", "BEFORE INSERT"),
    ("order_line", "AFTER INSERT"),
    ("orders", "BEFORE UPDATE"),
    ("feed_outbox", "BEFORE INSERT"),
    ("feed_outbox", "AFTER INSERT"),
    ("feed_outbox", "CONSTRAINT"),
    ("feed_event", "BEFORE INSERT"),
    ("feed_event", "AFTER INSERT"),
    ("feed_event", "CONSTRAINT"),
    ("feed_head", "AFTER UPDATE OF sequence"),
];

/// On SQLite nothing can wait inside a commit.
const ON_SQLITE: [(&str, &str); 9] = [
    ("orders", "BEFORE INSERT"),
    ("order_line", "AFTER INSERT"),
    ("idempotency_key", "BEFORE INSERT"),
    ("idempotency_key", "BEFORE UPDATE"),
    ("orders", "BEFORE UPDATE"),
    ("feed_head", "BEFORE UPDATE OF sequence"),
    ("feed_event", "BEFORE INSERT"),
    ("feed_event", "AFTER INSERT"),
    ("feed_head", "BEFORE UPDATE OF closed_until"),
];

/// A second is closed while no orders are placed.
fn plan(backend: Backend) -> Plan {
    let mut plan = Plan::quiet(backend, [1, 1, 1]);
    plan.pauses = vec![10, 1_000];
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_service_killed_at_any_statement_loses_nothing_on_postgres() {
    killed_at_each(&plan(Backend::Postgres), "steps-postgres", &ON_POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_without_rust_killed_at_any_statement_loses_nothing() {
    if let Some(plan) = plan(Backend::Postgres).without_rust() {
        killed_at_each(&plan, "steps-without-rust", &OF_A_SHOP).await;
    }
}

async fn killed_at_each(plan: &Plan, name: &str, steps: &[(&'static str, &'static str)]) {
    let mut life = Life::start(plan, name).await;
    let url = life.fleet.url(Whose::Order).to_owned();
    for (table, when) in steps {
        life.fleet.history.fault(&format!("{when} {table}"));
        life.quiet(when.ends_with("closed_until"));
        let victim = life.fleet.group(Whose::Order).running[0].name.clone();
        let step = Step {
            name: when,
            table,
            when,
        };
        let gate = Gate::close(&url, step, &victim).await;
        gate.waiting().await;
        life.fleet.group(Whose::Order).kill(0);
        gate.open().await;
        tables::run(&url, "DROP FUNCTION test_gate CASCADE").await;
        life.quiet(false);
        life.last(Duration::from_millis(300)).await;
    }
    assert_no_violations(&life.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_service_killed_at_any_statement_loses_nothing_on_sqlite() {
    let plan = plan(Backend::Sqlite);
    let mut life = Life::start(&plan, "steps-sqlite").await;
    let url = life.fleet.url(Whose::Order).to_owned();
    for (table, when) in ON_SQLITE {
        life.fleet.history.fault(&format!("{when} {table}"));
        life.quiet(when.ends_with("closed_until"));
        let gate = format!("CREATE TRIGGER test_gate {when} ON {table} BEGIN {FOR_EVER}; END");
        tables::run(&url, &gate).await;
        held_on_sqlite(&url, 500).await;
        life.fleet.group(Whose::Order).kill(0);
        tables::run(&url, "DROP TRIGGER test_gate").await;
        life.quiet(false);
        life.last(Duration::from_millis(300)).await;
    }
    assert_no_violations(&life.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_commit_was_not_confirmed_is_published_once() {
    commits_get_lost(Lost::Answer, "commit-answers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_commit_never_arrives_leaves_nothing() {
    commits_get_lost(Lost::Request, "commit-requests").await;
}

async fn commits_get_lost(lost: Lost, name: &str) {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, name).await;
    let cluster = &mut fleet.group(Whose::Order).cluster;
    let wire = Wire::before(cluster.database.url(), lost).await;
    cluster.database_url.clone_from(&wire.url);
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    wire.lose(5);
    life.last(Duration::from_secs(6)).await;
    life.until("commits are lost", async |_| wire.losses() >= 5)
        .await;
    wire.lose(0);
    assert_no_violations(&life.end().await);
}
