//! How several instances share a subscription: `feed-core/src/consumer/{progress,round,apply}/`
//! and `store/{postgres,sqlite,statements}/consume.rs`. Three instances, two partitions, three events. Twice the clock
//! may jump past the end of a lease, or a keeper give one back; once an instance may die, the answer to
//! a `COMMIT` be lost, or a person let the subscription begin anew: at any moment. A person may also pause it, in a run of its own, since
//! all together would take minutes. An instance that is
//! frozen is one that makes no step while others do.

mod action;
mod state;

use stateright::{Model, Property};

use self::action::Action;
use self::state::{
    Held, INSTANCES, Instance, Known, Left, NEWEST, PAGE, PARTITIONS, Row, State, partition_of,
};
use crate::{breaks, holds};

const ONE_EFFECT: &str = "each event has one effect (I5)";
const HANDLED: &str = "nothing below a cursor is unhandled (I5)";
const IN_ORDER: &str = "events of one subject are applied in sequence (I6)";
const FENCED: &str = "a late owner commits nothing";
const PAUSED: &str = "no effect begins in a pause";
const ALL_DONE: &str = "when nothing is left to do, each event has its effect (I5)";

/// What keeps the effects right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// `NativeConsume::advance`: owner, lease epoch and sequence in the `WHERE`.
    Fence,
    /// `Applier::transact`: the cursor is moved in the transaction of the effect.
    OneTransaction,
    /// `Applier::claim`
    Claims,
    /// `Cursors::load`: a tag is sent only if all partitions agree on it.
    AllAgreeOnTag,
    /// `NOT_PAUSED` in the transaction of the effect.
    NotPaused,
    /// `Cursors::load`: without partitions they are read again.
    NoneIsNotFinal,
}

/// The model, with all guards or without one.
#[derive(Debug, Clone)]
struct Lease {
    without: Option<Guard>,
    /// What may happen.
    left: Left,
}

/// Everything but a pause.
const FAULTS: Left = Left {
    moves: 2,
    mishaps: 1,
    pauses: 0,
};

/// A pause, while the leases move.
const PAUSE: Left = Left {
    moves: 1,
    mishaps: 0,
    pauses: 1,
};

impl Lease {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// What an instance may request from the feed: all of it, or its current page.
    fn fetches(state: &State, instance: usize) -> Vec<u8> {
        let asking = &state.instances[instance];
        let seen = asking.seen();
        match asking.tag {
            _ if asking.known == Known::No || asking.paused => Vec::new(),
            _ if asking.held.is_empty() || asking.batch.is_some() => Vec::new(),
            // A tag that matches is answered with a 304.
            Some(NEWEST) => Vec::new(),
            _ if seen < PAGE => vec![PAGE, NEWEST],
            _ => vec![NEWEST],
        }
    }

