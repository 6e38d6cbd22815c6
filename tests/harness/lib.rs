//! Fixtures that the tests of this workspace share: fresh databases, and real processes.

pub mod audit;
pub mod checker;
mod client;
mod cluster;
mod database;
mod described;
pub mod fake;
mod follower;
pub mod gate;
pub mod load;
pub mod metrics;
pub mod mutate;
mod original;
pub mod pooler;
mod process;
pub mod producer;
pub mod programs;
mod routes;
pub mod settings;
mod sql;
mod state;
mod system;
pub mod tables;
pub mod tap;
pub mod wire;

pub use checker::Story;
pub use client::{Answer, Client};
pub use cluster::{Cluster, Instance, PARTITIONS};
pub use database::FreshDatabase;
pub use described::assert_described;
pub use follower::Follower;
pub use original::Original;
pub use process::{Process, built};
pub use routes::{call, serve};
pub use sql::Sql;
pub use system::{Backend, Service, System, free_address, new_order, new_order_form};

use std::time::{Duration, Instant};

/// How long a condition may take to come true on a loaded machine. A test that reaches it has
/// failed; none depends on a short value.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `holds` gives something.
///
/// # Panics
///
/// It gives nothing within [`DEADLINE`].
pub async fn until<T>(what: &str, holds: impl AsyncFnMut() -> Option<T>) -> T {
    poll(Duration::from_millis(20), what, holds).await
}

/// As [`until`], for what takes seconds: it polls less often, since many tests wait in parallel.
///
/// # Panics
///
/// It gives nothing within [`DEADLINE`].
pub async fn patiently<T>(what: &str, holds: impl AsyncFnMut() -> Option<T>) -> T {
    poll(Duration::from_millis(200), what, holds).await
}

async fn poll<T>(pause: Duration, what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "timed out: {what}");
        tokio::time::sleep(pause).await;
    }
}

/// Runs each test on both databases, each time on a fresh one.
///
/// A test is a function over the backend that takes the URL of its database:
///
/// ```text
/// async fn an_order_is_stored<S: Store>(url: &str) { … }
///
/// harness::on_both_databases! { an_order_is_stored }
/// ```
#[macro_export]
macro_rules! on_both_databases {
    ($($test:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let database = $crate::FreshDatabase::sqlite();
                    super::$test::<sqlx::Sqlite>(database.url()).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let database = $crate::FreshDatabase::postgres().await;
                    super::$test::<sqlx::Postgres>(database.url()).await;
                }
            )*
        }
    };
}

/// Makes two tests of each: on SQLite and on PostgreSQL. A test is a function that takes the
/// [`Backend`] of the services it starts. Attributes, such as `#[ignore]`, apply to both tests.
#[macro_export]
macro_rules! on_both_backends {
    ($($(#[$attribute:meta])* $test:ident)*) => {
        mod sqlite {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::Backend::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::Backend::Postgres).await;
                }
            )*
        }
    };
}
