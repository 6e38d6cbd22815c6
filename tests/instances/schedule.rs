//! The faults of a system, and when: decided by a seed alone.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// How long faults happen.
pub(crate) const SPAN: Duration = Duration::from_secs(8);

/// A consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Invoice,
    Shipping,
}

/// A fault. An instance is named by its index among those that run then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// `kill -9`.
    Kill(usize),
    /// Frozen, for so many milliseconds: also for longer than the lease.
    Freeze(usize, u64),
    /// Stopped in order.
    Stop(usize),
    /// One more starts.
    Join,
    /// A connection to the database is cut.
    Cut,
    /// An operator pauses the subscription, for so many milliseconds.
    Pause(u64),
    /// An operator takes an instance out.
    Retire(usize),
}

/// Everything that a seed decides.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    /// Instances at the beginning, of invoice and of shipping.
    pub(crate) instances: [usize; 2],
    /// The pause after an order, in milliseconds, of each client.
    pub(crate) pauses: Vec<u64>,
    /// One of so many orders is cancelled.
    pub(crate) cancelled: u64,
    /// In milliseconds since the beginning.
    pub(crate) events: Vec<(u64, Whose, Event)>,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let instances = [rng.usize(1..=8), rng.usize(1..=3)];
        let clients = rng.usize(2..=5);
        let pauses = (0..clients).map(|_| rng.u64(0..60)).collect();
        let cancelled = rng.u64(2..6);
        let mut events = Vec::new();
        for _ in 0..rng.usize(3..14) {
            let at = rng.u64(0..SPAN.as_millis() as u64);
            let whose = match rng.u8(0..3) {
                0 => Whose::Shipping,
                _ => Whose::Invoice,
            };
            let which = rng.usize(0..8);
            let event = match rng.u8(0..12) {
                0..3 => Event::Kill(which),
                3 => Event::Freeze(which, rng.u64(100..3_000)),
                4 => Event::Freeze(which, rng.u64(10_000..14_000)),
                5 => Event::Stop(which),
                6..8 => Event::Join,
                8..10 => Event::Cut,
                10 => Event::Pause(rng.u64(0..3_000)),
                _ => Event::Retire(which),
            };
            events.push((at, whose, event));
        }
        events.sort_by_key(|(at, ..)| *at);
        Self {
            seed,
            instances,
            pauses,
            cancelled,
            events,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [invoice, shipping] = self.instances;
        let (seed, clients) = (self.seed, self.pauses.len());
        write!(
            f,
            "seed {seed}: {invoice} invoice, {shipping} shipping, {clients} clients"
        )?;
        for (at, whose, event) in &self.events {
            write!(f, "; {at} ms {whose:?} {event:?}")?;
        }
        Ok(())
    }
}
