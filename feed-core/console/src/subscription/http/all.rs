//! `GET /status/all`: several consumers on one page. The reader's browser asks them: no service calls another one (I9).
//! Without scripts the page is a list of links.
//!
//! A consumer on another origin has to name the origin of this page (`STATUS_ORIGINS`): then its answer permits that pages
//! from there read its status, and nothing else. tower-http's layer for this answers for all methods and forms of a
//! resource; here only JSON is read.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use url::{Position, Url, form_urlencoded};

use crate::settings::StatusSettings;
use crate::subscription::{Address, Origin};
use feed_chassis::html::{AskedOrigins, Frame};
use feed_chassis::routing::get;
use feed_core::http::{Problem, negotiate};

/// Consumers that the address of the page names, at most.
pub(super) const MOST: usize = 30;

/// The state of the route.
#[derive(Clone)]
struct Pages {
    frame: Arc<Frame<'static>>,
    /// The consumers that each page shows, beside this one.
    known: Arc<[Address]>,
}

/// Returns the route, for a page in this frame.
pub(super) fn router<S>(frame: Frame<'static>, settings: &StatusSettings) -> Router<S> {
    let state = Pages {
        frame: Arc::new(frame),
        known: settings.status_of.as_slice().into(),
    };
    Router::new()
        .route("/status/all", get(all))
        .with_state(state)
}

/// The query `?of=URL`, which may be repeated. As an extractor it answers `400` to anything else.
struct Named(Vec<Address>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut named = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "of" if named.len() == MOST => {
                    let detail = format!("`of` is there more than {MOST} times");
                    return Err(Problem::bad_request(detail));
                }
                "of" => {
                    let address = value.parse();
                    named.push(address.map_err(|_| Problem::bad_request(BAD_ADDRESS))?);
                }
                _ => {
                    return Err(Problem::bad_request(
                        "there is no other parameter here than `of`",
                    ));
                }
            }
        }
        Ok(Self(named))
    }
}

// It does not repeat what was sent, which may have credentials.
const BAD_ADDRESS: &str = "`of` is the address of a consumer: http: or https:, without credentials, such as \
                           https://shop.example/invoice/, or a path on this host, such as /invoice/";

/// A row of the table.
struct Row {
    /// The address of the status, as a link on the page.
    link: String,
    name: String,
    /// The address as the page's own address names it, if that is where it comes from.
    named: Option<String>,
}

async fn all(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Named(named): Named,
) -> Result<Response, Problem> {
    let offers = ["text/html"];
    negotiate(&headers, &offers).ok_or_else(|| Problem::not_acceptable(&offers))?;
    let frame = &pages.frame;
    let mut asked = AskedOrigins::default();
    let mut rows = vec![Row {
        link: frame.base.path("status"),
        name: frame.service.to_owned(),
        named: None,
    }];
    let known = pages.known.iter().map(|address| (address, false));
    for (address, is_named) in known.chain(named.iter().map(|address| (address, true))) {
        let status = address.status(&frame.base);
        let is_here = status.origin() == frame.base.url().origin();
        if !is_here && !asked.add(&status) {
            return Err(Problem::bad_request(
                "a consumer on another host needs an address with a plain name, or one of IPv4",
            ));
        }
        let link = frame.base.href(&status);
        if rows.iter().all(|row| row.link != link) {
            rows.push(Row {
                link,
                name: name(&status, is_here),
                named: is_named.then(|| address.to_string()),
            });
        }
    }
    let body = render(frame, &rows);
    let scripts = ["status/watch.js", "status/all.js"];
    let page = frame.with_scripts("All consumers", &body, &scripts);
    let mut response = page.into_response();
    response.extensions_mut().insert(asked);
    Ok(response)
}

/// Returns what a consumer is called: the part of its address that distinguishes it.
fn name(status: &Url, is_here: bool) -> String {
    let from = match is_here {
        true => Position::BeforePath,
        false => Position::BeforeHost,
    };
    let name = status[from..].trim_end_matches("/status");
    match name {
        "" => status[Position::BeforeHost..Position::AfterPort].to_owned(),
        name => name.to_owned(),
    }
}

