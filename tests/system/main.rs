//! The system seen from outside: real processes, real databases, real HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod collector;
mod command_line;
mod commands;
mod conditional;
mod crashes;
mod demo;
mod documentation;
mod erase;
mod interoperation;
mod moving;
mod observe;
mod postgresql;
mod program;
mod proxies;
mod repository;
mod restore;
mod secure;
mod shop;
mod start;
mod traces;
mod upgrade;
mod way;
mod words;

/// Makes two tests of each: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(harness::Backend::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(harness::Backend::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;
