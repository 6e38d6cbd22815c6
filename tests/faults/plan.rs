//! The faults of a system, and when: decided by a seed alone.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use harness::{Backend, programs};

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Order,
    Invoice,
    Shipping,
}

/// Who does the work of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shop {
    /// Our three services.
    Services,
    /// The program `feed` serves the feed, and does what the shipping service does.
    WithProgram,
    /// No service of ours: a publisher in Python, consumers in SQL and JavaScript, and the program `feed` between them.
    WithoutRust,
}

/// A fault. An instance is named by its index among those that run then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// `kill -9`. Another one is started in its place, as a supervisor does.
    Kill(Whose, usize),
    /// `kill -9` of all services at once.
    KillAll,
    /// Frozen, for so many milliseconds: also for longer than a lease.
    Freeze(Whose, usize, u64),
    /// Stopped in order, and restarted.
    Stop(Whose, usize),
    /// From now on so many instances run.
    Scale(Whose, usize),
    /// A connection to the database is cut.
    Cut(Whose),
    /// Events of unknown types, events that cannot be applied, and their erasure, from this order on.
    Odd(i64),
    /// A process of the database is frozen, for so many milliseconds.
    FreezeBackend(Whose, u64),
    /// The database server is restarted; at once means without a shutdown.
    Restart { at_once: bool },
    /// The clients pause, for so many milliseconds: consumers wait at the feed, and seconds are closed.
    Calm(u64),
    /// From now on, some answers to commits of the invoice service are lost.
    LoseAnswers,
    /// `kill -9` of the pooler, which is started again.
    RestartPooler,
    /// The pooler is frozen, for so many milliseconds.
    FreezePooler(u64),
    /// So many orders come at once while no consumer runs; then all of them catch up.
    Burst(i64),
    /// The operator has everything retried that a webhook has refused.
    Retry,
}

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    /// How long faults happen.
    pub(crate) span: Duration,
    /// Instances at the beginning, of order, invoice and shipping.
    pub(crate) instances: [usize; 3],
    /// The longest pause after a request, in milliseconds, of each client.
    pub(crate) pauses: Vec<u64>,
    pub(crate) shop: Shop,
    /// A fourth consumer sends each event to a webhook.
    pub(crate) webhook: bool,
    /// The pool mode of a `PgBouncer` between all programs and their databases.
    pub(crate) pooler: Option<&'static str>,
    /// No reader repeatedly reads all of the feed.
    pub(crate) few_readers: bool,
    /// In milliseconds since the beginning.
    pub(crate) faults: Vec<(u64, Fault)>,
}

impl Plan {
    /// A plan for so many seconds.
    pub(crate) fn of(seed: u64, backend: Backend, seconds: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let postgres = backend == Backend::Postgres;
        let instances = match postgres {
            true => [rng.usize(1..=2), rng.usize(1..=8), rng.usize(1..=3)],
            false => [1; 3],
        };
        let clients = rng.usize(3..=6);
        let pauses = (0..clients).map(|_| rng.u64(5..120)).collect();
        let span = seconds * 1_000;
        // One each second or two.
        let count = rng.u64(seconds / 2..=seconds);
        let mut faults: Vec<_> = (0..count)
            .map(|_| (rng.u64(0..span), fault(&mut rng, postgres)))
            .collect();
        faults.extend(steering(seed, &mut rng, postgres, span));
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            backend,
            span: Duration::from_millis(span),
            instances,
            pauses,
            shop: Shop::Services,
            webhook: false,
            pooler: None,
            few_readers: false,
            faults,
        }
    }

    /// True if answers to commits of the invoice service are lost at times: those of a database without a pooler.
    pub(crate) fn loses_answers(&self) -> bool {
        let mut faults = self.faults.iter();
        self.pooler.is_none() && faults.any(|(_, fault)| matches!(fault, Fault::LoseAnswers))
    }

    /// The same with the program `feed` in the place of a part of the shop.
    pub(crate) fn with_program(self) -> Self {
        Self {
            shop: Shop::WithProgram,
            ..self
        }
    }

    /// The same, on PostgreSQL, without a service of ours; `None` where Python or Node.js are missing.
    pub(crate) fn without_rust(self) -> Option<Self> {
        assert_eq!(self.backend, Backend::Postgres, "the shop has no other");
        programs::tool("python3")?;
        programs::installed("javascript")?;
        Some(Self {
            shop: Shop::WithoutRust,
            ..self
        })
    }

    /// The same with a webhook that answers badly, and an operator who looks after it. Each event has a transaction of its
    /// own there, so there are fewer.
    pub(crate) fn with_webhook(self) -> Self {
        let plan = Self {
            webhook: true,
            pauses: self.pauses.iter().map(|pause| 4 * pause).collect(),
            ..self
        };
        plan.and(1, 5_000, |_| Fault::Retry)
    }

    /// The same, on PostgreSQL, behind a pooler in session or transaction mode, which fails, too; `None` where there is no
    /// `PgBouncer`. Other programs than ours have sessions.
    pub(crate) fn behind_pooler(self) -> Option<Self> {
        assert_eq!(self.backend, Backend::Postgres, "the pooler has no other");
        if !programs::available(&["pgbouncer"]) {
            return None;
        }
        let mode = match self.seed % 2 {
            0 if self.shop != Shop::WithoutRust => "transaction",
            _ => "session",
        };
        let plan = Self {
            pooler: Some(mode),
            ..self
        };
        let fault = |rng: &mut Rng| match rng.bool() {
            true => Fault::RestartPooler,
            false => Fault::FreezePooler(rng.u64(500..5_000)),
        };
        Some(plan.and(2, 4_000, fault))
    }

    /// The same with a backlog, in which consumers are killed while they catch up. No reader repeatedly reads all of it.
    pub(crate) fn with_burst(mut self, orders: i64) -> Self {
        let mut rng = Rng::with_seed(self.seed);
        let span = self.span.as_millis() as u64;
        let mut at = rng.u64(span / 4..span / 2);
        let mut faults = vec![(at, Fault::Burst(orders))];
        for _ in 0..6 {
            at += rng.u64(400..1_500);
            let whose = match rng.bool() {
                true => Whose::Invoice,
                false => Whose::Shipping,
            };
            faults.push((at, Fault::Kill(whose, rng.usize(0..8))));
        }
        self.few_readers = true;
        self.faults.extend(faults);
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }

    /// With one more fault in so many milliseconds, apart from what the seed has decided already.
    fn and(mut self, stream: u64, every: u64, fault: impl Fn(&mut Rng) -> Fault) -> Self {
        let mut rng = Rng::with_seed(self.seed ^ (stream << 48));
        let span = self.span.as_millis() as u64;
        let faults = (0..span / every).map(|_| (rng.u64(0..span), fault(&mut rng)));
        self.faults.extend(faults);
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }

    /// So many instances of each service, a few busy clients, and no faults.
    pub(crate) fn quiet(backend: Backend, instances: [usize; 3]) -> Self {
        Self {
            seed: 1,
            backend,
            span: Duration::ZERO,
            instances,
            pauses: vec![20; 4],
            shop: Shop::Services,
            webhook: false,
            pooler: None,
            few_readers: false,
            faults: Vec::new(),
        }
    }
}

