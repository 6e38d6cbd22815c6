//! Replays a real run. Each partition is replayed alone, with as many instances and events as there were: so no order is assumed
//! that the database has not kept. What leaves no trace (to renew, to read, to fetch) happens right before the step that needs
//! it: the fence makes sure that it could have happened there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Action, Event, Lease, Left, Row, Sequence, World};
use crate::journal::{Published, Record};
use crate::model::walk::Walk;

/// As often as it likes.
const ALWAYS: Left = Left {
    moves: u32::MAX,
    mishaps: u32::MAX,
    pauses: u32::MAX,
    feeds: u8::MAX,
};

/// Replays what a consumer of these `events` has committed; returns how many steps of the model that took.
///
/// # Errors
///
/// The first step of a partition that the model forbids, and those before.
pub fn replay(events: &[Published], journal: &[Record]) -> Result<usize, String> {
    let partitions = journal
        .iter()
        .filter_map(|record| record.number("partition"));
    let partitions: BTreeSet<i64> = partitions.collect();
    let mut steps = 0;
    for partition in partitions {
        let mut life = Life::of(partition, events, journal);
        for record in journal {
            life.follow(record)
                .map_err(|why| life.describe(record, &why))?;
        }
        steps += life.walk.steps;
    }
    Ok(steps)
}

/// The life of one partition.
struct Life<'a> {
    partition: i64,
    walk: Walk<Lease>,
    /// The numbers that the model has for processes, for the epochs of feeds, and for ids.
    processes: Vec<String>,
    feeds: Vec<&'a str>,
    ids: HashMap<&'a str, u32>,
    /// The process that holds a lease under this name.
    holders: HashMap<&'a str, String>,
    /// What each transaction has claimed in this partition, id and subject; and the subjects that it has changed.
    claimed: BTreeMap<i64, Vec<(&'a str, &'a str)>>,
    changed: BTreeMap<i64, BTreeSet<&'a str>>,
    /// The subjects with an event that was parked.
    parked: BTreeSet<&'a str>,
    /// The transactions that have moved the cursor.
    moved: BTreeSet<i64>,
}

impl<'a> Life<'a> {
    fn of(partition: i64, events: &'a [Published], journal: &'a [Record]) -> Self {
        let mut holders = HashMap::new();
        let mut processes = BTreeSet::new();
        let mut claimed = BTreeMap::<_, Vec<_>>::new();
        let mut changed = BTreeMap::<_, BTreeSet<_>>::new();
        let mut parked = BTreeSet::new();
        let mut feeds: Vec<&str> = Vec::new();
        for record in journal {
            if let Some(owner) = record.text("owner") {
                let process = record.process.clone().unwrap_or_else(|| owner.to_owned());
                if record.text("owner_was") != Some(owner) {
                    holders.insert(owner, process.clone());
                }
                processes.insert(process);
            }
            if let Some(feed) = record.text("feed").filter(|feed| !feeds.contains(feed)) {
                feeds.push(feed);
            }
            let ours = |subject: &&str| partition_of(subject) == partition;
            let Some(subject) = record.text("subject").filter(ours) else {
                continue;
            };
            let transaction = record.transaction;
            match (record.what.as_str(), record.text("id")) {
                ("claim", Some(id)) => claimed.entry(transaction).or_default().push((id, subject)),
                _ => _ = changed.entry(transaction).or_default().insert(subject),
            }
            if record.what == "park" {
                parked.insert(subject);
            }
        }
        let mut ids = HashMap::new();
        let world = World {
            instances: processes.len(),
            partitions: 1,
            feeds: feeds
                .iter()
                .map(|feed| events_of(feed, partition, events, &mut ids))
                .collect(),
            ends: (0..=events.len() as Sequence + 1).collect(),
        };
        let (without, left) = (&[][..], ALWAYS);
        let model = Lease {
            without,
            left,
            world,
        };
        let mut walk = Walk::new(model);
        // A process has created the tables before, and has taken nothing.
        let ours = |record: &&Record| record.number("partition") == Some(partition);
        let first = journal
            .iter()
            .find(ours)
            .and_then(|first| first.number("lease_was"));
        walk.state.rows[0].epoch = first.map_or(0, |epoch| epoch as u32);
        Self {
            partition,
            walk,
            processes: processes.into_iter().collect(),
            feeds,
            ids,
            holders,
            claimed,
            changed,
            parked,
            moved: BTreeSet::new(),
        }
    }

    /// Follows what was committed, if it is of this partition.
    fn follow(&mut self, record: &Record) -> Result<(), String> {
        match record.number("partition") {
            Some(partition) if partition == self.partition => {}
            None => return self.effect(record),
            Some(_) => return Ok(()),
        }
        let (was, is) = (self.row(record, "_was")?, self.row(record, "")?);
        self.compare(was, "before it was")?;
        if was.owner != is.owner {
            self.lease_moves(record, was, is)?;
        } else if was.epoch != is.epoch {
            self.walk.take(Action::BeginAnew)?;
        } else if was != is {
            self.apply(record, is)?;
        }
        self.compare(is, "now it is")?;
        self.walk.record(record);
        Ok(())
    }

    fn lease_moves(&mut self, record: &Record, was: Row, is: Row) -> Result<(), String> {
        let Some(owner) = is.owner else {
            let owner = was.owner.ok_or("nobody had it")?;
            let by = self.writer(record, owner)?;
            return self.walk.take(Action::Release(by, 0));
        };
        if was.owner.is_some() {
            // By the clock of the database.
            if !record.is("ended") {
                return Err("the lease has not ended".to_owned());
            }
            self.walk.take(Action::ClockJumps(0))?;
        }
        let by = self.writer(record, owner)?;
        self.walk.take(Action::Acquire(by, 0))
    }

