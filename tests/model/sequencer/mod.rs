//! How events get their numbers on PostgreSQL: `feed-core/src/outbox.rs`, `sequencer.rs`, `feed_number` and
//! `feed_number_at_commit` in `migrations/postgres/`. Three writers, which may number in their COMMIT, two
//! instances that number, two readers that page by number; one session may die while it numbers.
//!
//! Here numbering updates a row, and does not move it to another table, so that rivals rewrite
//! numbers. A second instance does not find rows that were moved, so the code has a second guard
//! there.

mod action;
mod state;

use stateright::{Model, Property};

use self::action::Action;
use self::state::{Numbering, READERS, Reader, Session, State, WRITERS, Writing};
use crate::{breaks, holds};

const DENSE: &str = "numbers are 1, 2, 3 … without holes (I2)";
const BEFORE: &str = "who has seen k has seen all before k (I2)";
const STAYS: &str = "what was published stays as it was (I3)";
const IN_ORDER: &str = "events of one subject are numbered in the order of their changes (I6)";
const NO_CLIENT: &str = "the head's lock does not wait for a client";
const ALL_SEEN: &str = "when nothing is left to do, every reader has seen what was committed (I1)";

/// What keeps the numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// `outbox::append` assigns no sequence: that follows in the COMMIT or after it.
    NumberAfterAppend,
    /// `feed_number_at_commit` numbers inside COMMIT alone.
    LockInCommit,
    /// It numbers in READ COMMITTED alone, where each statement has a snapshot of its own.
    FreshSnapshot,
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
            sequencers: Default::default(),
            commits: Default::default(),
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
                    actions.extend([Action::BeginCommit(writer), Action::RollBack(writer)]);
                }
                // It leaves its event to a sequencer.
                Writing::Committing if !state.is_numbering(Session::Writer(writer)) => {
                    actions.push(Action::Commit(writer));
                }
                _ => {}
            }
        }
        let lock_is_free = state.lock.is_none() || !self.has(Guard::HeadLock);
        for session in Session::all() {
            let may_begin = match session {
                Session::Sequencer(_) => !state.unnumbered(session).is_empty(),
                Session::Writer(w) if self.has(Guard::LockInCommit) => {
                    state.writers[w] == Writing::Committing
                }
                Session::Writer(w) => state.is_open(w),
            };
            let numbering = state.clone().numbering(session).clone();
            match &numbering {
                Numbering::Idle if !may_begin => {}
                Numbering::Idle if !self.has(Guard::TwoStatements) => {
                    actions.push(Action::TakeSnapshot(session));
                }
                Numbering::Idle if lock_is_free => actions.push(Action::Lock(session)),
                Numbering::HasSnapshot(_) if lock_is_free && may_begin => {
                    actions.push(Action::Number(session));
                }
                Numbering::Locked => actions.push(Action::Number(session)),
                Numbering::Done(_) => actions.push(Action::Publish(session)),
                _ => {}
            }
            if numbering != Numbering::Idle && state.deaths == 0 {
                actions.push(Action::Die(session));
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
                if !self.has(Guard::NumberAfterAppend) {
                    state.numbers[writer] = Some(state.inserted.len() as u8);
                }
                if !self.has(Guard::FreshSnapshot) {
                    state.commits[writer] =
                        Numbering::HasSnapshot(state.unnumbered(Session::Writer(writer)));
                }
            }
            Action::BeginCommit(writer) => state.writers[writer] = Writing::Committing,
            Action::Commit(writer) => state.commit(writer),
            Action::RollBack(writer) => state.roll_back(Session::Writer(writer)),
            Action::Lock(session) => {
                state.lock = Some(session);
                *state.numbering(session) = Numbering::Locked;
            }
            Action::TakeSnapshot(session) => {
                *state.numbering(session) = Numbering::HasSnapshot(state.unnumbered(session));
            }
            Action::Number(session) => {
                let events = match state.numbering(session) {
                    Numbering::HasSnapshot(events) => events.clone(),
                    _ => state.unnumbered(session),
                };
                state.lock = Some(session);
                let numbers = events.into_iter().zip(state.head + 1..).collect();
                *state.numbering(session) = Numbering::Done(numbers);
            }
            Action::Publish(session) => {
                let done = std::mem::replace(state.numbering(session), Numbering::Idle);
                let Numbering::Done(numbers) = done else {
                    return None;
                };
                for (event, number) in numbers {
                    state.numbers[event] = Some(number);
                    state.head = number;
                }
                state.lock = None;
                if let Session::Writer(writer) = session {
                    state.commit(writer);
                }
            }
            Action::Die(session) => {
                state.deaths += 1;
                state.roll_back(session);
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
            Property::always(NO_CLIENT, |_, state: &State| match state.lock {
                Some(Session::Writer(writer)) => state.writers[writer] == Writing::Committing,
                _ => true,
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
                "an event is numbered in its own commit",
                |_, state: &State| {
                    state.writers.contains(&Writing::Committing)
                        && matches!(state.commits.as_slice(), [.., Numbering::Done(numbers)] if numbers.len() == 3)
                },
            ),
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
