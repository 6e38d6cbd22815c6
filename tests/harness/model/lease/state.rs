//! What is in the database and in the memory of the instances.

use super::World;

/// The number of an event in its feed.
pub(super) type Sequence = u32;

/// `feed_claim.event_id`
pub(super) type Id = u32;

/// An event of a feed, whose number is its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// A feed that was restored has some ids of the one before, and others.
    pub id: Id,
    /// That of its subject (`partition::partition_of`).
    pub partition: usize,
}

/// How often each may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Left {
    /// Leases that end before their time, or are released.
    pub moves: u32,
    /// Deaths, lost answers, new beginnings.
    pub mishaps: u32,
    /// Pauses of the subscription.
    pub pauses: u32,
    /// Changes of the feed's epoch.
    pub feeds: u8,
}

/// A row of `feed_partition`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// `lease_owner`
    pub owner: Option<usize>,
    /// `lease_epoch`
    pub epoch: u32,
    /// `lease_until` is over.
    pub ended: bool,
    /// The feed's epoch; `None` before the first event.
    pub feed: Option<u8>,
    /// The last event that was taken.
    pub sequence: Sequence,
    /// The head's tag that was stored with the cursor: it identifies the newest event.
    pub tag: Option<Sequence>,
}

/// `Held`: a partition as its instance knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Held {
    pub(super) partition: usize,
    pub(super) epoch: u32,
    pub(super) sequence: Sequence,
}

impl Held {
    /// `position::moves`: what is at the end already gets its tag there, and what is at the start its epoch.
    pub(super) fn moves(&self, to: Sequence, newest: Sequence) -> bool {
        self.sequence < to || to == newest || to == 0
    }
}

/// `Cursors::is_known_under`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Known {
    /// The partitions must be read.
    #[default]
    No,
    /// They are known, but they have changed: the next renewal reports that.
    Stale,
    Yes,
}

/// The events that an instance has fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Batch {
    /// The epoch in its documents.
    pub(super) feed: u8,
    /// The last of them.
    pub(super) to: Sequence,
    /// Its transaction has taken its snapshot, which shows the cursors of all partitions.
    pub(super) begun: bool,
}

/// What an instance has in memory: `Signals`, `Cursors`, and its current batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Instance {
    /// The last renewal has reported a pause.
    pub(super) paused: bool,
    pub(super) known: Known,
    pub(super) held: Vec<Held>,
    /// The feed's epoch, if the cursors have one: `Cursors::seen`.
    pub(super) feed: Option<u8>,
    pub(super) tag: Option<Sequence>,
    pub(super) batch: Option<Batch>,
    /// The cursor of the batch is stored already, outside of the effect's transaction.
    pub(super) stored: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) rows: Vec<Row>,
    pub(super) instances: Vec<Instance>,
    /// The epoch of the feed.
    pub(super) feed: u8,
    /// The rows of `feed_claim`, and the effects, in the order of their commits.
    pub(super) claims: Vec<Id>,
    pub(super) effects: Vec<Id>,
    /// An instance has committed for a partition that another one held.
    pub(super) late: bool,
    /// An effect has begun while a cursor was in another feed.
    pub(super) in_two: bool,
    /// A cursor has passed from one feed to another without an operator.
    pub(super) crossed: bool,
    pub(super) paused: bool,
    /// An effect has begun in a pause.
    pub(super) in_pause: bool,
    /// `feed_subscription.halted`. It stops nobody here: nothing may rest on that.
    pub(super) halted: bool,
    pub(super) left: Left,
}

impl Instance {
    /// `Cursors::forget`, after a batch.
    pub(super) fn forget(&mut self) {
        *self = Self {
            paused: self.paused,
            ..Self::default()
        };
    }

    /// Its lowest cursor.
    pub(super) fn seen(&self) -> Sequence {
        let sequences = self.held.iter().map(|held| held.sequence);
        sequences.min().unwrap_or(0)
    }
}