/// Faults beside those at random, so that the lives of some seeds together take each rare branch (`reached.rs`).
fn steering(seed: u64, rng: &mut Rng, postgres: bool, span: u64) -> Vec<(u64, Fault)> {
    let calm = rng.u64(0..span);
    let mut faults = vec![(calm, Fault::Calm(rng.u64(2_000..6_000)))];
    // While consumers wait there.
    faults.push((calm + 1_800, Fault::Kill(Whose::Order, 0)));
    if postgres && seed % 2 == 1 {
        faults.push((rng.u64(0..span / 3), Fault::LoseAnswers));
    }
    if postgres && matches!(seed % 8, 3 | 5 | 7) {
        // Longer than a statement may take.
        let silent = Fault::FreezeBackend(Whose::Invoice, 11_000);
        faults.push((rng.u64(0..span / 2), silent));
    }
    if postgres && seed % 4 == 3 {
        // Longer than a lease.
        let frozen = Fault::Freeze(Whose::Invoice, 0, 12_000);
        faults.push((rng.u64(0..span / 2), frozen));
    }
    faults
}

fn fault(rng: &mut Rng, postgres: bool) -> Fault {
    let whose = match rng.u8(0..5) {
        0 | 1 => Whose::Order,
        2 | 3 => Whose::Invoice,
        _ => Whose::Shipping,
    };
    let which = rng.usize(0..8);
    match rng.u8(0..if postgres { 21 } else { 12 }) {
        0..6 => Fault::Kill(whose, which),
        6 => Fault::KillAll,
        7 | 8 => Fault::Freeze(whose, which, rng.u64(100..3_000)),
        9 => Fault::Freeze(whose, which, rng.u64(10_500..14_000)),
        10 | 11 => Fault::Stop(whose, which),
        12 | 13 => match whose {
            Whose::Order => Fault::Scale(whose, rng.usize(1..=2)),
            Whose::Invoice => Fault::Scale(whose, rng.usize(1..=8)),
            Whose::Shipping => Fault::Scale(whose, rng.usize(1..=3)),
        },
        14..17 => Fault::Cut(whose),
        17 => Fault::FreezeBackend(whose, rng.u64(500..12_000)),
        20 => Fault::Odd(1_000_000 + 10 * rng.i64(0..100_000)),
        at_once => Fault::Restart {
            at_once: at_once == 18,
        },
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [order, invoice, shipping] = self.instances;
        let (seed, clients) = (self.seed, self.pauses.len());
        write!(
            f,
            "seed {seed} on {:?}: {order} order, {invoice} invoice, {shipping} shipping, \
             {clients} clients, {:?}",
            self.backend, self.span
        )?;
        if self.shop != Shop::Services {
            write!(f, "; {:?}", self.shop)?;
        }
        if self.webhook {
            write!(f, "; a webhook")?;
        }
        if let Some(mode) = self.pooler {
            write!(f, "; a pooler of each {mode}")?;
        }
        for (at, fault) in &self.faults {
            write!(f, "; {at} ms {fault:?}")?;
        }
        Ok(())
    }
}
