//! The command line: each command, what it does, and when to use it.

use super::{period, words};
use crate::command::By;
use feed_core::Sequence;
use feed_core::consumer::Bound;

/// An operator's commands for a subscription. Without a command, the service runs.
///
/// The exit code is 0 on success, 1 if something was found that needs the operator or what it is about is not there, and 2 if the
/// command failed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Show the state of the subscription; exit code 1 if something is stuck
    ///
    /// Begin with it when something seems stuck: it shows what is halted or parked, how far the
    /// service is behind, and when the feed last answered. The exit code is 0 if all is well and 1
    /// if the subscription is halted, events are parked, the last poll failed, the feed does not
    /// answer, or no instance runs, so that scripts can check it.
    #[command(after_help = "Example: status --json")]
    Status {
        /// Print the JSON that `GET /status` answers
        #[arg(long)]
        json: bool,
    },

    /// List the events that were taken, newest first, and what has happened to them
    ///
    /// Use it to see whether an event has arrived. Each is applied, parked (its effect failed),
    /// waiting (for a parked one of its subject), skipped (by an operator), or passed over (there
    /// was nothing to do). Those far below the newest one are no longer listed. With the id of an
    /// event or a subject it shows what is known of it: what was tried, what the event says, what
    /// waits for it, who skipped it, and the decisions about it alone; the exit code is 1 if nothing is
    /// known. `decisions` lists those about many events.
    #[command(
        after_help = "Example: events --limit 100\nExample: events order/17\nExample: events urn:uuid:0190…"
    )]
    Events {
        /// Only this event, or the events of this subject
        #[arg(value_name = "EVENT|SUBJECT")]
        about: Option<String>,
        /// How much to list, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List the events whose effect failed, with the reason, and those that wait for them
    ///
    /// Use it after `status` has shown that events are parked. Fix the cause, then `retry`; or
    /// `skip` an event that must never take effect.
    #[command(after_help = "Example: parked")]
    Parked {
        /// How much to list, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List the events without an effect: who skipped them and why, or why they were passed over
    #[command(after_help = "Example: skipped --json")]
    Skipped {
        /// How much to list, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List the decisions of operators, and their outcomes
    #[command(after_help = "Example: decisions")]
    Decisions {
        /// How much to list, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// Retry a parked event now, or all of a cause, or all; then the later ones of their subjects
    ///
    /// Use it when the cause is fixed. A running service does it within seconds; a stopped one when
    /// it starts, a halted subscription when it is resumed.
    #[command(
        after_help = "Example: retry order/17\nExample: retry --cause 'no such customer'\nExample: retry --all"
    )]
    Retry {
        /// Which one, or all
        #[command(flatten)]
        which: Which,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Skip a parked event, or all that failed for a cause, for ever, so that the later ones of its subject continue
    ///
    /// Use it for an event that must never take effect here, such as a test order. Your name, the
    /// time and the reason are recorded. An event that only waits cannot be skipped: decide about
    /// the one it waits for.
    #[command(after_help = "Example: skip urn:uuid:0190… --reason 'a test order'")]
    Skip {
        /// Which one, or those of a cause
        #[command(flatten)]
        which: Skipped,
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Pause the subscription: no event is taken or retried until `resume`
    ///
    /// Use it before maintenance of what the effects need. All instances pause, also those that start later. A
    /// transaction that has begun is finished. The feed is still asked how far it is, so `status` shows what waits.
    /// Your name, the time and the reason are recorded and shown wherever the state is.
    #[command(after_help = "Example: pause --reason 'the ledger moves to another host'")]
    Pause {
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// List the instances: their share, how far they are, last contact, version
    ///
    /// Those that ended within the last hour are listed as well: one that did not end by itself shows when it was last
    /// alive. The exit code is 1 if no instance takes events.
    #[command(after_help = "Example: instances")]
    Instances {
        /// How much to list, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// Take an instance out: the others take over its events
    ///
    /// Use it for an instance that is slow or behaves oddly, while you look at it: its process and its pages stay. It
    /// takes no events until its process is restarted. The last instance cannot be retired: `pause` the subscription.
    #[command(after_help = "Example: retire invoice-1f0c88a2 --reason 'its disk is slow'")]
    Retire {
        /// The instance, as `instances` lists it
        instance: String,
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Resume a paused or a halted subscription
    ///
    /// Without a flag it ends a pause. A subscription halts when the feed is no longer the one it knows: another
    /// database, a restored backup, the wrong address. No event is taken until an operator decides how to
    /// resume, with one of the flags. A subscription without events may be moved to the newest event, too.
    #[command(
        after_help = "Example: resume\nExample: resume --keep\nExample: resume --from-start --by eve"
    )]
    Resume {
        /// How to resume
        #[command(flatten)]
        from: ResumeFlags,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Take the events from number N on again, and rebuild missing effects
    ///
    /// Use it when effects were lost, such as after a restored backup of this service's database.
    /// Effects that still exist are not repeated, and skipped events stay skipped. Ctrl-C stops
    /// watching, not the replay.
    #[command(after_help = "Example: replay --from 1")]
    Replay {
        /// The first event to take again, by its number in the feed
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        from: Sequence,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Compare the feed with the stored data; exit code 1 if they differ
    ///
    /// Reads the feed once more and names each order that is missing, wrong or too much, with totals.
    /// Changes nothing: `replay` rebuilds missing effects. The exit code is 0 if there is no
    /// difference, 1 if there are some, and 2 if the comparison failed.
    ///
    /// With dates, the events that happened then are compared, and what later events have made of
    /// their orders. Days are those of UTC. Only a comparison without `--until` also finds what no event
    /// explains.
    #[command(
        after_help = "Example: reconcile\nExample: reconcile --from 12000 --json\n\
                            Example: reconcile --from 2026-11-01 --until 2026-11-30"
    )]
    Reconcile {
        /// The first event to compare, by its number in the feed, or a day or an instant (2026-11-01T00:00:00Z)
        /// [default: the first of all]
        #[arg(long, value_name = "N|DATE", value_parser = period::from)]
        from: Option<Bound>,
        /// The last event to compare, by its number, or the last day, or the instant before which they
        /// happened [default: the last that was taken]
        #[arg(long, value_name = "N|DATE", value_parser = period::until)]
        until: Option<Bound>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Returns true if it changes nothing: then it waits for no lock.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Events { .. }
                | Self::Parked { .. }
                | Self::Skipped { .. }
                | Self::Decisions { .. }
                | Self::Instances { .. }
        )
    }
}

/// How much of a list to print, and in which form.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Listing {
    /// The most items to list
    #[arg(long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(words::MOST)))]
    pub(super) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The parked events to retry.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The event's id, or its subject, as `parked` lists them
    #[arg(value_name = "EVENT|SUBJECT")]
    pub(super) id: Option<String>,
    /// Those that have failed for this cause: the whole text, as `parked` shows it
    #[arg(long, value_name = "TEXT")]
    pub(super) cause: Option<String>,
    /// All failed events
    #[arg(long)]
    pub(super) all: bool,
}

/// The parked events to skip.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Skipped {
    /// The event's id, or its subject, as `parked` lists them
    #[arg(value_name = "EVENT|SUBJECT")]
    pub(super) id: Option<String>,
    /// Those that have failed for this cause: the whole text, as `parked` shows it; a thousand at most
    #[arg(long, value_name = "TEXT")]
    pub(super) cause: Option<String>,
}

/// From where a halted subscription resumes; without any, a pause ends.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = false, multiple = false)]
pub struct ResumeFlags {
    #[arg(long, help = words::KEEP)]
    pub(super) keep: bool,
    #[arg(long, help = words::FROM_START)]
    pub(super) from_start: bool,
    #[arg(long, help = words::FROM_NOW)]
    pub(super) from_now: bool,
}
