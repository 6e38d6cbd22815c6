//! What is in the database and in the memory of the instances.

pub(super) const INSTANCES: usize = 3;
pub(super) const PARTITIONS: usize = 2;
/// The newest event of the feed, and the end of its first page.
pub(super) const NEWEST: u8 = 3;
pub(super) const PAGE: u8 = 2;

/// The partition of an event, and its subject: 1 and 3 are of one, 2 of another
/// (`leases::partition_of`).
pub(super) fn partition_of(event: u8) -> usize {
    usize::from(event == 2)
}

/// How often each may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Left {
    /// Leases that end before their time, or are released.
    pub(super) moves: u8,
    /// Deaths, lost answers, new beginnings.
    pub(super) mishaps: u8,
    /// Pauses of the subscription.
    pub(super) pauses: u8,
}

/// A row of `feed_partition`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) owner: Option<usize>,
    pub(super) epoch: u8,
    /// `lease_until` is over.
    pub(super) ended: bool,
    pub(super) sequence: u8,
    /// The head's tag that was stored with the cursor: it identifies the newest event.
    pub(super) tag: Option<u8>,
}

/// `Held`: a partition as its instance knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Held {
    pub(super) partition: usize,
    pub(super) epoch: u8,
    pub(super) sequence: u8,
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

/// What an instance has in memory: `Signals`, `Cursors`, and its current batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Instance {
    /// The last renewal has reported a pause.
    pub(super) paused: bool,
    pub(super) known: Known,
    pub(super) held: Vec<Held>,
    pub(super) tag: Option<u8>,
    /// It has fetched the events up to here.
    pub(super) batch: Option<u8>,
    /// The cursor of the batch is stored already, outside of the effect's transaction.
    pub(super) stored: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) rows: [Row; PARTITIONS],
    pub(super) instances: [Instance; INSTANCES],
    /// The rows of `feed_claim`, and the effects, in the order of their commits.
    pub(super) claims: Vec<u8>,
    pub(super) effects: Vec<u8>,
    /// An instance has committed for a partition that another one held.
    pub(super) late: bool,
    pub(super) paused: bool,
    /// An effect has begun in a pause.
    pub(super) in_pause: bool,
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
    pub(super) fn seen(&self) -> u8 {
        let sequences = self.held.iter().map(|held| held.sequence);
        sequences.min().unwrap_or(0)
    }
}

impl State {
    /// Instances are alike: their numbers make no difference.
    pub(super) fn representative(&self) -> Self {
        let mut order: Vec<usize> = (0..INSTANCES).collect();
        order.sort_by_cached_key(|index| {
            let owns = self.rows.map(|row| row.owner == Some(*index));
            (self.instances[*index].clone(), owns)
        });
        let mut same = self.clone();
        same.instances = std::array::from_fn(|index| self.instances[order[index]].clone());
        for row in &mut same.rows {
            row.owner = row
                .owner
                .and_then(|owner| order.iter().position(|old| *old == owner));
        }
        same
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

    /// True if the row is as the instance knows it.
    pub(super) fn is_kept(&self, instance: usize, held: Held) -> bool {
        let row = self.rows[held.partition];
        row.owner == Some(instance) && row.epoch == held.epoch && row.sequence == held.sequence
    }

    /// Moves the cursors of a batch; returns those of its partitions that were still ours.
    pub(super) fn advance(&mut self, instance: usize, fence: bool) -> Vec<Held> {
        let Some(to) = self.instances[instance].batch else {
            return Vec::new();
        };
        let mut kept = self.instances[instance].held.clone();
        kept.retain(|held| held.sequence < to || to == NEWEST);
        kept.retain(|held| !fence || self.is_kept(instance, *held));
        for held in &kept {
            let row = &mut self.rows[held.partition];
            self.late |= row.owner.is_some_and(|owner| owner != instance);
            row.sequence = to;
            row.tag = (to == NEWEST).then_some(to);
        }
        kept
    }

    /// Claims and effects of new events in `kept`.
    pub(super) fn handle(&mut self, kept: &[Held], to: u8, claim: bool) {
        for event in 1..=to {
            let mut holders = kept.iter();
            let ours =
                holders.any(|held| held.partition == partition_of(event) && event > held.sequence);
            if ours && !(claim && self.claims.contains(&event)) {
                self.claims.push(event);
                self.effects.push(event);
            }
        }
    }
}
