//! The layout of the pages of all services. Each service serves the stylesheet itself, so that it
//! depends on no other service or host.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};
use url::Url;

use super::routing::get;
use super::words::MOMENT;
use feed_http::{BaseUrl, Page, Problem, negotiate};

const STYLESHEET: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");
const LOCALE: &str = include_str!("locale.js");

/// The security headers of each page. A page loads only the service's own resources: injected
/// content does not run, loads nothing, and sends nothing elsewhere; no other site can frame it,
/// hold a handle on its window, or learn the page that led there.
const PROTECTION: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Adds the security headers to an answer that is a page.
pub(super) fn protect(answer: &mut Response) {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    if media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html")) {
        let asked = answer.extensions_mut().remove::<AskedOrigins>();
        let headers = answer.headers_mut();
        for (name, value) in PROTECTION {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(policy) = asked.and_then(|asked| asked.policy()) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// Other origins that the scripts of a page ask: its policy allows these beside the page's own. It belongs in the
/// extensions of the page's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedOrigins(Vec<String>);

impl AskedOrigins {
    /// Adds the origin of `url`. Returns false, and adds nothing, if a policy cannot name it: a host with characters that
    /// would mean something else there, or the address of IPv6.
    #[must_use]
    pub fn add(&mut self, url: &Url) -> bool {
        let is_plain = |host: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(known)
        };
        if !matches!(url.scheme(), "http" | "https") || !url.host_str().is_some_and(is_plain) {
            return false;
        }
        let origin = url.origin().ascii_serialization();
        if !self.0.contains(&origin) {
            self.0.push(origin);
        }
        true
    }

    fn policy(&self) -> Option<HeaderValue> {
        let (_, policy) = &PROTECTION[0];
        let own = "connect-src 'self'";
        let all = format!("{own} {}", self.0.join(" "));
        HeaderValue::try_from(policy.replacen(own, all.trim_end(), 1)).ok()
    }
}

/// The frame of a page: the service and its links.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// The public base URL of the service.
    pub base: BaseUrl,
    /// The start page of all services, if there is one.
    pub home: Option<Url>,
    /// The text of links to that page.
    pub home_name: &'a str,
    /// The name of the service.
    pub service: &'a str,
    /// Links below the service's base URL: path and text.
    pub menu: &'a [(&'a str, &'a str)],
    /// The path of the service's feed, for feed readers.
    pub feed: Option<&'a str>,
}

