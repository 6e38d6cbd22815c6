//! How events get their numbers on PostgreSQL: `feed-core/src/outbox.rs`, `sequencer.rs` and
//! `migrations/postgres/0003_outbox.sql`. Three writers, two instances that number, two readers that
//! page by number; one of the numbering instances may die in its transaction.
//!
//! Here numbering updates a row, and does not move it to another table, so that rivals rewrite
//! numbers. A second instance does not find rows that were moved, so the code has a second guard
//! there.

mod action;
mod state;

use stateright::{Model, Property};

use self::action::Action;
use self::state::{Numbering, READERS, RIVALS, Reader, State, WRITERS, Writing};
use crate::{breaks, holds};

const DENSE: &str = "numbers are 1, 2, 3 … without holes (I2)";
const BEFORE: &str = "who has seen k has seen all before k (I2)";
const STAYS: &str = "what was published stays as it was (I3)";
const IN_ORDER: &str = "events of one subject are numbered in the order of their changes (I6)";
const ALL_SEEN: &str = "when nothing is left to do, every reader has seen what was committed (I1)";

/// What keeps the numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// `outbox::append` assigns no sequence: that follows after the commit.
    NumberAfterCommit,
    /// `feed_number` takes its snapshot after it has the lock, in a statement of its own.
    TwoStatements,
    /// `feed_number` locks the head's row first.
    HeadLock,
    /// The writer locks the row of the subject before it appends.
    SubjectLock,
}

/// The model, with all guards or without one.
#[derive(Debug, Clone)]
struct Sequencer {
    without: Option<Guard>,
}

impl Sequencer {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }
}

impl Model for Sequencer {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            writers: [Writing::NotYet; WRITERS],
            inserted: Vec::new(),
            committed: Vec::new(),
            numbers: [None; WRITERS],
            head: 0,
            lock: None,
            rivals: [const { Numbering::Idle }; RIVALS],
            readers: Default::default(),
            deaths: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for writer in 0..WRITERS {
            let free = !self.has(Guard::SubjectLock) || !state.subject_is_locked(writer);
            match state.writers[writer] {
                Writing::NotYet if free => actions.push(Action::Insert(writer)),
                Writing::Open => {
                    actions.extend([Action::Commit(writer), Action::RollBack(writer)]);
                }
                _ => {}
            }
        }
        let lock_is_free = state.lock.is_none() || !self.has(Guard::HeadLock);
        for (rival, numbering) in state.rivals.iter().enumerate() {
            match numbering {
                Numbering::Idle if state.unnumbered().is_empty() => {}
                Numbering::Idle if !self.has(Guard::TwoStatements) => {
                    actions.push(Action::TakeSnapshot(rival));
                }
                Numbering::Idle if lock_is_free => actions.push(Action::Lock(rival)),
                Numbering::HasSnapshot(_) if lock_is_free => actions.push(Action::Number(rival)),
                Numbering::Locked => actions.push(Action::Number(rival)),
                Numbering::Done(_) => actions.push(Action::Publish(rival)),
                _ => {}
            }
            let in_transaction = !matches!(numbering, Numbering::Idle);
            if in_transaction && state.deaths == 0 {
                actions.push(Action::Die(rival));
            }
        }
        let behind = (0..READERS).filter(|reader| !state.page(*reader).is_empty());
        actions.extend(behind.map(Action::Read));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Insert(writer) => {
                state.writers[writer] = Writing::Open;
                state.inserted.push(writer);
                if !self.has(Guard::NumberAfterCommit) {
                    state.numbers[writer] = Some(state.inserted.len() as u8);
                }
            }
            Action::Commit(writer) => {
                state.writers[writer] = Writing::Committed;
                state.committed.push(writer);
            }
            Action::RollBack(writer) => state.writers[writer] = Writing::RolledBack,
            Action::Lock(rival) => {
                state.lock = Some(rival);
                state.rivals[rival] = Numbering::Locked;
            }
            Action::TakeSnapshot(rival) => {
                state.rivals[rival] = Numbering::HasSnapshot(state.unnumbered())
            }
            Action::Number(rival) => {
                let events = match &state.rivals[rival] {
                    Numbering::HasSnapshot(events) => events.clone(),
                    _ => state.unnumbered(),
                };
                state.lock = Some(rival);
                let numbers = events.into_iter().zip(state.head + 1..).collect();
                state.rivals[rival] = Numbering::Done(numbers);
            }
            Action::Publish(rival) => {
                let done = std::mem::replace(&mut state.rivals[rival], Numbering::Idle);
                let Numbering::Done(numbers) = done else {
                    return None;
                };
                for (event, number) in numbers {
                    state.numbers[event] = Some(number);
                    state.head = number;
                }
                state.lock = None;
            }
            Action::Die(rival) => {
                state.deaths += 1;
                state.rivals[rival] = Numbering::Idle;
                state.lock = state.lock.filter(|holder| *holder != rival);
            }
            Action::Read(reader) => {
                let page = state.page(reader);
                state.readers[reader].seen.extend(page);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(DENSE, |_, state: &State| {
                let published = state.published();
                let numbers = published.iter().map(|(_, number)| *number);
                numbers.eq(1..=state.head)
            }),
            Property::always(BEFORE, |_, state: &State| {
                state.readers.iter().all(|reader| {
                    let mut known = state.published().into_iter();
                    known.all(|(event, number)| {
                        number > reader.cursor()
                            || reader.seen.iter().any(|(seen, _)| *seen == event)
                    })
                })
            }),
            Property::always(STAYS, |_, state: &State| {
                let mut seen = state.readers.iter().flat_map(|reader| &reader.seen);
                seen.all(|(event, number)| state.numbers[*event] == Some(*number))
            }),
            Property::always(IN_ORDER, |_, state: &State| {
                let changes = state.committed.iter().filter(|event| **event < 2);
                let numbers: Vec<u8> = changes.filter_map(|event| state.numbers[*event]).collect();
                numbers.is_sorted()
            }),
            Property::always(ALL_SEEN, |model, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                let sees_all = |reader: &Reader| reader.seen.len() == state.committed.len();
                !actions.is_empty() || state.readers.iter().all(sees_all)
            }),
            Property::sometimes("a stalled writer delays no other", |_, state: &State| {
                state.writers[0] == Writing::Open && state.readers[0].seen.len() == 1
            }),
            Property::sometimes(
                "numbering continues after a rollback and a death",
                |_, state: &State| {
                    state.deaths == 1 && state.writers[0] == Writing::RolledBack && state.head == 2
                },
            ),
        ]
    }
}

#[test]
fn with_all_guards_it_holds() {
    holds(Sequencer { without: None }, State::clone);
}

fn without(guard: Guard, broken: &'static str) {
    let without = Some(guard);
    breaks(Sequencer { without }, broken);
}

#[test]
fn numbered_at_insert_a_reader_misses_what_commits_late() {
    without(Guard::NumberAfterCommit, BEFORE);
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
