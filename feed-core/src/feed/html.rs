//! The same documents for people with a browser.

use bytes::Bytes;
use maud::{Markup, html};

use super::address::Addresses;
use super::document::Document;
use crate::event::Entry;
use crate::service::html::instant;

/// Writes a document as a page; newest first, as in Atom.
pub(super) fn write(document: &Document<'_>, addresses: &Addresses) -> Bytes {
    let (frame, base) = (document.frame, addresses.base_url());
    let own = document.link("self").map(|url| url.path().to_owned());
    let link = |rel: &str, text: &str| {
        let href = document.link(rel).map(|url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        });
        html! { @if let Some(href) = href { a href=(href) rel=(rel) { (text) } } }
    };
    let body = html! {
        p.quiet {
            "What happened, newest first. This is an Atom feed: give the address "
            code { (addresses.head()) }
            " to a feed reader, or look at "
            a href=(base.path("feed.atom")) { "the document itself" } "."
        }
        @if document.entries.is_empty() {
            p { "Nothing has happened yet." }
        } @else {
            div.scroll { table {
                thead { tr {
                    th.number scope="col" { "Sequence" } th scope="col" { "Event" }
                    th.wide scope="col" { "Type" } th scope="col" { "Time" } th scope="col" { "Data" }
                } }
                tbody { @for entry in document.entries.iter().rev() { (row(entry, addresses)) } }
            } }
        }
        nav.actions aria-label="Pages" {
            (link("current", "Newest"))
            (link("first", "Newest"))
            (link("next-archive", "Newer"))
            (link("prev-archive", "Older"))
            (link("next", "Older"))
        }
        p.quiet { "Cursor: " code { (document.cursor) } @if let Some(own) = own { " of " (own) } }
    };
    frame.page("Feed", &body).into_string().into()
}

fn row(entry: &Entry, addresses: &Addresses) -> Markup {
    html! {
        tr {
            td.number { (entry.sequence) }
            td { a href=(addresses.link(&entry.link).path()) { (entry.title) } }
            td.wide { (entry.event_type) }
            td { (instant(entry.time)) }
            td { a href=(addresses.event(entry.id).path()) { "JSON" } }
        }
    }
}
