//! The notices on top of the status page: one for each concern, with the form that ends it.

use maud::{Markup, html};

use super::{instances, stuck};
use crate::subscription::Again;
use crate::subscription::command::StatusDocument;
use crate::subscription::command::words::{parked, sentence};
use crate::subscription::concern::{Concern, Kind};
use feed_core::http::BaseUrl;

/// Renders what keeps the subscription from being well, and a decision that no instance has executed.
pub(super) fn notices(base: &BaseUrl, document: &StatusDocument, again: Again) -> Markup {
    let status = &document.status;
    html! {
        @if let Some(decision) = &status.decision {
            p.notice role="status" {
                strong { "Decided, not yet carried out: " } (decision) "."
                @if status.instances == 0 { " It is carried out when an instance runs." }
            }
        }
        @for concern in &document.concerns {
            @match (concern.kind, &status.halted, &status.paused) {
                // It is decided how it resumes.
                (Kind::Halted, ..) if status.decision.is_some() => {}
                (Kind::Halted, Some(reason), _) => (stuck::halted(base, reason, again.resumed_at_start(status))),
                (Kind::Paused, _, Some(paused)) => (instances::paused(base, paused)),
                (Kind::Parked, ..) => p.notice.bad role="status" {
                    strong { (parked(status.parked)) ". " }
                    @if !status.is_stopped() { "Later events of the same subjects wait; all others continue. " }
                    a href="#parked" { "See why" }
                },
                _ => (notice(concern)),
            }
        }
    }
}

fn notice(concern: &Concern) -> Markup {
    // A screen reader interrupts for an alert: not for a text that contains a time, which changes with each update.
    let role = match concern.kind {
        Kind::Behind | Kind::Silent => "status",
        _ => "alert",
    };
    html! {
        p.notice.bad role=(role) {
            strong { (sentence(&concern.text)) @if concern.why.is_some() { ": " } @else { "." } }
            @if let Some(why) = &concern.why { (why) }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use feed_core::consumer::{Lag, Paused, Status};

    use super::*;

    fn status() -> Status {
        Status {
            feed: "https://shop.example/feed".to_owned(),
            epoch: Some("vjs7qrjk".to_owned()),
            sequence: 7,
            head: 9,
            lag: Lag {
                events: 2,
                seconds: Some(300),
            },
            parked: 0,
            waiting: 0,
            skipped: 0,
            halted: None,
            paused: None,
            decision: None,
            begins: 0,
            last_contact: None,
            last_error: None,
            instances: 1,
            retired: 0,
        }
    }

    fn shown(status: Status, kind: Kind, text: &str, why: Option<&str>) -> String {
        let document = StatusDocument {
            status,
            pace: None,
            reconciliation: None,
            concerns: vec![Concern {
                kind,
                text: text.to_owned(),
                why: why.map(str::to_owned),
            }],
        };
        let base = "https://shop.example/invoice/".parse().expect("a URL");
        notices(&base, &document, Again::Harmless).into_string()
    }

    #[test]
    fn each_concern_is_a_notice() {
        for (kind, why, expected) in [
            (
                Kind::Failing,
                Some("<500>"),
                "<strong>It is so: </strong>&lt;500&gt;</p>",
            ),
            (Kind::Unattended, Some("w"), "<strong>It is so: </strong>w"),
            (Kind::Silent, None, "<strong>It is so.</strong></p>"),
            (Kind::Behind, Some("w"), "<strong>It is so: </strong>w"),
            (Kind::Differing, None, "<strong>It is so.</strong></p>"),
            (Kind::Other, None, "<strong>It is so.</strong></p>"),
        ] {
            let shown = shown(status(), kind, "it is so", why);
            assert!(shown.contains(expected), "{kind:?}: {shown}");
        }
        let halted = Status {
            halted: Some("another feed".to_owned()),
            ..status()
        };
        let paused = Paused {
            by: "eve".to_owned(),
            reason: "the audit".to_owned(),
            at: Utc::now(),
        };
        let paused = Status {
            paused: Some(paused),
            ..status()
        };
        let parked = Status {
            parked: 2,
            ..status()
        };
        for (status, kind, expected) in [
            (halted, Kind::Halted, "another feed"),
            (paused, Kind::Paused, "Resume"),
            (parked, Kind::Parked, "2 events are parked. "),
        ] {
            let shown = shown(status, kind, "", None);
            assert!(shown.contains(expected), "{kind:?}: {shown}");
        }
        let decided = Status {
            halted: Some("another feed".to_owned()),
            decision: Some("resume keep".to_owned()),
            ..status()
        };
        let shown = shown(decided, Kind::Halted, "halted", Some("another feed"));
        assert!(!shown.contains("another feed"), "{shown}");
        assert!(shown.contains("resume keep"), "{shown}");
    }
}
