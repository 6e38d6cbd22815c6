//! One calm look for the pages of all services. Each service serves the stylesheet itself, so
//! that it needs no other one, and no other host.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};

use super::BaseUrl;
use crate::problem::Problem;

const STYLESHEET: &str = include_str!("style.css");

/// The frame of a page: who serves it and how it is called.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The public base URL of the service.
    pub base: &'a BaseUrl,
    /// The name of the service.
    pub service: &'a str,
    /// Links below the service's base URL: path and text.
    pub menu: &'a [(&'a str, &'a str)],
    /// The path of a feed that belongs to the service, so that a reader finds it.
    pub feed: Option<&'a str>,
}

impl Frame<'_> {
    /// A whole page around `body`.
    #[must_use]
    pub fn page(&self, title: &str, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · " (self.service) }
                    link rel="stylesheet" href=(self.base.path("style.css"));
                    @if let Some(feed) = self.feed {
                        link rel="alternate" type="application/atom+xml" title=(self.service)
                            href=(self.base.path(feed));
                    }
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header {
                        a.service href=(self.base.path("")) { (self.service) }
                        nav aria-label="Main" {
                            @for (path, text) in self.menu {
                                a href=(self.base.path(path)) { (text) }
                            }
                        }
                    }
                    main id="main" {
                        h1 { (title) }
                        (body)
                    }
                }
            }
        }
    }
}

/// An instant, to the minute.
#[must_use]
pub fn time(instant: DateTime<Utc>) -> Markup {
    shown(instant, "%Y-%m-%d %H:%M UTC")
}

/// An instant, to the second.
#[must_use]
pub fn instant(instant: DateTime<Utc>) -> Markup {
    shown(instant, "%Y-%m-%d %H:%M:%S UTC")
}

/// The day of an instant.
#[must_use]
pub fn date(instant: DateTime<Utc>) -> Markup {
    shown(instant, "%Y-%m-%d")
}

/// An instant in that format; programs are told all of it.
fn shown(instant: DateTime<Utc>, format: &str) -> Markup {
    let exact = instant.to_rfc3339_opts(SecondsFormat::Millis, true);
    html! { time datetime=(exact) { (instant.format(format)) } }
}

/// The route of the stylesheet, `/style.css`.
pub fn stylesheet<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
    ];
    Router::new().route(
        "/style.css",
        get(move || async move { (headers, STYLESHEET) })
            .fallback(|| async { Problem::method_not_allowed("GET, HEAD") }),
    )
}