/// Columns that the script fills: title, and the name by which it finds them.
const COLUMNS: [(&str, &str); 5] = [
    ("Taken up to", "taken"),
    ("Lag", "lag"),
    ("Parked", "parked"),
    ("Instances", "instances"),
    ("Last contact", "contact"),
];

fn render(frame: &Frame<'_>, rows: &[Row]) -> Markup {
    let named: Vec<&str> = rows.iter().filter_map(|row| row.named.as_deref()).collect();
    html! {
        p #asof.quiet role="status" {
            "Your browser asks each consumer, which needs scripts. Without them, follow the links."
        }
        div.scroll { table.consumers aria-label="Consumers" {
            thead { tr {
                th scope="col" { "Consumer" }
                th scope="col" { "State" }
                @for (title, _) in COLUMNS { th scope="col" { (title) } }
            } }
            tbody { @for row in rows { tr data-status=(row.link) {
                th scope="row" {
                    a href=(row.link) { (row.name) }
                    @if let Some(own) = &row.named {
                        @let others = named.iter().copied().filter(|other| other != own);
                        " " a.remove href=(address(frame, others)) aria-label={ "Remove " (row.name) } { "Remove" }
                    }
                }
                td.state { span.quiet { "Not asked" } }
                // A narrow screen has no head above the columns.
                @for (title, is) in COLUMNS { td data-is=(is) data-title=(title) { "\u{2013}" } }
            } } }
        } }
        form.inline method="get" action=(frame.base.path("status/all")) {
            @for own in &named { input type="hidden" name="of" value=(own); }
            div.field {
                label for="of" { "Add a consumer by its address, such as https://shop.example/invoice/" }
                input id="of" name="of" type="text" inputmode="url" required maxlength="300";
            }
            button.plain { "Add" }
        }
        p.quiet {
            "The address of this page has the consumers that you add: keep it as a bookmark. STATUS_OF names those that \
             are always here. One on another host answers this page if its STATUS_ORIGINS names "
            code { (frame.base.url().origin().ascii_serialization()) } "."
        }
    }
}

/// Returns the address of the page with these consumers.
fn address<'a>(frame: &Frame<'_>, consumers: impl Iterator<Item = &'a str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(consumers.map(|consumer| ("of", consumer)));
    let path = frame.base.path("status/all");
    match query.finish() {
        none if none.is_empty() => path,
        query => format!("{path}?{query}"),
    }
}

/// A layer, by [`axum::middleware::from_fn_with_state`]: permits pages of these origins to read the JSON of an answer.
///
/// With credentials, since a consumer that asks for them could not be on such a page otherwise: the browser shows those by
/// which the operator has signed in at the consumer itself. The origins are named one by one, and what they get is this
/// one document, which changes nothing.
pub(super) async fn permit(
    State(origins): State<Arc<[Origin]>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    if origins.is_empty() {
        return response;
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let media_type = headers.get(header::CONTENT_TYPE);
    let is_json = media_type.is_some_and(|it| it.as_bytes().starts_with(b"application/"));
    let is_named = |origin: &HeaderValue| {
        let mut named = origins.iter();
        named.any(|named| named.as_str().as_bytes() == origin.as_bytes())
    };
    if let Some(origin) = origin.filter(|origin| is_json && is_named(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let credentials = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_called_by_what_distinguishes_it() {
        for (status, is_here, expected) in [
            ("http://127.0.0.1:8080/shipping/status", true, "/shipping"),
            ("http://127.0.0.1:8083/status", false, "127.0.0.1:8083"),
            ("http://127.0.0.1:8083/status", true, "127.0.0.1:8083"),
            (
                "https://shop.example/eu/invoice/status",
                false,
                "shop.example/eu/invoice",
            ),
        ] {
            let status = status.parse().expect("a URL");
            assert_eq!(name(&status, is_here), expected);
        }
    }
}
