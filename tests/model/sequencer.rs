//! How events get their numbers.

use harness::model::sequencer::{
    BEFORE, Guard, IN_ORDER, NO_CLIENT, STAYS, Sequencer, State, World,
};

use crate::{breaks, holds};

fn model(without: Option<Guard>) -> Sequencer {
    let world = World::small();
    Sequencer { without, world }
}

#[test]
fn with_all_guards_it_holds() {
    holds(model(None), State::clone);
}

fn without(guard: Guard, broken: &'static str) {
    breaks(model(Some(guard)), broken);
}

#[test]
fn locked_before_its_commit_the_head_waits_for_a_client() {
    without(Guard::LockInCommit, NO_CLIENT);
}

#[test]
fn numbered_from_the_snapshot_of_its_transaction_published_numbers_change() {
    without(Guard::FreshSnapshot, STAYS);
}

#[test]
fn numbered_at_insert_a_reader_misses_what_commits_late() {
    without(Guard::NumberAfterAppend, BEFORE);
}

#[test]
fn numbered_in_one_statement_published_numbers_change() {
    without(Guard::TwoStatements, STAYS);
}

#[test]
fn without_the_lock_of_the_head_published_numbers_change() {
    without(Guard::HeadLock, STAYS);
}

#[test]
fn without_the_lock_of_the_subject_its_order_is_lost() {
    without(Guard::SubjectLock, IN_ORDER);
}
