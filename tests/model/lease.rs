//! How several instances share a subscription.

use harness::model::lease::{
    ALL_DONE, EPOCHS, FAULTS, FENCED, Guard, HANDLED, Lease, Left, NOT_CROSSED, ONE_EFFECT,
    ONE_FEED, PAUSE, PAUSED, State, World,
};

use crate::{breaks, holds};

fn model(without: &'static [Guard], left: Left) -> Lease {
    let mut world = World::small();
    if left.feeds > 0 {
        // With three, or with a page in between, it would take too long.
        world.instances = 2;
        world.ends = vec![0, 3];
    }
    Lease {
        without,
        left,
        world,
    }
}

#[test]
fn with_all_guards_it_holds() {
    for left in [FAULTS, PAUSE] {
        holds(model(&[], left), State::representative);
    }
}

#[test]
fn with_all_guards_it_holds_when_the_feed_becomes_another_one() {
    holds(model(&[], EPOCHS), State::representative);
}

fn without(guards: &'static [Guard], left: Left, broken: &'static str) {
    breaks(model(guards, left), broken);
}

#[test]
fn without_the_fence_a_late_owner_commits() {
    without(&[Guard::Fence], FAULTS, FENCED);
}

#[test]
fn with_the_cursor_outside_of_the_transaction_an_event_is_lost() {
    without(&[Guard::OneTransaction], FAULTS, HANDLED);
}

#[test]
fn without_claims_an_event_has_two_effects() {
    without(&[Guard::Claims], FAULTS, ONE_EFFECT);
}

#[test]
fn without_a_check_in_the_transaction_an_effect_begins_in_a_pause() {
    without(&[Guard::NotPaused], PAUSE, PAUSED);
}

#[test]
fn an_instance_that_reads_no_partitions_once_and_for_all_stops_after_a_short_pause() {
    without(&[Guard::NoneIsNotFinal], PAUSE, ALL_DONE);
}

#[test]
fn with_a_tag_of_one_partition_alone_an_event_is_hidden() {
    without(&[Guard::AllAgreeOnTag], FAULTS, ALL_DONE);
}

/// Each of the two alone is enough for that.
#[test]
fn without_any_look_at_the_epoch_a_cursor_passes_to_another_feed() {
    without(&[Guard::SameFeed, Guard::OneFeed], EPOCHS, NOT_CROSSED);
}

#[test]
fn without_a_look_at_the_other_cursors_an_effect_of_a_second_feed_begins() {
    without(&[Guard::OneFeed], EPOCHS, ONE_FEED);
}

#[test]
fn with_cursors_in_two_feeds_that_halt_nobody_an_event_is_hidden() {
    without(&[Guard::TwoFeedsHalt], EPOCHS, ALL_DONE);
}
