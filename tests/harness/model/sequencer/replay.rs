//! Replays a real run, in the order of its commits. It is cut where nothing waits for a number: a model of all of it would take
//! minutes for a step. What leaves no trace is inferred: an event is inserted before those with higher positions, and numbers are
//! given out at a moment at which exactly these events had none.

use std::collections::HashMap;
use std::fmt;

use super::state::Numbering;
use super::{Action, Number, Sequencer, Session, World, Writing};
use crate::journal::Record;
use crate::model::walk::Walk;

/// The limits of `sequencer/mod.rs` and of `feed_number_alone`.
const MOST: [usize; 2] = [1_000, 10];

/// Replays what a publisher has committed; returns how many steps of the model that took.
///
/// # Errors
///
/// The first step that the model forbids, and those before.
pub fn replay(journal: &[Record]) -> Result<usize, String> {
    let commits = commits(journal)?;
    let first = commits.iter().find_map(|commit| commit.head);
    let mut head = first.map_or(0, |(was, _)| was as Number);
    let mut steps = 0;
    for window in windows(&commits) {
        let mut life = Life::of(&window, head);
        for (index, commit) in window.iter().enumerate() {
            life.number_now(&window[index..])
                .and_then(|()| life.follow(commit))
                .map_err(|why| life.walk.describe(commit, &why))?;
        }
        head += life.walk.state.head;
        steps += life.walk.steps;
    }
    Ok(steps)
}

/// What a transaction has committed.
#[derive(Debug, Clone, Default)]
struct Commit {
    /// The event that it has appended: position, id and subject.
    appended: Option<(i64, String, String)>,
    /// The events that it has numbered, in sequence.
    numbered: Vec<(i64, String)>,
    /// The head, as it was and is.
    head: Option<(i64, i64)>,
}

/// The transactions, in their order.
fn commits(journal: &[Record]) -> Result<Vec<Commit>, String> {
    let mut commits: Vec<Commit> = Vec::new();
    let mut last = None;
    for record in journal {
        if last != Some(record.transaction) {
            last = Some(record.transaction);
            commits.push(Commit::default());
        }
        let Some(commit) = commits.last_mut() else {
            continue;
        };
        let text = |name| record.text(name).unwrap_or_default().to_owned();
        let number = |name| record.number(name).unwrap_or_default();
        match record.what.as_str() {
            "append" if commit.appended.is_some() => {
                return Err("a writer of the model appends one event".to_owned());
            }
            "append" => commit.appended = Some((number("position"), text("id"), text("subject"))),
            "number" => commit.numbered.push((number("sequence"), text("id"))),
            _ => {
                let was = commit.head.map_or(number("sequence_was"), |(was, _)| was);
                commit.head = Some((was, number("sequence")));
            }
        }
    }
    for commit in &mut commits {
        commit.numbered.sort_unstable();
    }
    commits.retain(|commit| commit.appended.is_some() || !commit.numbered.is_empty());
    Ok(commits)
}

/// Cuts where everything that was inserted is numbered.
fn windows(commits: &[Commit]) -> Vec<Vec<Commit>> {
    let mut windows = vec![Vec::new()];
    // The highest position that was appended so far, and the lowest that is appended later.
    let mut lowest: Vec<i64> = vec![i64::MAX];
    for commit in commits.iter().rev() {
        let position = commit
            .appended
            .as_ref()
            .map_or(i64::MAX, |(position, ..)| *position);
        lowest.push(position.min(lowest[lowest.len() - 1]));
    }
    lowest.reverse();
    let (mut highest, mut waiting) = (0, 0);
    for (index, commit) in commits.iter().enumerate() {
        if let Some((position, ..)) = &commit.appended {
            highest = highest.max(*position);
            waiting += 1;
        }
        waiting -= commit.numbered.len() as i64;
        windows[0].push(commit.clone());
        if waiting == 0 && lowest[index + 1] > highest {
            windows.insert(0, Vec::new());
        }
    }
    windows.reverse();
    windows
}

/// The life of one part.
#[derive(Debug)]
struct Life {
    walk: Walk<Sequencer>,
    /// The writers by the ids of their events.
    writers: HashMap<String, usize>,
    /// The head before.
    offset: Number,
    /// The session that numbers.
    numbering: Option<Session>,
}

