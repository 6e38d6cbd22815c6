//! How events get their numbers on PostgreSQL: `feed-core/src/outbox.rs`, `sequencer/mod.rs`, `feed_number` and
//! `feed_number_at_commit` in `migrations/postgres/`. Three writers, which may number in their COMMIT, two
//! instances that number, two readers that page by number; one session may die while it numbers.
//!
//! Here numbering updates a row, and does not move it to another table, so that rivals rewrite
//! numbers. A second instance does not find rows that were moved, so the code has a second guard
//! there.
//!
//! What a real run has committed is replayed in [`replay()`].

mod action;
mod replay;
mod state;

use stateright::{Model, Property};

pub use self::action::Action;
pub use self::replay::replay;
pub use self::state::State;
use self::state::{Number, Numbering, Reader, Session, Writing};

pub const DENSE: &str = "numbers are 1, 2, 3 … without holes (I2)";
pub const BEFORE: &str = "who has seen k has seen all before k (I2)";
pub const STAYS: &str = "what was published stays as it was (I3)";
pub const IN_ORDER: &str = "events of one subject are numbered in the order of their changes (I6)";
pub const NO_CLIENT: &str = "the head's lock does not wait for a client";
pub const ALL_SEEN: &str =
    "when nothing is left to do, every reader has seen what was committed (I1)";

/// What keeps the numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
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

/// How large everything is.
#[derive(Debug, Clone)]
pub struct World {
    /// The subject that each writer's event is about.
    pub subjects: Vec<usize>,
    /// The instances that number.
    pub sequencers: usize,
    /// The events that one of them numbers at a time, and those that a `COMMIT` numbers.
    pub most: [usize; 2],
    /// The readers, and the events that one takes at a time.
    pub readers: usize,
    /// See `readers`.
    pub page: usize,
}

impl World {
    /// The least in which everything happens.
    #[must_use]
    pub fn small() -> Self {
        Self {
            subjects: vec![0, 0, 1],
            sequencers: 2,
            most: [2, 3],
            readers: 2,
            page: 2,
        }
    }

    fn most(&self, session: Session) -> usize {
        match session {
            Session::Sequencer(_) => self.most[0],
            Session::Writer(_) => self.most[1],
        }
    }

    fn sessions(&self) -> impl Iterator<Item = Session> {
        let sequencers = (0..self.sequencers).map(Session::Sequencer);
        sequencers.chain((0..self.subjects.len()).map(Session::Writer))
    }
}

/// The model, with all guards or without one.
#[derive(Debug, Clone)]
pub struct Sequencer {
    /// The guard that is missing.
    pub without: Option<Guard>,
    /// Where.
    pub world: World,
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
            writers: vec![Writing::NotYet; self.world.subjects.len()],
            inserted: Vec::new(),
            committed: Vec::new(),
            numbers: vec![None; self.world.subjects.len()],
            head: 0,
            lock: None,
            sequencers: vec![Numbering::Idle; self.world.sequencers],
            commits: vec![Numbering::Idle; self.world.subjects.len()],
            readers: vec![Reader::default(); self.world.readers],
            deaths: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for writer in 0..self.world.subjects.len() {
            let free = !self.has(Guard::SubjectLock)
                || !state.subject_is_locked(&self.world.subjects, writer);
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
        for session in self.world.sessions() {
            let may_begin = match session {
                Session::Sequencer(_) => !state.unnumbered(session).is_empty(),
                Session::Writer(w) if self.has(Guard::LockInCommit) => {
                    state.writers[w] == Writing::Committing
                }
                Session::Writer(w) => state.is_open(w),
            };
            let numbering = state.how_far(session);
            match numbering {
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
            if *numbering != Numbering::Idle && state.deaths == 0 {
                actions.push(Action::Die(session));
            }
        }
        let page = |reader: &usize| state.page(*reader, self.world.page);
        let behind = (0..self.world.readers).filter(|reader| !page(reader).is_empty());
        actions.extend(behind.map(Action::Read));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Insert(writer) => {
                state.writers[writer] = Writing::Open;
                state.inserted.push(writer);
                if !self.has(Guard::NumberAfterAppend) {
                    state.numbers[writer] = Some(state.inserted.len() as Number);
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
                let events = events.into_iter().take(self.world.most(session));
                let numbers = events.zip(state.head + 1..).collect();
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
                let page = state.page(reader, self.world.page);
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
            Property::always(IN_ORDER, |model: &Self, state: &State| {
                let subjects = &model.world.subjects;
                let mut last = vec![0; subjects.len()];
                let numbered = state.committed.iter();
                let numbered = numbered.filter_map(|event| Some((*event, state.numbers[*event]?)));
                numbered.into_iter().all(|(event, number)| {
                    std::mem::replace(&mut last[subjects[event]], number) < number
                })
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
