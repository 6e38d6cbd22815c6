//! The steps, and their descriptions.

use std::fmt;

/// A step of an instance, of the operator or of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// `Consume::acquire`
    Acquire(usize, usize),
    /// `NativeConsume::renew` and `Signals::take`
    Renew(usize),
    /// `Consume::release`, by the task that renews leases, during a batch.
    Release(usize, usize),
    /// `Consume::held` and `Cursors::load`
    Load(usize),
    /// `Source::head`, or `?after=` for a part of it.
    Fetch(usize, u8),
    /// The cursor in a transaction of its own.
    Store(usize),
    /// `Applier::transact`
    Apply(usize),
    ApplyUnanswered(usize),
    Die(usize),
    ClockJumps(usize),
    /// `execute_decision`: an operator's `resume --from-start`
    BeginAnew,
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
            Self::Store(i) => write!(f, "instance {i} stores its cursors"),
            Self::Apply(i) => write!(f, "instance {i} commits its batch"),
            Self::ApplyUnanswered(i) => {
                write!(f, "instance {i} commits its batch, and the answer is lost")
            }
            Self::Die(i) => write!(f, "instance {i} dies, and starts again"),
            Self::ClockJumps(p) => write!(f, "the lease of partition {p} ends"),
            Self::BeginAnew => write!(f, "an operator resumes from the start"),
            Self::Pause => write!(f, "an operator pauses the subscription"),
            Self::Unpause => write!(f, "an operator ends the pause"),
        }
    }
}
