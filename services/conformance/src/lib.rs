//! What every service keeps to that makes something of orders: invoices, shipments, and whatever comes next. One
//! suite of tests, which runs against each of them on both databases. A service says in a [`Subject`] how to see
//! what it has made, and its tests hold
//!
//! ```text
//! mod conformance {
//!     ::conformance::conforms!(crate::app::Invoices);
//! }
//! ```
//!
//! What only one service has, such as numbers of invoices, stays in its own tests.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests: one that cannot go on fails"
)]

mod app;
pub mod erased;
pub mod events;
pub mod original;
pub mod pages;
pub mod parked;
pub mod reconcile;
pub mod recorded;
pub mod service;

pub use app::{
    App, Expected, NOBODY, compared, config, documents, following, handle, open, recorded,
    start_again, statuses, without,
};
pub use harness::{FreshDatabase, producer::Line};
pub use sqlx;

use feed_console::service::ServiceOn;
use feed_core::Backend;
use serde_json::Value;
use sqlx::{Postgres, Sqlite};

/// A service that makes something of each order, and how a test sees what it has made.
pub trait Subject<S: Backend> {
    /// The service.
    type Service: ServiceOn<S> + ServiceOn<Sqlite> + ServiceOn<Postgres>;

    /// What it makes of an order, as texts say it: `an invoice`.
    const ONE: &'static str;
    /// The list of these, in texts and in documents: `invoices`.
    const MANY: &'static str;

    /// The document of order 17, with [`LINES`](harness::producer::LINES), if it is the first order.
    const DOCUMENT: &'static str;
    /// The document of order 7 of the original, if it is the first order.
    const ORIGINAL: &'static str;
    /// The members that no two documents have in common.
    const OF_ONE: &'static [&'static str];
    /// The member with the address that the service needs.
    const ADDRESS: &'static str;
    /// The status of what was made of an order that was placed.
    const PLACED: &'static str;
    /// Its status when the order was cancelled.
    const CANCELLED: &'static str;

    /// The pages on which order 1 has a name, if it was cancelled.
    const NAMED: &'static [&'static str];
    /// Routes for people alone.
    const APART: &'static [&'static str];

    /// The table, by `order_id`.
    const TABLE: &'static str;
    /// The table of its lines.
    const LINES_TABLE: &'static str;
    /// The columns by which a test knows a row again.
    const COLUMNS: &'static [&'static str];
    /// The column that is NULL unless the order was cancelled.
    const CANCELLED_AT: &'static str;
    /// The column that says when the order was placed.
    const PLACED_AT: &'static str;
    /// A statement after which nothing is as events say.
    const SPOILED: &'static str;

    /// What in an order is to be replaced by what, so that it is none here; and the reason that is given.
    const NO_ORDER: (&'static str, &'static str, &'static str);
    /// The second line of an order, that makes it none here; and the reason that is given.
    const NO_LINE: (Line<'static>, &'static str);

    /// Checks what documents have in common beside what the suite looks at. They are all there are, in the order
    /// in which they were made, of orders that were placed in `year`.
    fn check(_documents: &[Value], _year: i32) {}
}

/// All tests of the suite, on both databases, for a [`Subject`] by its path from anywhere.
#[macro_export]
macro_rules! conforms {
    ($subject:ty) => {
        $crate::tests! { $subject:
            events {
                a_placed_order_has_its_document
                placed_and_cancelled_in_one_batch_is_cancelled
                a_cancellation_counts_for_what_came_before_it
                the_same_events_again_change_nothing
                an_order_that_is_placed_twice_has_one_document
                other_events_are_passed_over
                hundreds_of_orders_are_taken
            }
            recorded {
                an_unknown_type_is_recorded
                a_cancellation_of_an_order_that_is_not_here_is_recorded
                an_order_that_is_told_by_two_events_is_parked
                the_numbers_of_another_feed_are_parked
                a_replay_does_not_double
                a_replay_completes_what_is_missing
                what_an_older_version_made_is_left_alone
            }
            parked {
                an_order_that_is_none_is_parked
                a_line_that_is_none_is_parked
                a_cancellation_without_a_number_is_parked
                an_event_that_fails_in_the_database_is_parked
                a_parked_event_is_retried_and_skipped_by_a_person
            }
            erased {
                a_late_consumer_makes_something_for_nobody
                an_order_that_is_parked_keeps_what_is_left
                an_erased_order_that_is_not_here_is_recorded
            }
            pages {
                who_waits_asks_by_the_order_and_is_told_once
                a_browser_is_told_on_a_page_what_is_wrong
                the_list_leads_to_older_ones
                an_empty_shop_has_an_empty_list
                what_is_not_there_is_a_problem_document
                personal_data_is_kept_by_no_cache
            }
            reconcile {
                all_is_well_after_normal_traffic
                all_is_well_while_traffic_goes_on
                what_is_left_out_hides_nothing_else
                only_a_whole_comparison_knows_what_is_unexplained
                an_erased_person_is_no_difference
                what_is_not_settled_may_come_meanwhile
            }
            service {
                it_starts_and_stops_without_a_feed
                it_opens_a_database_that_has_something
                it_leaves_the_database_of_another_service_alone
                it_does_not_start_without_a_database
                it_is_ready_unless_it_is_halted
                a_poll_is_asked_for_and_not_waited_for
                all_that_it_answers_to_is_described
                settings_have_defaults_and_are_checked
            }
            original {
                orders_of_the_original_are_taken
                an_answer_that_is_no_order_is_parked
            }
        }
    };
}

/// Each test on both databases, each time on a fresh one.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($subject:ty: $($group:ident { $($test:ident)* })*) => {$(
        mod $group {
            mod sqlite {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let database = $crate::FreshDatabase::sqlite();
                    $crate::$group::$test::<$subject, $crate::sqlx::Sqlite>(database.url()).await;
                }
            )*}
            mod postgres {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let database = $crate::FreshDatabase::postgres().await;
                    $crate::$group::$test::<$subject, $crate::sqlx::Postgres>(database.url()).await;
                }
            )*}
        }
    )*};
}

#[cfg(test)]
mod tests {
    /// A test that no service runs would tell nothing.
    #[test]
    fn every_test_is_in_the_list() {
        let groups = [
            include_str!("erased.rs"),
            include_str!("events.rs"),
            include_str!("original.rs"),
            include_str!("pages.rs"),
            include_str!("parked.rs"),
            include_str!("reconcile.rs"),
            include_str!("recorded.rs"),
            include_str!("service.rs"),
        ];
        let list = include_str!("lib.rs");
        let mut count = 0;
        for group in groups {
            for function in group.split("\npub async fn ").skip(1) {
                // A test is generic, and a help for tests is not.
                let signature = function.split('(').next().unwrap();
                let Some((name, _)) = signature.split_once('<') else {
                    continue;
                };
                assert!(list.contains(&format!("    {name}\n")), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, 44);
    }
}