impl Frame<'_> {
    /// Returns a whole page around `body`.
    #[must_use]
    pub fn page(&self, title: &str, body: &Markup) -> Markup {
        self.whole(title, body, &[])
    }

    /// Returns the same with a script, by its path below the base URL. The page must be complete
    /// without it.
    #[must_use]
    pub fn page_with_script(&self, title: &str, body: &Markup, script: &str) -> Markup {
        self.whole(title, body, &[script])
    }

    /// Returns the same with several scripts, which run in this order.
    #[must_use]
    pub fn with_scripts(&self, title: &str, body: &Markup, scripts: &[&str]) -> Markup {
        self.whole(title, body, scripts)
    }

    /// Returns the same with scripts, of which the first shows instants and [`money`] in the reader's locale.
    #[must_use]
    pub fn localized(&self, title: &str, body: &Markup, scripts: &[&str]) -> Markup {
        self.whole(title, body, &[&["locale.js"], scripts].concat())
    }

    fn whole(&self, title: &str, body: &Markup, scripts: &[&str]) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · " (self.service) }
                    link rel="stylesheet" href=(self.base.path("style.css"));
                    // Name it, since browsers otherwise request one from the host's root.
                    link rel="icon" type="image/svg+xml" href=(self.base.path("icon.svg"));
                    @if let Some(feed) = self.feed {
                        link rel="alternate" type="application/atom+xml" title=(self.service)
                            href=(self.base.path(feed));
                    }
                    @for script in scripts {
                        script src=(self.base.path(script)) defer {}
                    }
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header {
                        p.place {
                            @if let Some(home) = &self.home {
                                a href=(self.base.href(home)) { (self.home_name) } " / "
                            }
                            a.service href=(self.base.path(""))
                                aria-current=[(self.service == title).then_some("page")] {
                                (self.service)
                            }
                        }
                        nav aria-label="Main" {
                            @for (path, text) in self.menu {
                                a href=(self.base.path(path))
                                    aria-current=[(*text == title).then_some("page")] { (text) }
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

/// Returns true for a browser: its `Accept` names `text/html`, and prefers it to JSON of any kind.
pub(crate) fn wants_pages(headers: &HeaderMap) -> bool {
    let offers = ["application/problem+json", "application/json", "text/html"];
    negotiate(headers, &offers) == Some(2)
}

impl Frame<'_> {
    /// Returns the answer for a missing page.
    pub(crate) fn not_found(&self, headers: &HeaderMap) -> Response {
        self.problem(headers, Problem::not_found("there is no such page"))
    }

    /// Returns a problem, as a page for clients that prefer pages.
    pub(super) fn problem(&self, headers: &HeaderMap, problem: Problem) -> Response {
        let mut response = problem.into_response();
        vary_by_accept(response.headers_mut());
        match wants_pages(headers) {
            true => self.for_people(response),
            false => response,
        }
    }

    /// Converts a problem document to a page; returns any other answer unchanged.
    pub(crate) fn for_people(&self, mut response: Response) -> Response {
        let Some(problem) = response.extensions_mut().remove::<Page>() else {
            return response;
        };
        let body = html! {
            p { (with_code(&sentence(&problem.detail))) }
            @if !problem.messages.is_empty() {
                ul { @for message in &problem.messages { li { (message) } } }
            }
            p.actions { a.button.plain href=(self.base.path("")) { "Back to " (self.service) } }
        };
        let page = self.page(problem.title, &body).into_string();
        let (mut parts, _) = response.into_parts();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        parts.headers.insert(header::CONTENT_TYPE, html);
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(page))
    }
}

/// Says that the form of an answer depends on the client's `Accept`.
pub(crate) fn vary_by_accept(answer: &mut HeaderMap) {
    let said = answer.get_all(header::VARY).iter();
    let mut names = said
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    if !names.any(|name| name.trim().eq_ignore_ascii_case("accept")) {
        answer.append(header::VARY, HeaderValue::from_static("Accept"));
    }
}

/// Renders text between two backticks as code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Returns `detail` as a sentence. An id at its beginning stays unchanged.
fn sentence(detail: &str) -> String {
    let word = detail.split(' ').next().unwrap_or_default();
    let plain = word.chars().all(char::is_alphabetic);
    let mut characters = detail.chars();
    let mut text: String = match characters.next() {
        Some(first) if plain => first.to_uppercase().chain(characters).collect(),
        _ => detail.to_owned(),
    };
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

/// Returns the address of one resource in another service: `{url}/{name}`, with or without a slash
/// at the end of `url`.
#[must_use]
pub fn below(url: &Url, name: impl std::fmt::Display) -> Url {
    let mut url = url.clone();
    // Fails for URLs such as `mailto:`, which then stay unchanged.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(&name.to_string());
    }
    url
}

/// Returns the head of a table. A column is its title and the classes of the cell, which may be empty.
#[must_use]
pub fn thead<const N: usize>(columns: [(&str, &str); N]) -> Markup {
    html! {
        thead { tr { @for (title, class) in columns {
            th scope="col" class=[(!class.is_empty()).then_some(class)] { (title) }
        } } }
    }
}

/// Names the keys of a page, each with what it does. Those with `Alt` are the elements' `accesskey`s, which a browser may want
/// pressed with more keys.
///
/// ```
/// let keys = feed_chassis::html::keys(&[("Alt+S", "search")]);
/// assert!(keys.into_string().contains("<kbd>Alt+S</kbd> search"));
/// ```
#[must_use]
pub fn keys(keys: &[(&str, &str)]) -> Markup {
    html! {
        p.quiet.keys {
            "Keys: "
            @for (index, (key, action)) in keys.iter().enumerate() {
                @if index > 0 { ", " }
                kbd { (key) } " " (action)
            }
            ". In Firefox with Shift, on a Mac with Control and Option."
        }
    }
}

/// Formats an instant to the minute.
#[must_use]
pub fn time(instant: DateTime<Utc>) -> Markup {
    time_element(instant, "%Y-%m-%d %H:%M UTC")
}

/// Formats an instant to the second.
#[must_use]
pub fn instant(instant: DateTime<Utc>) -> Markup {
    time_element(instant, MOMENT)
}

/// Formats the day of an instant.
#[must_use]
pub fn date(instant: DateTime<Utc>) -> Markup {
    time_element(instant, "%Y-%m-%d")
}

/// Formats an instant for people; the attribute `datetime` has the full value.
fn time_element(instant: DateTime<Utc>, format: &str) -> Markup {
    let exact = instant.to_rfc3339_opts(SecondsFormat::Millis, true);
    html! { time datetime=(exact) { (instant.format(format)) } }
}

/// Formats an amount of money, such as `105.00`, for people.
#[must_use]
pub fn money(amount: &str, currency: &str) -> Markup {
    // A minus sign, which a screen reader speaks and which is as wide as a digit.
    let shown = amount.replace('-', "\u{2212}");
    html! { data value=(amount) data-currency=(currency) { (shown) " " (currency) } }
}

/// Returns the routes of the pages' common files: `/style.css`, `/icon.svg` and `/locale.js`.
pub fn stylesheet<S: Clone + Send + Sync + 'static>() -> Router<S> {
    asset("/style.css", "text/css; charset=utf-8", STYLESHEET)
        .merge(asset("/icon.svg", "image/svg+xml", ICON))
        .merge(script("/locale.js", LOCALE))
}

