//! The status page: on top what is stuck, then the progress, then the decisions.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::job::State;
use super::notices::notices;
use super::site::Site;
use super::{instances, lists, pace, stuck};
use crate::subscription::Again;
use crate::subscription::command::StatusDocument;
use crate::subscription::command::summary;
use crate::subscription::command::words::{MOST, behind, grouped, sentence};
use crate::subscription::pace::words;
use feed_chassis::html::instant;
use feed_core::Backend;
use feed_core::consumer::{
    Cause, Decided, ParkedEvent, Reconciliation, Sample, Selection, SkippedEvent,
};
use feed_core::http::BaseUrl;

/// How many of the last skips and decisions are shown.
const LAST: u32 = 5;

/// How many of the first parked events are shown, those that wait included.
const PARKED: u32 = 50;

/// How many causes are shown.
const CAUSES: usize = 10;

/// A contact that is not older needs no date.
const RECENT: TimeDelta = TimeDelta::seconds(60);

/// The content of the page.
pub(super) struct Page {
    pub(super) now: DateTime<Utc>,
    /// The right end of the charts.
    charted: DateTime<Utc>,
    document: StatusDocument,
    samples: Vec<Sample>,
    parked: Vec<ParkedEvent>,
    causes: Vec<Cause>,
    /// When these were counted.
    as_of: DateTime<Utc>,
    skipped: Vec<SkippedEvent>,
    decisions: Vec<Decided>,
    comparing: State,
    /// Whether events may be taken again.
    again: Again,
}

impl Page {
    pub(super) async fn of<B: Backend>(
        site: &Site<B>,
        document: StatusDocument,
    ) -> sqlx::Result<Self> {
        let handle = &site.handle;
        let now = Utc::now();
        let mut preview = handle.preview(&Selection::default(), 0).await?;
        preview.causes.truncate(CAUSES);
        Ok(Self {
            now,
            charted: now,
            document,
            samples: handle.samples(),
            parked: handle.parked(PARKED).await?,
            causes: preview.causes,
            as_of: preview.as_of,
            skipped: handle.skipped(LAST).await?,
            decisions: handle.decisions(LAST).await?,
            comparing: site.job.state(),
            again: site.again,
        })
    }

    /// Returns the page without what moves all the time and is no news: two that are equal say the same.
    pub(super) fn steady(mut self) -> Self {
        self.charted = self
            .samples
            .last()
            .map_or(DateTime::UNIX_EPOCH, |sample| sample.at);
        if let Some(pace) = &mut self.document.pace {
            pace.seconds = 0;
        }
        self
    }

    pub(super) fn render(&self, base: &BaseUrl, compares: bool) -> Markup {
        let status = &self.document.status;
        html! {
            div data-live="notices" { (notices(base, &self.document, self.again)) }
            div data-live="facts" { (self.facts(base)) }
            div.actions {
                form method="post" action=(base.path("poll")) { button { "Poll now" } }
                a.button.plain href=(base.path("status/events")) { "Events taken" }
                a.button.plain href=(base.path("status/all")) { "All consumers" }
            }
            form.inline method="get" action=(base.path("status/events")) role="search" {
                div.field {
                    label for="about" { "Find a subject, such as order/17, or the id of an event" }
                    input id="about" name="event" type="search" required maxlength="1000";
                }
                button.plain { "Find" }
            }
            div data-live="parked" {
                @if status.parked > 0 {
                    @if self.causes.first().is_some_and(|cause| cause.events > 1) {
                        h2 { "Why events are parked" }
                        (stuck::causes(base, &self.causes, self.as_of))
                    }
                    h2 id="parked" { "Parked events" }
                    (stuck::parked(base, &self.parked, status.is_stopped(), true))
                    p {
                        @if status.parked + status.waiting > i64::from(PARKED) {
                            a href={ (base.path("status/parked")) "?limit=" (MOST) } { "More parked events" }
                            ", of " (grouped(status.parked)) " and " (grouped(status.waiting)) " that wait for them. "
                        }
                        a href=(base.path("status/parked")) { "Select by type, time or cause" }
                    }
                }
            }
            h2 { "Lag and throughput" }
            div data-live="charts" { (pace::charts(&self.samples, status, self.charted)) }
            @if compares {
                h2 { "Comparison with the feed" }
                div data-live="comparison" { (self.comparison(base.path("status/reconcile"))) }
            }
            div data-live="decide" {
                @if !status.is_stopped() && status.sequence > 0 { (stuck::replay(base, self.again)) }
                @if status.paused.is_none() { (instances::pause_form(base)) }
            }
            div data-live="past" {
                @if !self.skipped.is_empty() {
                    h2 { "Without effect" }
                    (lists::skipped_table(base, &self.skipped))
                    @if status.skipped > i64::from(LAST) {
                        p { a href=(base.path("status/skipped")) { "All " (grouped(status.skipped)) } }
                    }
                }
                @if !self.decisions.is_empty() {
                    h2 { "Decisions" }
                    (lists::decisions_table(base, &self.decisions))
                    @if self.decisions.len() == LAST as usize {
                        p { a href=(base.path("status/decisions")) { "More decisions" } }
                    }
                }
            }
        }
    }

