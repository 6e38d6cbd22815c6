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
pub mod journal;
pub mod load;
pub mod marks;
pub mod metrics;
pub mod model;
pub mod mutate;
mod original;
pub mod pooler;
mod process;
pub mod producer;
pub mod programs;
mod routes;
pub mod server;
pub mod settings;
mod sql;
mod state;
mod system;
pub mod tables;
pub mod tap;
mod wait;
pub mod wire;

pub use checker::Story;
pub use client::{Answer, Client};
pub use cluster::{Cluster, Instance, PARTITIONS};
pub use database::FreshDatabase;
pub use described::assert_described;
pub use follower::Follower;
pub use original::Original;
pub use process::{Process, built};
pub use routes::{call, request, serve};
pub use sql::Sql;
pub use system::{Backend, Service, System, free_address, new_order, new_order_form};
pub use wait::{DEADLINE, patiently, until};

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