    /// The process that has written a row: SQLite does not know more than the lease.
    fn writer(&self, record: &Record, owner: usize) -> Result<usize, String> {
        let process = record.process.as_deref();
        process.map_or(Ok(owner), |process| self.number_of(process))
    }

    /// A batch, of which only the commit is recorded.
    fn apply(&mut self, record: &Record, is: Row) -> Result<(), String> {
        let by = self.writer(record, is.owner.ok_or("nobody has the lease")?)?;
        let feed = is.feed.ok_or("a cursor without a feed")?;
        while self.walk.state.feed < feed {
            self.walk.take(Action::NewFeed)?;
        }
        if self.walk.state.paused {
            self.walk.take(Action::Unpause)?;
        }
        for silent in [Action::Renew(by), Action::Load(by)] {
            if self.walk.allows(&silent) {
                self.walk.take(silent)?;
            }
        }
        self.walk.take(Action::Fetch(by, is.sequence))?;
        self.walk.take(Action::Begin(by))?;
        if record.is("paused") {
            self.walk.take(Action::Pause)?;
        }
        let had = self.walk.state.claims.len();
        self.walk.take(Action::Apply(by))?;

        self.moved.insert(record.transaction);
        let claimed = self.claimed.get(&record.transaction);
        let mut claimed = claimed.cloned().unwrap_or_default();
        claimed.sort_by_key(|(id, _)| self.ids.get(id));
        let ids = claimed.iter().map(|(id, _)| self.ids.get(id).copied());
        let expected = &self.walk.state.claims[had..];
        if !ids.eq(expected.iter().map(|id| Some(*id))) {
            let expected = self.names(expected);
            return Err(format!(
                "the model claims {expected:?}, and {claimed:?} were claimed"
            ));
        }
        let changed = self.changed.get(&record.transaction);
        let has_effect = |subject: &&str| changed.is_some_and(|changed| changed.contains(subject));
        match claimed.iter().find(|(_, subject)| !has_effect(subject)) {
            Some((id, subject)) => Err(format!("event {id} of {subject} has no effect")),
            None => Ok(()),
        }
    }

    /// Claims are made with a move of the cursor, and effects with their claims; only what was parked comes later.
    fn effect(&self, record: &Record) -> Result<(), String> {
        let ours = |subject: &&str| partition_of(subject) == self.partition;
        let Some(subject) = record.text("subject").filter(ours) else {
            return Ok(());
        };
        let transaction = record.transaction;
        let claimed = self.claimed.get(&transaction).into_iter().flatten();
        let is_claimed = claimed.into_iter().any(|(_, known)| *known == subject);
        match record.what.as_str() {
            "claim" if !self.moved.contains(&transaction) => {
                Err("the model has no claim without a cursor that moves".to_owned())
            }
            "effect" if !is_claimed && !self.parked.contains(subject) => {
                Err("the model has no effect without its claim".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn compare(&self, row: Row, when: &str) -> Result<(), String> {
        let Row { ended, tag, .. } = row;
        let ours = Row {
            ended,
            tag,
            ..self.walk.state.rows[0]
        };
        match ours == row {
            true => Ok(()),
            false => Err(format!("the model has {ours:?}, and {when} {row:?}")),
        }
    }

    /// `feed_partition` as the model has it.
    fn row(&self, record: &Record, when: &str) -> Result<Row, String> {
        let text = |name: &str| record.text(&format!("{name}{when}"));
        let number = |name: &str| {
            let number = record.number(&format!("{name}{when}"));
            number.and_then(|number| u32::try_from(number).ok())
        };
        let feed = |feed| self.feeds.iter().position(|known| *known == feed);
        let owner = text("owner").map(|owner| {
            let process = self
                .holders
                .get(owner)
                .ok_or("an owner that has acquired nothing")?;
            self.number_of(process)
        });
        Ok(Row {
            owner: owner.transpose()?,
            epoch: number("lease").ok_or("no lease epoch")?,
            feed: text("feed").and_then(feed).map(|feed| feed as u8),
            sequence: number("sequence").ok_or("no sequence")?,
            ..Row::default()
        })
    }

    fn number_of(&self, process: &str) -> Result<usize, String> {
        let number = self.processes.iter().position(|known| known == process);
        number.ok_or_else(|| format!("{process} has never acquired a partition"))
    }

    fn names(&self, ids: &[u32]) -> Vec<&str> {
        let known = self.ids.iter().filter(|(_, id)| ids.contains(id));
        known.map(|(name, _)| *name).collect()
    }

    fn describe(&self, record: &Record, why: &str) -> String {
        let names: Vec<_> = self.processes.iter().enumerate().collect();
        let walk = self.walk.describe(record, why);
        format!(
            "partition {} with instances {names:?}:\n{walk}",
            self.partition
        )
    }
}

/// The events of a feed, and one more that no document shows: then no cursor is at the newest one, whose tag the journal does not
/// have.
fn events_of<'a>(
    feed: &str,
    partition: i64,
    events: &'a [Published],
    ids: &mut HashMap<&'a str, u32>,
) -> Vec<Event> {
    let mut ours: Vec<Event> = Vec::new();
    for event in events.iter().filter(|event| event.feed == feed) {
        let next = ids.len() as u32 + 1;
        ours.push(Event {
            id: *ids.entry(&event.id).or_insert(next),
            partition: usize::from(partition_of(&event.subject) != partition),
        });
    }
    ours.push(Event {
        id: 0,
        partition: 1,
    });
    ours
}

/// `partition::partition_of`
fn partition_of(subject: &str) -> i64 {
    let hash = subject
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    i64::from(((hash ^ (hash >> 32)) % 16) as u8)
}
