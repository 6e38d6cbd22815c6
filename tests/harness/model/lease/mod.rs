//! How several instances share a subscription: `feed-core/src/consumer/{progress,round,apply}/`
//! and `store/{postgres,sqlite,statements}/consume.rs`. Three instances, two partitions, three events. Twice the clock
//! may jump past the end of a lease, or a keeper give one back; once an instance may die, the answer to
//! a `COMMIT` be lost, or an operator let the subscription begin anew: at any moment. An operator may also pause it, and the
//! feed may become another one, each in a run of its own, since all together would take minutes. An instance that is
//! frozen is one that makes no step while others do.
//!
//! What a real run has committed is replayed in [`replay()`].

mod action;
mod replay;
mod state;

use stateright::{Model, Property};

pub use self::action::Action;
pub use self::replay::replay;
use self::state::{Batch, Held, Id, Instance, Known, Row, Sequence};
pub use self::state::{Event, Left, State};

pub const ONE_EFFECT: &str = "each event has one effect (I5)";
pub const HANDLED: &str = "nothing below a cursor is unhandled (I5)";
pub const IN_ORDER: &str = "events of one subject are applied in sequence (I6)";
pub const FENCED: &str = "a late owner commits nothing";
pub const PAUSED: &str = "no effect begins in a pause";
pub const ONE_FEED: &str = "no effect begins in one feed while a cursor is in another (I8)";
pub const NOT_CROSSED: &str = "no cursor passes from one feed to another by itself (I8)";
pub const ALL_DONE: &str =
    "when nothing is left to do, each event has its effect, or the subscription is halted (I5, I8)";

/// What keeps the effects right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
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
    /// `discontinuity`, and the feed's 410: a document of another epoch does not continue from the cursor.
    SameFeed,
    /// `NativeConsume::advance`: no effect while a cursor is in another feed.
    OneFeed,
    /// `Consume::epochs`: cursors in two feeds halt the subscription.
    TwoFeedsHalt,
}

/// How large everything is.
#[derive(Debug, Clone)]
pub struct World {
    /// The instances that there may be.
    pub instances: usize,
    /// The partitions.
    pub partitions: usize,
    /// The events of each feed.
    pub feeds: Vec<Vec<Event>>,
    /// The events with which a document may end.
    pub ends: Vec<Sequence>,
}

impl World {
    /// The least in which everything happens: subjects with one event and with two, a page before the newest event, and
    /// another feed that shares its first event with the one before.
    #[must_use]
    pub fn small() -> Self {
        let feed = |ids: [Id; 3]| {
            let events = ids.into_iter().zip([0, 1, 0]);
            events
                .map(|(id, partition)| Event { id, partition })
                .collect()
        };
        Self {
            instances: 3,
            partitions: 2,
            feeds: vec![feed([1, 2, 3]), feed([1, 4, 5])],
            ends: vec![2, 3],
        }
    }

    fn events(&self, feed: u8) -> &[Event] {
        &self.feeds[usize::from(feed)]
    }

    fn newest(&self, feed: u8) -> Sequence {
        self.events(feed).len() as Sequence
    }
}

/// The model, with all guards or without one.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The guards that are missing.
    pub without: &'static [Guard],
    /// What may happen.
    pub left: Left,
    /// Where.
    pub world: World,
}

/// Everything but a pause and another feed.
pub const FAULTS: Left = Left {
    moves: 2,
    mishaps: 1,
    pauses: 0,
    feeds: 0,
};

/// A pause, while the leases move.
pub const PAUSE: Left = Left {
    moves: 1,
    mishaps: 0,
    pauses: 1,
    feeds: 0,
};

/// The feed becomes another one, while the leases move and an operator decides.
pub const EPOCHS: Left = Left {
    moves: 1,
    mishaps: 1,
    pauses: 0,
    feeds: 1,
};

impl Lease {
    fn has(&self, guard: Guard) -> bool {
        !self.without.contains(&guard)
    }

    /// True if an instance may request something from the feed.
    fn asks(asking: &Instance) -> bool {
        let knows = asking.known != Known::No && !asking.paused;
        knows && !asking.held.is_empty() && asking.batch.is_none()
    }

    /// True if the feed is not the one that an instance has followed, and it notices.
    fn finds_another(&self, state: &State, asking: &Instance) -> bool {
        let differs = asking.feed.is_some_and(|known| known != state.feed);
        differs && self.has(Guard::SameFeed)
    }

    /// What an instance may request from the feed: all of it, or a page.
    fn fetches(&self, state: &State, asking: &Instance) -> Vec<Sequence> {
        let (seen, newest) = (asking.seen(), self.world.newest(state.feed));
        // A tag that matches is answered with a 304.
        let matches = asking.tag == Some(newest) && asking.feed == Some(state.feed);
        if !Self::asks(asking) || matches || self.finds_another(state, asking) {
            return Vec::new();
        }
        let mut ends = self.world.ends.clone();
        // An empty document has an epoch, too.
        ends.retain(|end| *end > seen || *end == newest || *end == 0 && asking.feed.is_none());
        ends
    }

    /// The steps that instances take by themselves.
    fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        for (partition, row) in state.rows.iter().enumerate() {
            if row.owner.is_none() || row.ended {
                let all = 0..self.world.instances;
                actions.extend(all.map(|i| Action::Acquire(i, partition)));
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
            let fetches = self.fetches(state, instance);
            actions.extend(fetches.into_iter().map(|to| Action::Fetch(index, to)));
            if Self::asks(instance) && self.finds_another(state, instance) && !state.halted {
                actions.push(Action::Halt(index));
            }
            match instance.stored || self.has(Guard::OneTransaction) {
                _ if instance.batch.is_none() => {}
                _ if self.begins(instance) => actions.push(Action::Begin(index)),
                true => actions.push(Action::Apply(index)),
                false => actions.push(Action::Store(index)),
            }
        }
    }

