//! The command line: each command, what it does, and when to use it.

use super::{period, words};
use crate::command::By;
use chrono::{DateTime, Utc};
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
    /// if the subscription is halted or paused, events are parked, the last poll failed, the feed does not
    /// answer, no instance takes events, they wait and it does not catch up, or `reconcile` has found records that
    /// differ, so that scripts can check it.
    #[command(after_help = "Example: status --json")]
    Status {
        /// Print the JSON that `GET /status` answers
        #[arg(long)]
        json: bool,
        /// Watch for ten seconds first, to say whether it catches up, and until when; without this option only if events have
        /// waited for a minute
        #[arg(long)]
        pace: bool,
    },

    /// List the events that were taken, newest first, and what has happened to them
    ///
    /// Use it to see whether an event has arrived. Each is applied, parked (its effect failed),
    /// waiting (for a parked one of its subject), skipped (by an operator), or passed over (there
    /// was nothing to do). Those far below the newest one are no longer listed. With the id of an
    /// event or a subject it shows what is known of it: what was tried, what the event says, what
    /// waits for it, who skipped it, and the decisions about it; the exit code is 1 if nothing is
    /// known.
    #[command(
        after_help = "Example: events --limit 100\nExample: events order/17\nExample: events urn:uuid:0190…"
    )]
    Events {
        /// Only this event, or the events of this subject
        #[arg(value_name = "EVENT|SUBJECT")]
        about: Option<String>,
        /// Those with a lower number, by number: the last of a list leads to the next part
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        before: Option<Sequence>,
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

    /// Retry parked events now, one or many, and then the later ones of their subjects
    ///
    /// Use it when the cause is fixed. A running service does it within seconds; a stopped one when
    /// it starts, a halted subscription when it is resumed. Conditions select those that meet all of
    /// them; with --preview see first which those are. A retry needs no undo.
    #[command(
        after_help = "Example: retry order/17\nExample: retry --cause 'no such customer'\n\
                      Example: retry --type order.placed --from 2026-11-01 --preview\nExample: retry --all"
    )]
    Retry {
        /// Which ones
        #[command(flatten)]
        which: Which,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Skip parked events for ever, one or many, so that the later ones of their subjects continue
    ///
    /// Use it for an event that must never take effect here, such as a test order. Your name, the
    /// time and the reason are recorded. An event that only waits cannot be skipped: decide about
    /// the one it waits for. Conditions select those that meet all of them; with --preview see first
    /// which those are. `undo` takes a skip back until a later event of the subject has its effect.
    #[command(after_help = "Example: skip urn:uuid:0190… --reason 'a test order'\n\
                      Example: skip --type order.placed --until 2026-11-30 --preview")]
    Skip {
        /// Which ones
        #[command(flatten)]
        which: Skipped,
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT", required_unless_present = "preview")]
        reason: Option<String>,
        /// Your name
        #[command(flatten)]
        by: By,
    },

    /// Take a decision back, where nothing has come of it yet
    ///
    /// A resume or replay that no instance has executed is withdrawn. A skip is taken back as long as
    /// no later event of the subject has taken effect, for a week at most: the event is parked again
    /// as it was. The exit code is 1 if it is too late.
    #[command(after_help = "Example: undo 12")]
    Undo {
        /// The number of the decision, as `decisions` lists it
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
        decision: i64,
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
    /// resume, with one of the flags. A subscription without events may be moved to the newest event, too. If no instance
    /// runs, this command executes the flag itself, from the feed that the subscription follows, until Ctrl-C.
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
    /// Effects that still exist are not doubled, by their own unique key, and not corrected; skipped events stay
    /// skipped.
    /// Ctrl-C stops watching, not the replay. If no instance runs, this command takes the events itself, from the feed
    /// that the subscription follows; then Ctrl-C stops that, and the service does the rest when it starts.
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
    /// Changes nothing: `replay` rebuilds missing effects, and leaves wrong ones as they are. The exit code is 0 if there is no
    /// difference, 1 if there are some, and 2 if the comparison failed.
    ///
    /// A record that differs was changed here, or made by a program with a mistake. Nothing overwrites
    /// it, since it may have been sent to someone. If it was changed here, restore its row from a
    /// backup. If it was made wrong, correct it as the business does: with invoices, cancel the order,
    /// which makes a credit note, and place it again. If it was never sent, remove its rows, and
    /// `replay` from its event.
    ///
    /// With dates, the events that happened then are compared, and what later events have made of
    /// their orders. Days are those of UTC. Only a comparison without `--until` also finds what no event
    /// explains. Differences stay in `status` until a comparison of everything has none.
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
    /// Returns true if this process applies events itself where no instance runs.
    #[must_use]
    pub fn may_apply(&self) -> bool {
        match self {
            Self::Replay { .. } => true,
            Self::Resume { from, .. } => from.from().is_some(),
            _ => false,
        }
    }

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
pub struct Which {
    /// The event's id, or its subject, as `parked` lists them
    #[arg(
        value_name = "EVENT|SUBJECT",
        required_unless_present_any = ["all", "cause", "event_type", "from", "until"],
        conflicts_with_all = ["all", "cause", "event_type", "from", "until", "as_of", "preview"]
    )]
    pub(super) id: Option<String>,
    /// Those that meet all of these conditions
    #[command(flatten)]
    pub(super) selected: Selected,
    /// All failed events
    #[arg(long, conflicts_with_all = ["cause", "event_type", "from", "until"])]
    pub(super) all: bool,
}

/// The parked events to skip.
#[derive(Debug, Clone, clap::Args)]
pub struct Skipped {
    /// The event's id, or its subject, as `parked` lists them
    #[arg(
        value_name = "EVENT|SUBJECT",
        required_unless_present_any = ["cause", "event_type", "from", "until"],
        conflicts_with_all = ["cause", "event_type", "from", "until", "as_of", "preview"]
    )]
    pub(super) id: Option<String>,
    /// Those that meet all of these conditions
    #[command(flatten)]
    pub(super) selected: Selected,
}

/// The conditions that select parked events.
#[derive(Debug, Clone, clap::Args)]
pub struct Selected {
    /// Those that have failed for this cause: the whole text, as `parked` shows it
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) cause: Option<String>,
    /// Those of this type, such as order.placed; what an older version has parked has none
    #[arg(long = "type", value_name = "TYPE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) event_type: Option<String>,
    /// Those that were parked on this day or later, or from this instant on (2026-11-01T00:00:00Z)
    #[arg(long, value_name = "DATE", value_parser = period::since)]
    pub(super) from: Option<DateTime<Utc>>,
    /// Those that were parked on this day or earlier, or before this instant
    #[arg(long, value_name = "DATE", value_parser = period::before)]
    pub(super) until: Option<DateTime<Utc>>,
    /// Those that had failed by this instant, and not again since: what a preview has counted
    #[arg(long, value_name = "INSTANT", value_parser = period::since)]
    pub(super) as_of: Option<DateTime<Utc>>,
    /// Show what would be touched, and change nothing
    #[arg(long)]
    pub(super) preview: bool,
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
