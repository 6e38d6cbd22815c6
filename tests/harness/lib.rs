//! What tests of this workspace share: fresh databases, and real processes.

mod database;

pub use database::FreshDatabase;

/// Runs each test on both databases, each time on a fresh one.
///
/// A test is a function over the backend that takes the URL of its database:
///
/// ```ignore
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