    /// The steps that instances take by themselves.
    fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        for (partition, row) in state.rows.iter().enumerate() {
            if row.owner.is_none() || row.ended {
                actions.extend((0..INSTANCES).map(|i| Action::Acquire(i, partition)));
            }
        }
        for (index, instance) in state.instances.iter().enumerate() {
            let held = state.held(index);
            let ends = held.iter().any(|held| state.rows[held.partition].ended);
            let news = instance.known == Known::Stale || instance.paused != state.paused;
            if ends || news {
                actions.push(Action::Renew(index));
            }
            let reads = instance.known == Known::No && !instance.paused;
            let finds = !state.readable(index).is_empty() || !instance.held.is_empty();
            if instance.batch.is_none() && reads && finds {
                actions.push(Action::Load(index));
            }
            let fetches = Self::fetches(state, index);
            actions.extend(fetches.into_iter().map(|to| Action::Fetch(index, to)));
            match instance.stored || self.has(Guard::OneTransaction) {
                _ if instance.batch.is_none() => {}
                true => actions.push(Action::Apply(index)),
                false => actions.push(Action::Store(index)),
            }
        }
    }

    fn apply(&self, state: &mut State, index: usize, answered: bool) -> Option<()> {
        let before = state.instances[index].clone();
        let to = before.batch?;
        let asked = before.held.iter();
        let asked = asked
            .filter(|held| held.sequence < to || to == NEWEST)
            .count();
        let kept = match before.stored {
            false if state.paused && self.has(Guard::NotPaused) => Vec::new(),
            false => state.advance(index, self.has(Guard::Fence)),
            true => {
                let rows = &state.rows;
                let still = |held: &&Held| {
                    let row = rows[held.partition];
                    row.owner == Some(index) && row.epoch == held.epoch && row.sequence == to
                };
                before.held.iter().filter(still).copied().collect()
            }
        };
        state.in_pause |= state.paused && !kept.is_empty();
        state.handle(&kept, to, self.has(Guard::Claims));
        let instance = &mut state.instances[index];
        instance.forget();
        // Otherwise it drops its cursors, and reads them again.
        if answered && kept.len() == asked {
            instance.held = before.held;
            instance.known = before.known;
            for held in &mut instance.held {
                held.sequence = held.sequence.max(to);
            }
            instance.tag = (to == NEWEST).then_some(to);
        }
        Some(())
    }
}
impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            rows: [Row::default(); PARTITIONS],
            instances: Default::default(),
            claims: Vec::new(),
            effects: Vec::new(),
            late: false,
            paused: false,
            in_pause: false,
            left: self.left,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
        for (partition, row) in state.rows.iter().enumerate() {
            if let (Some(owner), false, 1..) = (row.owner, row.ended, state.left.moves) {
                actions.push(Action::ClockJumps(partition));
                actions.push(Action::Release(owner, partition));
            }
        }
        if state.left.pauses > 0 {
            actions.push(Action::Pause);
        }
        if state.paused {
            actions.push(Action::Unpause);
        }
        if state.left.mishaps > 0 {
            actions.push(Action::BeginAnew);
            for (index, instance) in state.instances.iter().enumerate() {
                if *instance != Instance::default() {
                    actions.push(Action::Die(index));
                }
                if instance.batch.is_some() {
                    actions.push(Action::ApplyUnanswered(index));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Acquire(index, partition) => {
                state.change(partition, |row| {
                    row.owner = Some(index);
                    row.epoch += 1;
                    row.ended = false;
                });
                state.instances[index].known = Known::No;
                state.renew(index);
            }
            Action::Renew(index) => {
                let ours = |row: &&mut Row| row.owner == Some(index);
                state
                    .rows
                    .iter_mut()
                    .filter(ours)
                    .for_each(|row| row.ended = false);
                state.renew(index);
            }
            Action::Release(index, partition) => {
                state.left.moves -= 1;
                state.rows[partition].owner = None;
                state.instances[index].known = Known::No;
                state.renew(index);
            }
            Action::Load(index) => {
                let held = state.readable(index);
                let tags: Vec<_> = held
                    .iter()
                    .map(|held| state.rows[held.partition].tag)
                    .collect();
                let agree = tags.windows(2).all(|two| two[0] == two[1]);
                let tag = match agree || !self.has(Guard::AllAgreeOnTag) {
                    true => tags.into_iter().flatten().max(),
                    false => None,
                };
                let instance = &mut state.instances[index];
                instance.known = match held.is_empty() && self.has(Guard::NoneIsNotFinal) {
                    true => Known::No,
                    false => Known::Yes,
                };
                (instance.held, instance.tag) = (held, tag);
            }
            Action::Fetch(index, to) => state.instances[index].batch = Some(to),
            Action::Store(index) => {
                state.advance(index, true);
                state.instances[index].stored = true;
            }
            Action::Apply(index) => self.apply(&mut state, index, true)?,
            Action::ApplyUnanswered(index) => {
                state.left.mishaps -= 1;
                self.apply(&mut state, index, false)?;
            }
            Action::Die(index) => {
                state.left.mishaps -= 1;
                state.instances[index] = Instance::default();
            }
            Action::ClockJumps(partition) => {
                state.left.moves -= 1;
                state.rows[partition].ended = true;
            }
            Action::Pause => {
                state.left.pauses -= 1;
                state.paused = true;
            }
            Action::Unpause => state.paused = false,
            Action::BeginAnew => {
                state.left.mishaps -= 1;
                for partition in 0..PARTITIONS {
                    state.change(partition, |row| {
                        row.epoch += 1;
                        (row.sequence, row.tag) = (0, None);
                    });
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_EFFECT, |_, state: &State| {
                let mut events = 1..=NEWEST;
                let effects = |event| state.effects.iter().filter(move |e| **e == event).count();
                events.all(|event| effects(event) <= 1)
            }),
            Property::always(HANDLED, |_, state: &State| {
                let below = |event: &u8| *event <= state.rows[partition_of(*event)].sequence;
                let mut below = (1..=NEWEST).filter(below);
                below.all(|event| state.effects.contains(&event))
            }),
            Property::always(IN_ORDER, |_, state: &State| {
                (0..PARTITIONS).all(|partition| {
                    let effects = state.effects.iter();
                    let of_one: Vec<_> =
                        effects.filter(|e| partition_of(**e) == partition).collect();
                    of_one.is_sorted()
                })
            }),
            Property::always(FENCED, |_, state: &State| !state.late),
            Property::always(PAUSED, |_, state: &State| !state.in_pause),
            Property::always(ALL_DONE, |model, state: &State| {
                let mut steps = Vec::new();
                model.steps(state, &mut steps);
                let done = |event| state.effects.contains(&event);
                state.paused || !steps.is_empty() || (1..=NEWEST).all(done)
            }),
            Property::sometimes("all three have a batch on its way", |_, state: &State| {
                state
                    .instances
                    .iter()
                    .all(|instance| instance.batch.is_some())
            }),
            Property::sometimes("whatever happened, all is done", |_, state: &State| {
                let Left {
                    moves,
                    mishaps,
                    pauses,
                } = state.left;
                moves + mishaps + pauses == 0 && state.effects.len() == usize::from(NEWEST)
            }),
        ]
    }
}

#[test]
fn with_all_guards_it_holds() {
    for left in [FAULTS, PAUSE] {
        let without = None;
        holds(Lease { without, left }, State::representative);
    }
}

fn without(guard: Guard, left: Left, broken: &'static str) {
    let without = Some(guard);
    breaks(Lease { without, left }, broken);
}

#[test]
fn without_the_fence_a_late_owner_commits() {
    without(Guard::Fence, FAULTS, FENCED);
}

#[test]
fn with_the_cursor_outside_of_the_transaction_an_event_is_lost() {
    without(Guard::OneTransaction, FAULTS, HANDLED);
}

#[test]
fn without_claims_an_event_has_two_effects() {
    without(Guard::Claims, FAULTS, ONE_EFFECT);
}

#[test]
fn without_a_check_in_the_transaction_an_effect_begins_in_a_pause() {
    without(Guard::NotPaused, PAUSE, PAUSED);
}

#[test]
fn an_instance_that_reads_no_partitions_once_and_for_all_stops_after_a_short_pause() {
    without(Guard::NoneIsNotFinal, PAUSE, ALL_DONE);
}

#[test]
fn with_a_tag_of_one_partition_alone_an_event_is_hidden() {
    without(Guard::AllAgreeOnTag, FAULTS, ALL_DONE);
}