/// Returns the route of a script that a service serves itself.
pub fn script<S: Clone + Send + Sync + 'static>(path: &str, text: &'static str) -> Router<S> {
    asset(path, "text/javascript; charset=utf-8", text)
}

fn asset<S>(path: &str, media_type: &'static str, text: &'static str) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // One hour, so that a new version takes effect soon.
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Router::new().route(path, get(move || async move { (headers, text) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_the_origins_that_it_names_and_no_others() {
        let mut asked = AskedOrigins::default();
        for (url, expected) in [
            ("http://127.0.0.1:8083/status", true),
            ("http://127.0.0.1:8083/other", true),
            ("https://shop.example/invoice/", true),
            ("http://*/", false),
            ("http://*.example/", false),
            ("http://a;script-src/", false),
            ("http://a,b/", false),
            ("http://a'b/", false),
            ("http://[::1]:8083/", false),
            ("data:text/html,x", false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(asked.add(&url), expected, "{url}");
        }
        let mut answer = html! {}.into_response();
        protect(&mut answer);
        let own = answer.headers()[header::CONTENT_SECURITY_POLICY].clone();
        assert_eq!(own, PROTECTION[0].1);
        let mut answer = html! {}.into_response();
        answer.extensions_mut().insert(asked);
        protect(&mut answer);
        let policy = &answer.headers()[header::CONTENT_SECURITY_POLICY];
        let (before, after) = PROTECTION[0]
            .1
            .split_once("'self'; img-src")
            .expect("its own");
        assert_eq!(
            policy.to_str().expect("a text"),
            format!("{before}'self' http://127.0.0.1:8083 https://shop.example; img-src{after}")
        );
    }

    #[test]
    fn a_column_without_a_class_has_no_attribute_for_it() {
        let head = thead([("Order", ""), ("Lines", "number wide")]).into_string();
        let expected = "<thead><tr><th scope=\"col\">Order</th>\
                        <th scope=\"col\" class=\"number wide\">Lines</th></tr></thead>";
        assert_eq!(head, expected);
    }

    #[test]
    fn a_browser_is_who_prefers_html_to_any_json() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("text/html, application/json;q=0.1", true),
            ("application/json, text/html;q=0.1", false),
            ("application/problem+json, text/html;q=0.9", false),
            ("application/json", false),
            ("*/*", false),
        ] {
            let accept = (axum::http::header::ACCEPT, accept.parse().expect("a value"));
            assert_eq!(
                wants_pages(&HeaderMap::from_iter([accept.clone()])),
                expected,
                "{accept:?}"
            );
        }
    }
}