    fn facts(&self, base: &BaseUrl) -> Markup {
        let status = &self.document.status;
        html! {
            dl {
                // No link: only services may be able to reach the address.
                dt { "Feed" } dd { code.id { (status.feed) } }
                dt { "Epoch" } dd { (status.epoch.as_deref().unwrap_or("none yet")) }
                dt id="taken" { "Taken up to" } dd {
                    (grouped(status.sequence)) " of " (grouped(status.head))
                    @if status.lag.events > 0 {
                        " " progress aria-labelledby="taken" max=(status.head) value=(status.sequence) {}
                    }
                }
                @if status.begins > 0 {
                    dt { "Begins after" } dd { (grouped(status.begins)) }
                }
                dt { "Lag" } dd { (behind(status.lag, status.halted.is_some())) }
                @if let Some(pace) = &self.document.pace {
                    dt { "Pace" } dd { (sentence(&words(pace, status.lag.events, status.is_stopped()))) }
                }
                dt { "Last contact" } dd {
                    @match status.last_contact {
                        // It moves as long as the feed answers, which is all that it says then.
                        Some(at) if self.now - at < RECENT => "within the last minute",
                        Some(at) => (instant(at)),
                        None => "never",
                    }
                }
                dt { "Parked" } dd {
                    (grouped(status.parked)) ", and " (grouped(status.waiting)) " waiting for them"
                }
                dt { "Without effect" } dd { (grouped(status.skipped)) }
                dt { "Instances" } dd { a href=(base.path("status/instances")) { (status.instances) } }
            }
        }
    }

    fn comparison(&self, action: String) -> Markup {
        html! {
            @match &self.comparing {
                State::Running(done, all) => {
                    p role="status" { "Under way: " (grouped(*done)) " of " (grouped(*all)) " events." }
                }
                State::Failed(error) => {
                    p.notice.bad role="alert" { strong { "It could not be made: " } (error) }
                }
                State::Idle => {}
            }
            @match &self.document.reconciliation {
                Some(compared) => (differences(compared)),
                None => p.quiet {
                    "Not made yet. It reads the feed once more and names what is missing, wrong or \
                     too much here. Nothing is changed."
                },
            }
            @if !matches!(self.comparing, State::Running(..)) {
                form.actions method="post" action=(action) { button.plain { "Compare now" } }
            }
        }
    }
}

fn differences(compared: &Reconciliation) -> Markup {
    html! {
        p class=(if compared.found == 0 { "good" } else { "bad" }) { (sentence(&summary(compared))) "." }
        @if !compared.differences.is_empty() {
            (lists::table("Differences", ["About", "What differs"], &compared.differences, "", |difference| html! {
                th scope="row" { (difference.id) }
                td { (difference.what) }
            }))
        }
        @if compared.found > compared.differences.len() as u64 {
            p.quiet { "and " (compared.found - compared.differences.len() as u64) " more" }
        }
    }
}
