//! The steps, and their descriptions.

use std::fmt;

use super::state::Sequence;

/// A step of an instance, of the operator or of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `Consume::acquire`
    Acquire(usize, usize),
    /// `NativeConsume::renew` and `Signals::take`
    Renew(usize),
    /// `Consume::release`, by the task that renews leases, during a batch.
    Release(usize, usize),
    /// `Consume::held` and `Cursors::load`
    Load(usize),
    /// `Source::head`, or `?after=` for a part of it.
    Fetch(usize, Sequence),
    /// The feed is another one: `catch_up` gets a 410, `discontinuity` finds another epoch, or `Consume::epochs` finds two.
    Halt(usize),
    /// The snapshot of `NativeConsume::advance`.
    Begin(usize),
    /// The cursor in a transaction of its own.
    Store(usize),
    /// `Applier::transact`
    Apply(usize),
    /// The same, and the instance does not learn of it.
    ApplyUnanswered(usize),
    /// `kill -9`, and another process.
    Die(usize),
    /// `lease_until` is over.
    ClockJumps(usize),
    /// `execute_decision`: an operator's `resume --from-start`
    BeginAnew,
    /// `feed_head.epoch` changes: `Feed::restored`, or another database.
    NewFeed,
    /// `Handle::pause`
    Pause,
    /// `Handle::unpause`
    Unpause,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(i, p) => write!(f, "instance {i} acquires partition {p}"),
            Self::Renew(i) => write!(f, "instance {i} renews its leases"),
            Self::Release(i, p) => write!(f, "instance {i} releases partition {p}"),
            Self::Load(i) => write!(f, "instance {i} reads its partitions"),
            Self::Fetch(i, to) => write!(f, "instance {i} fetches the events up to {to}"),
            Self::Halt(i) => write!(
                f,
                "instance {i} finds another feed, and halts the subscription"
            ),
            Self::Begin(i) => write!(f, "instance {i} begins the transaction of its batch"),
            Self::Store(i) => write!(f, "instance {i} stores its cursors"),
            Self::Apply(i) => write!(f, "instance {i} commits its batch"),
            Self::ApplyUnanswered(i) => {
                write!(f, "instance {i} commits its batch, and the answer is lost")
            }
            Self::Die(i) => write!(f, "instance {i} dies, and starts again"),
            Self::ClockJumps(p) => write!(f, "the lease of partition {p} ends"),
            Self::BeginAnew => write!(f, "an operator resumes from the start"),
            Self::NewFeed => write!(f, "the feed is another one from now on"),
            Self::Pause => write!(f, "an operator pauses the subscription"),
            Self::Unpause => write!(f, "an operator ends the pause"),
        }
    }
}
