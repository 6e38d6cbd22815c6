//! The feed's documents as pages.

use feed_chassis::html::{Frame, instant};
use feed_core::feed::{PageWriter, View, ViewEntry};
use maud::{Markup, html};

/// Writes the documents of a feed as pages in `frame`, for [`FeedSettings::page`](feed_core::FeedSettings::page).
#[must_use]
pub fn page(frame: Frame<'static>) -> PageWriter {
    PageWriter::new(move |view| write(view, &frame).into_string())
}

/// Newest first, as in Atom.
fn write(view: &View<'_>, frame: &Frame<'_>) -> Markup {
    let own = view.link("self").map(|url| url.path().to_owned());
    let link = |rel: &str, text: &str| {
        let href = view.link(rel).map(|url| frame.base.href(url));
        html! { @if let Some(href) = href { a href=(href) rel=(rel) { (text) } } }
    };
    let entries = view.entries();
    let only = view.only();
    let body = html! {
        p.quiet {
            "What happened, newest first. This is an Atom feed: give the address "
            code { (view.feed()) }
            " to a feed reader, or look at "
            a href=(frame.base.href(&view.atom())) { "the document itself" } "."
        }
        @if let Some(named) = named(only) {
            p { "Only events " (named) ". " a href=(frame.base.href(&view.feed())) { "Show all events" } }
        }
        @if entries.len() == 0 && only == (None, None) {
            p { "Nothing has happened yet." }
        } @else if entries.len() == 0 {
            p { "There is no such event." }
        } @else {
            div.scroll { table {
                thead { tr {
                    th.number scope="col" { "Sequence" } th scope="col" { "Event" }
                    th.wide scope="col" { "Type" } th scope="col" { "Time" } th scope="col" { "Data" }
                } }
                tbody { @for entry in entries { (row(&entry, frame)) } }
            } }
        }
        nav.actions aria-label="Pages" {
            (link("current", "Newest"))
            (link("first", "Newest"))
            (link("next-archive", "Newer"))
            (link("prev-archive", "Older"))
            (link("next", "Older"))
        }
        p.quiet { "Cursor: " code { (view.cursor()) } @if let Some(own) = own { " of " (own) } }
    };
    let title = match only {
        (None, None) => "Feed".to_owned(),
        (event_type, subject) => {
            let names: Vec<&str> = [event_type, subject].into_iter().flatten().collect();
            format!("Feed: {}", names.join(", "))
        }
    };
    frame.page(&title, &body)
}

/// Returns which events a document is of, if not of all: the end of a sentence.
fn named((event_type, subject): (Option<&str>, Option<&str>)) -> Option<Markup> {
    (event_type.is_some() || subject.is_some()).then(|| {
        html! {
            @if let Some(event_type) = event_type { "of type " code { (event_type) } }
            @if event_type.is_some() && subject.is_some() { " " }
            @if let Some(subject) = subject { "about " code { (subject) } }
        }
    })
}

fn row(entry: &ViewEntry<'_>, frame: &Frame<'_>) -> Markup {
    html! {
        tr {
            td.number { (entry.sequence) }
            td { a href=(frame.base.href(&entry.about)) { (entry.title) } }
            td.wide { (entry.event_type) }
            td { (instant(entry.time)) }
            td { a href=(frame.base.href(&entry.data)) { "JSON" } }
        }
    }
}