impl State {
    /// Instances are alike: their numbers make no difference. Nor does what they know of the epoch, where there is one.
    #[must_use]
    pub fn representative(&self) -> Self {
        let mut same = self.clone();
        if self.feed == 0 && self.left.feeds == 0 {
            same.instances
                .iter_mut()
                .for_each(|instance| instance.feed = None);
        }
        same.in_order()
    }

    fn in_order(&self) -> Self {
        let mut order: Vec<usize> = (0..self.instances.len()).collect();
        order.sort_by_cached_key(|index| {
            let owns = |row: &Row| row.owner == Some(*index);
            let owns: Vec<bool> = self.rows.iter().map(owns).collect();
            (self.instances[*index].clone(), owns)
        });
        let mut same = self.clone();
        same.instances = order
            .iter()
            .map(|index| self.instances[*index].clone())
            .collect();
        for row in &mut same.rows {
            row.owner = row
                .owner
                .and_then(|owner| order.iter().position(|old| *old == owner));
        }
        same
    }

    /// True if these events have their effects.
    pub(super) fn have_effects<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> bool {
        let mut events = events.into_iter();
        events.all(|event| self.effects.contains(&event.id))
    }

    /// Changes a row; its owner learns of it with the next renewal.
    pub(super) fn change(&mut self, partition: usize, change: impl FnOnce(&mut Row)) {
        if let Some(owner) = self.rows[partition].owner {
            let known = &mut self.instances[owner].known;
            *known = (*known).min(Known::Stale);
        }
        change(&mut self.rows[partition]);
    }

    /// `Signals::take`
    pub(super) fn renew(&mut self, index: usize) {
        let instance = &mut self.instances[index];
        if instance.known == Known::Stale || instance.paused != self.paused {
            instance.known = Known::No;
        }
        instance.paused = self.paused;
    }

    pub(super) fn held(&self, instance: usize) -> Vec<Held> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| row.owner == Some(instance))
            .map(|(partition, row)| Held {
                partition,
                epoch: row.epoch,
                sequence: row.sequence,
            })
            .collect()
    }

    /// `Consume::held`: none in a pause.
    pub(super) fn readable(&self, instance: usize) -> Vec<Held> {
        match self.paused {
            true => Vec::new(),
            false => self.held(instance),
        }
    }

    /// `Consume::epochs`: true if no cursor is in another feed.
    pub(super) fn is_one_feed(&self, feed: u8) -> bool {
        self.rows
            .iter()
            .all(|row| row.feed.is_none_or(|own| own == feed))
    }

    /// True if the row is as the instance knows it.
    pub(super) fn is_kept(&self, instance: usize, held: Held) -> bool {
        let row = self.rows[held.partition];
        row.owner == Some(instance) && row.epoch == held.epoch && row.sequence == held.sequence
    }

    /// Moves the cursors of a batch; returns those of its partitions that were still ours.
    pub(super) fn advance(&mut self, instance: usize, world: &World, fence: bool) -> Vec<Held> {
        let Some(Batch { feed, to, .. }) = self.instances[instance].batch else {
            return Vec::new();
        };
        let newest = world.newest(feed);
        let mut kept = self.instances[instance].held.clone();
        kept.retain(|held| held.moves(to, newest));
        kept.retain(|held| !fence || self.is_kept(instance, *held));
        for held in &kept {
            let row = &mut self.rows[held.partition];
            self.late |= row.owner.is_some_and(|owner| owner != instance);
            self.crossed |= row.feed.is_some_and(|own| own != feed);
            row.feed = Some(feed);
            row.sequence = to;
            row.tag = (to == newest).then_some(to);
            row.ended = false;
        }
        kept
    }

    /// Claims and effects of new events in `kept`.
    pub(super) fn handle(&mut self, kept: &[Held], batch: Batch, world: &World, claim: bool) {
        for (sequence, event) in (1..=batch.to).zip(world.events(batch.feed)) {
            let mut holders = kept.iter();
            let ours =
                holders.any(|held| held.partition == event.partition && sequence > held.sequence);
            if ours && !(claim && self.claims.contains(&event.id)) {
                self.claims.push(event.id);
                self.effects.push(event.id);
            }
        }
    }
}