    /// True if the transaction of an instance takes its snapshot next. Where there is one feed, it is never too old.
    fn begins(&self, instance: &Instance) -> bool {
        instance.batch.is_some_and(|batch| !batch.begun) && self.left.feeds > 0
    }

    fn apply(&self, state: &mut State, index: usize, answered: bool) -> Option<()> {
        let before = state.instances[index].clone();
        let batch = before.batch?;
        let (to, newest) = (batch.to, self.world.newest(batch.feed));
        let asked = before.held.iter();
        let asked = asked.filter(|held| held.moves(to, newest)).count();
        let kept = match before.stored {
            false if state.paused && self.has(Guard::NotPaused) => Vec::new(),
            false => state.advance(index, &self.world, self.has(Guard::Fence)),
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
        state.handle(&kept, batch, &self.world, self.has(Guard::Claims));
        let instance = &mut state.instances[index];
        instance.forget();
        // Otherwise it drops its cursors, and reads them again.
        if answered && kept.len() == asked {
            instance.held = before.held;
            instance.known = before.known;
            instance.feed = Some(batch.feed);
            for held in &mut instance.held {
                held.sequence = held.sequence.max(to);
            }
            instance.tag = (to == newest).then_some(to);
        }
        Some(())
    }

    fn load(&self, state: &mut State, index: usize) {
        let held = state.readable(index);
        let feeds: Vec<u8> = state.rows.iter().filter_map(|row| row.feed).collect();
        let feed = feeds.iter().max().copied();
        if feed.is_some_and(|feed| !state.is_one_feed(feed)) && self.has(Guard::TwoFeedsHalt) {
            state.halted = true;
            return;
        }
        let rows = held.iter().map(|held| state.rows[held.partition]);
        let tags: Vec<_> = rows.map(|row| row.tag).collect();
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
        // A partition that has taken nothing begins in the feed that the others follow.
        (instance.held, instance.tag, instance.feed) = (held, tag, feed);
    }
}

impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            rows: vec![Row::default(); self.world.partitions],
            instances: vec![Instance::default(); self.world.instances],
            feed: 0,
            claims: Vec::new(),
            effects: Vec::new(),
            late: false,
            in_two: false,
            crossed: false,
            paused: false,
            in_pause: false,
            halted: false,
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
        if state.left.feeds > 0 {
            actions.push(Action::NewFeed);
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
                if instance.batch.is_some() && !self.begins(instance) {
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
            Action::Load(index) => self.load(&mut state, index),
            Action::Fetch(index, to) => {
                let (feed, begun) = (state.feed, false);
                state.instances[index].batch = Some(Batch { feed, to, begun });
            }
            Action::Begin(index) => {
                let batch = state.instances[index].batch.as_mut()?;
                batch.begun = true;
                let feed = batch.feed;
                match state.is_one_feed(feed) {
                    true => {}
                    false if self.has(Guard::OneFeed) => state.instances[index].forget(),
                    false => state.in_two = true,
                }
            }
            Action::Halt(index) => {
                state.halted = true;
                state.instances[index].forget();
            }
            Action::Store(index) => {
                state.advance(index, &self.world, true);
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
                state.halted = false;
                for partition in 0..self.world.partitions {
                    state.change(partition, |row| {
                        row.epoch += 1;
                        (row.feed, row.sequence, row.tag) = (None, 0, None);
                    });
                }
            }
            Action::NewFeed => {
                state.left.feeds -= 1;
                state.feed += 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_EFFECT, |_, state: &State| {
                let mut effects = state.effects.clone();
                effects.sort_unstable();
                effects.windows(2).all(|two| two[0] != two[1])
            }),
            Property::always(HANDLED, |model: &Self, state: &State| {
                let mut rows = state.rows.iter().enumerate();
                rows.all(|(partition, row)| {
                    let events = row.feed.map_or(&[][..], |feed| model.world.events(feed));
                    let below = events.iter().take(row.sequence as usize);
                    state.have_effects(below.filter(|event| event.partition == partition))
                })
            }),
            // Ids are numbered in their order in the feeds.
            Property::always(IN_ORDER, |model: &Self, state: &State| {
                (0..model.world.partitions).all(|partition| {
                    let events = model.world.feeds.iter().flatten();
                    let ours = events.filter(|event| event.partition == partition);
                    let ours: Vec<Id> = ours.map(|event| event.id).collect();
                    let effects = state.effects.iter();
                    effects.filter(|id| ours.contains(id)).is_sorted()
                })
            }),
            Property::always(FENCED, |_, state: &State| !state.late),
            Property::always(PAUSED, |_, state: &State| !state.in_pause),
            Property::always(ONE_FEED, |_, state: &State| !state.in_two),
            Property::always(NOT_CROSSED, |_, state: &State| !state.crossed),
            Property::always(ALL_DONE, |model, state: &State| {
                let mut steps = Vec::new();
                model.steps(state, &mut steps);
                let waits = state.paused || state.halted || !steps.is_empty();
                waits || state.have_effects(model.world.events(state.feed))
            }),
            Property::sometimes("all three have a batch on its way", |_, state: &State| {
                state
                    .instances
                    .iter()
                    .all(|instance| instance.batch.is_some())
            }),
            Property::sometimes("whatever happened, all is done", |model, state: &State| {
                let Left {
                    moves,
                    mishaps,
                    pauses,
                    feeds,
                } = state.left;
                let all_happened = moves + mishaps + pauses == 0 && feeds == 0;
                all_happened && state.have_effects(model.world.events(state.feed))
            }),
        ]
    }
}