impl Life {
    fn of(window: &[Commit], offset: Number) -> Self {
        let mut appended: Vec<_> = window
            .iter()
            .filter_map(|one| one.appended.as_ref())
            .collect();
        appended.sort_unstable();
        let mut subjects: HashMap<&str, usize> = HashMap::new();
        let subjects = appended.iter().map(|(_, _, subject)| {
            let next = subjects.len();
            *subjects.entry(subject).or_insert(next)
        });
        let world = World {
            subjects: subjects.collect(),
            sequencers: 1,
            most: MOST,
            readers: 1,
            page: 100,
        };
        let ids = appended.iter().map(|(_, id, _)| id.clone());
        let writers = ids.zip(0..).collect();
        let model = Sequencer {
            without: None,
            world,
        };
        Self {
            walk: Walk::new(model),
            writers,
            offset,
            numbering: None,
        }
    }

    /// Lets the session of the next commit with numbers number, if it would number what it has numbered.
    fn number_now(&mut self, ahead: &[Commit]) -> Result<(), String> {
        let next = ahead.iter().find(|commit| !commit.numbered.is_empty());
        let (None, Some(commit)) = (self.numbering, next) else {
            return Ok(());
        };
        let numbered = commit.numbered.iter();
        let numbered: Option<Vec<usize>> = numbered
            .map(|(_, id)| self.writers.get(id).copied())
            .collect();
        let session = match &commit.appended {
            Some((_, id, _)) => Session::Writer(self.writers[id]),
            None => Session::Sequencer(0),
        };
        let before = self.walk.clone();
        // The sequencer numbers fewer at once after a failure, or while that takes long.
        if let (Session::Sequencer(_), Some(numbered)) = (session, &numbered) {
            self.walk.model.world.most[0] = numbered.len().min(MOST[0]);
        }
        let begun = match session {
            Session::Writer(writer) => self.begin_commit(writer),
            Session::Sequencer(_) => Ok(()),
        };
        let mut expected = self.walk.state.unnumbered(session);
        expected.truncate(self.walk.model.world.most(session));
        if begun.is_ok() && Some(expected) == numbered {
            self.walk.take(Action::Lock(session))?;
            self.walk.take(Action::Number(session))?;
            self.numbering = Some(session);
        } else {
            self.walk = before;
        }
        Ok(())
    }

    fn follow(&mut self, commit: &Commit) -> Result<(), String> {
        let writer = commit.appended.as_ref().map(|(_, id, _)| self.writers[id]);
        let session = writer.map_or(Session::Sequencer(0), Session::Writer);
        if commit.numbered.is_empty() {
            let writer = writer.ok_or("a transaction that did nothing")?;
            if commit.head.is_some() {
                return Err("the model moves the head with numbers alone".to_owned());
            }
            self.begin_commit(writer)?;
            self.walk.take(Action::Commit(writer))?;
            self.walk.record(commit);
            return Ok(());
        }
        if self.numbering.take() != Some(session) {
            let expected = self.walk.state.unnumbered(session);
            return Err(format!(
                "at no moment since the head was free would the model number these; now it would number the events \
                 {expected:?} of this window"
            ));
        }
        if let Numbering::Done(numbers) = self.walk.state.how_far(session) {
            let offset = i64::from(self.offset);
            let expected = numbers
                .iter()
                .map(|(_, number)| i64::from(*number) + offset);
            if !commit
                .numbered
                .iter()
                .map(|(number, _)| *number)
                .eq(expected)
            {
                return Err(format!(
                    "the model numbers on from {}",
                    offset + i64::from(self.walk.state.head)
                ));
            }
        }
        let was = i64::from(self.walk.state.head + self.offset);
        self.walk.take(Action::Publish(session))?;
        let is = i64::from(self.walk.state.head + self.offset);
        if commit.head != Some((was, is)) {
            return Err(format!("the model moves the head from {was} to {is}"));
        }
        // So that each reader has seen all before k, who has seen k.
        while self.walk.allows(&Action::Read(0)) {
            self.walk.take(Action::Read(0))?;
        }
        self.walk.record(commit);
        Ok(())
    }

    /// Inserts a writer's event, after those that have lower positions, and sends its `COMMIT`.
    fn begin_commit(&mut self, writer: usize) -> Result<(), String> {
        for writer in self.walk.state.inserted.len()..=writer {
            self.walk.take(Action::Insert(writer))?;
        }
        match self.walk.state.writers[writer] {
            Writing::Open => self.walk.take(Action::BeginCommit(writer)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            appended,
            numbered,
            head,
        } = self;
        write!(
            f,
            "a commit that appends {appended:?}, numbers {numbered:?}, and moves the head {head:?}"
        )
    }
}
