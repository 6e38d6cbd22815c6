//! One suite of tests for each service that keeps one record for each order, such as an invoice or a shipment. It runs
//! against each of them on both databases. A service describes itself by a [`Subject`], and its tests contain
//!
//! ```text
//! mod conformance {
//!     ::conformance::conforms!(crate::app::Invoices);
//! }
//! ```
//!
//! Tests of what only one service has, such as numbers of invoices, stay with that service.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests: one that cannot continue fails"
)]

mod app;
pub mod erased;
pub mod events;
pub mod lists;
pub mod original;
pub mod pages;
pub mod parked;
pub mod reconcile;
pub mod recorded;
pub mod service;
mod subject;

pub use app::{
    App, Expected, NOBODY, compared, config, documents, following, forget, handle, open, recorded,
    start_again, statuses, without,
};
pub use harness::{FreshDatabase, producer::Line};
pub use sqlx;
pub use subject::Subject;

/// All tests of the suite, on both databases, for a [`Subject`], which is given by its path.
#[macro_export]
macro_rules! conforms {
    ($subject:ty) => {
        $crate::tests! { $subject:
            events {
                a_placed_order_has_its_document
                an_order_placed_and_cancelled_in_one_batch_is_cancelled
                a_cancellation_needs_an_earlier_order
                the_first_cancellation_counts
                the_same_events_again_change_nothing
                a_batch_succeeds_at_once
                an_order_that_is_placed_twice_has_one_document
                other_events_are_passed_over
                hundreds_of_orders_are_applied
            }
            recorded {
                an_unknown_type_is_recorded
                a_cancellation_of_an_order_that_is_not_here_is_recorded
                an_order_of_two_events_is_parked
                the_numbers_of_another_feed_are_parked
                the_end_of_another_order_is_parked
                a_time_with_more_digits_is_the_same
                a_replay_does_not_double
                a_replay_completes_what_is_missing
                a_record_of_an_older_version_is_not_changed
            }
            parked {
                an_invalid_order_is_parked
                an_invalid_line_is_parked
                a_cancellation_without_a_number_is_parked
                an_event_that_fails_in_the_database_is_parked
                a_parked_event_is_retried_and_skipped_by_an_operator
                what_was_skipped_by_mistake_is_undone
            }
            erased {
                a_late_consumer_makes_records_without_personal_data
                a_parked_event_gets_the_erased_data
                a_skipped_event_is_not_kept_once_it_is_erased
                an_erased_order_that_is_not_here_is_recorded
            }
            pages {
                a_client_can_wait_for_an_order
                what_a_client_has_is_not_repeated
                a_browser_gets_a_problem_as_a_page
                the_list_links_to_older_records
                an_empty_shop_has_an_empty_list
                a_missing_record_is_a_problem_document
                no_cache_keeps_personal_data
            }
            lists {
                records_are_selected_by_status_and_day
                days_are_paged_by_time
                records_are_found_by_order_and_by_name
                a_parameter_that_does_not_exist_is_refused
            }
            reconcile {
                normal_traffic_makes_no_difference
                traffic_during_the_comparison_makes_no_difference
                an_event_without_effect_hides_no_difference
                only_a_whole_comparison_finds_unexplained_records
                a_record_that_another_order_has_ended_is_found
                a_month_is_proved_with_totals
                an_erased_customer_is_no_difference
                an_event_may_be_applied_during_the_comparison
            }
            service {
                it_starts_and_stops_without_a_feed
                it_opens_a_database_with_records
                it_leaves_the_database_of_another_service_alone
                it_does_not_start_without_a_database
                it_is_ready_unless_it_is_halted
                a_poll_is_requested_and_not_waited_for
                all_routes_are_described
                settings_have_defaults_and_are_checked
            }
            original {
                orders_of_the_original_are_applied
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
    /// A test that is not in the list runs nowhere.
    #[test]
    fn every_test_is_in_the_list() {
        let groups = [
            include_str!("erased.rs"),
            include_str!("events.rs"),
            include_str!("lists.rs"),
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
                // A test is generic, and a helper is not.
                let signature = function.split('(').next().unwrap();
                let Some((name, _)) = signature.split_once('<') else {
                    continue;
                };
                assert!(list.contains(&format!("    {name}\n")), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, 57);
    }
}
