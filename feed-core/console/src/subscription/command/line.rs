//! The command line: each command, what it does, and when to use it.

use super::words;
use crate::command::By;
use feed_core::Sequence;

/// What a person does about a subscription. Without a command, the service runs.
///
/// The exit code is 0 if all is well, 1 if something was found that needs a person, and 2 if the
/// command could not be carried out.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say how the subscription stands; exit code 1 if it is halted or events are parked
    ///
    /// The first thing to look at when something seems stuck: what is halted or parked, how far
    /// the service has got, when the feed last answered. The exit code is 0 if all is well and 1
    /// if the subscription is halted or events are parked, so that scripts can ask.
    #[command(after_help = "Example: status --json")]
    Status {
        /// Print what `GET /status` answers in JSON
        #[arg(long)]
        json: bool,
    },

    /// List the events that were taken, newest first, and what became of them
    ///
    /// Use it to see whether an event has arrived. Each is applied, parked (its effect failed),
    /// waiting (for a parked one of its subject), skipped (by a person), or passed over (there
    /// was nothing to do). Those far below the newest one are not listed any more.
    #[command(after_help = "Example: events --limit 100\nExample: events urn:uuid:0190…")]
    Events {
        /// Only this event
        id: Option<String>,
        /// How much, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List the events whose effect failed, with the reason, and those that wait for them
    ///
    /// Use it after `status` said that events are parked. Mend the cause, then `retry`; or `skip`
    /// an event that is never to have an effect.
    #[command(after_help = "Example: parked")]
    Parked {
        /// How much, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List the events that have no effect: who skipped them and why, or why they were passed over
    #[command(after_help = "Example: skipped --json")]
    Skipped {
        /// How much, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// List what people have decided, and what came of it
    #[command(after_help = "Example: decisions")]
    Decisions {
        /// How much, and in which form
        #[command(flatten)]
        listing: Listing,
    },

    /// Have a parked event tried again at once, and then the later ones of its subject
    ///
    /// Use it when the cause is mended. A running service does it within seconds; a stopped one
    /// when it starts, a halted subscription when it is resumed.
    #[command(after_help = "Example: retry urn:uuid:0190…\nExample: retry --all")]
    Retry {
        /// Which one, or all
        #[command(flatten)]
        which: Which,
        /// Who decides
        #[command(flatten)]
        by: By,
    },

    /// Skip a parked event for ever, so that the later ones of its subject go on
    ///
    /// Use it for an event that is never to have an effect here, such as a test order. It is
    /// recorded who did it, when, and why. An event that only waits cannot be skipped: decide
    /// about the one it waits for.
    #[command(after_help = "Example: skip urn:uuid:0190… --reason 'a test order'")]
    Skip {
        /// The event's id, as `parked` lists it
        id: String,
        /// Why; it is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who decides
        #[command(flatten)]
        by: By,
    },

    /// Let a halted subscription go on
    ///
    /// A subscription halts when the feed is no longer the one it knows: another database, a
    /// restored backup, the wrong address. Nothing is taken until a person says how it goes on.
    /// One that has not taken anything yet may be sent to the newest event, too.
    #[command(after_help = "Example: resume --keep\nExample: resume --from-start --by eve")]
    Resume {
        /// How it goes on
        #[command(flatten)]
        from: ResumeFlags,
        /// Who decides
        #[command(flatten)]
        by: By,
    },

    /// Take the events from number N on again, and rebuild what is missing
    ///
    /// Use it when effects were lost, such as after a restored backup of this service's database.
    /// What is still there has no second effect, and what a person has skipped stays skipped.
    /// Ctrl-C stops watching, not the replay.
    #[command(after_help = "Example: replay --from 1")]
    Replay {
        /// The first event to take again, by its number in the feed
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        from: Sequence,
        /// Who decides
        #[command(flatten)]
        by: By,
    },

    /// Compare what the feed says with what is stored; exit code 1 if they differ
    ///
    /// Reads the feed once more and names each order that is missing, wrong or too much. Nothing
    /// is changed: `replay` rebuilds what is missing. The exit code is 0 if there is no
    /// difference, 1 if there are some, and 2 if the comparison could not be made.
    #[command(after_help = "Example: reconcile\nExample: reconcile --from 12000 --json")]
    Reconcile {
        /// The first event to look at, by its number in the feed [default: the first of all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        from: Option<Sequence>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// How much of a list is wanted, and in which form.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Listing {
    /// How many to list at most
    #[arg(long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(words::MOST)))]
    pub(super) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which parked events are tried again.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The event's id, as `parked` lists it
    pub(super) id: Option<String>,
    /// All that have failed
    #[arg(long)]
    pub(super) all: bool,
}

/// From where a halted subscription goes on.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
pub struct ResumeFlags {
    #[arg(long, help = words::KEEP)]
    pub(super) keep: bool,
    #[arg(long, help = words::FROM_START)]
    pub(super) from_start: bool,
    #[arg(long, help = words::FROM_NOW)]
    pub(super) from_now: bool,
}
