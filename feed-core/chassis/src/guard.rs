//! Authorizes every request to a service with configured credentials (I12). Unknown paths require
//! full access.
//!
//! The layers of tower-http compare a request with one secret, and are deprecated as too basic
//! (0.6.7); here several are valid at a time, with two kinds of access, and the file is reloaded.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::credentials::Credentials;
use super::html::Frame;
use feed_http::Problem;
use feed_http::credentials::Access;

/// A service of this process, as the guard sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Area {
    /// The prefix of its paths; empty if it is the only service.
    pub(super) prefix: String,
    /// Paths without private content.
    pub(super) open: Vec<&'static str>,
    /// Routes for clients that may read: `/feed/{epoch}/{page}`.
    pub(super) readable: &'static [&'static str],
    /// The frame of its pages.
    pub(super) frame: Option<Frame<'static>>,
}

impl Area {
    /// Returns the path within this service, if it has the prefix.
    fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.prefix)
            .filter(|rest| rest.starts_with('/'))
    }

    /// Returns the access that a request requires; `None` for open paths.
    fn needed(&self, method: &Method, path: &str) -> Option<Access> {
        if !method.is_safe() {
            return Some(Access::Operate);
        }
        match path {
            "/health/live" | "/health/started" | "/health/ready" | "/style.css" | "/icon.svg"
            | "/locale.js" => None,
            open if self.open.contains(&open) => None,
            // Monitoring and describing a service must not require full access.
            "/metrics" | "/openapi.json" | "/asyncapi.json" => Some(Access::Read),
            path if self.readable.iter().any(|route| leads_to(route, path)) => Some(Access::Read),
            _ => Some(Access::Operate),
        }
    }
}

/// Returns true if a path matches `route`, in which `{name}` matches any one segment.
fn leads_to(route: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let same = route.split('/').all(|known| {
        let segment = segments.next();
        segment.is_some_and(|segment| known.starts_with('{') || known == segment)
    });
    same && segments.next().is_none()
}

/// The credentials and services of this process.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) credentials: Credentials,
    pub(super) areas: Vec<Area>,
}

impl Guard {
    /// Returns the service of a path, and the path within it.
    fn area<'a>(&'a self, path: &'a str) -> Option<(&'a Area, &'a str)> {
        let areas = self.areas.iter();
        let within = areas.filter_map(|area| Some((area, area.within(path)?)));
        within.max_by_key(|(area, _)| area.prefix.len())
    }

    fn refuse(&self, granted: Option<Access>) -> Problem {
        if granted.is_some() {
            return Problem::new(
                StatusCode::FORBIDDEN,
                "read-only",
                "These credentials are for reading the feed",
                "what was asked for needs credentials to operate the service",
            );
        }
        let problem = Problem::new(
            StatusCode::UNAUTHORIZED,
            "credentials-needed",
            "Credentials are needed",
            "the request shows no credentials that this service knows",
        );
        let challenges = self.credentials.challenges().into_iter();
        challenges.fold(problem, |problem, challenge| {
            problem.header(header::WWW_AUTHENTICATE, challenge)
        })
    }
}

/// A layer, by [`axum::middleware::from_fn_with_state`]: passes authorized requests on, and answers
/// others with the reason.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let area = guard.area(request.uri().path());
    let needed = match area {
        Some((area, path)) => area.needed(request.method(), path),
        None => Some(Access::Operate),
    };
    let Some(needed) = needed else {
        return next.run(request).await;
    };
    let granted = guard.credentials.granted(request.headers());
    if granted == Some(Access::Operate) || granted == Some(needed) {
        return keep_from_shared_caches(next.run(request).await);
    }
    let refused = guard.refuse(granted);
    match area.and_then(|(area, _)| area.frame.as_ref()) {
        Some(frame) => frame.problem(request.headers(), refused),
        None => refused.into_response(),
    }
}

/// Marks answers as private. Shared caches require no credentials, and some store answers to
/// requests with them (RFC 9111, 3.5 forbids it).
fn keep_from_shared_caches(mut response: Response) -> Response {
    let said = response.headers().get_all(header::CACHE_CONTROL).iter();
    let said: Vec<&str> = said
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .filter(|directive| *directive != "public" && !directive.starts_with("s-maxage"))
        .collect();
    if said.contains(&"no-store") || said.contains(&"private") {
        return response;
    }
    let private = [&["private"], &said[..]].concat().join(", ");
    let private = HeaderValue::try_from(private);
    let private = private.unwrap_or(HeaderValue::from_static("private"));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, private);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(prefix: &str, open: &'static [&'static str]) -> Area {
        Area {
            prefix: prefix.to_owned(),
            open: open.to_vec(),
            readable: &[
                "/feed",
                "/feed.atom",
                "/feed/{epoch}/{page}",
                "/feed/{epoch}/batch/{range}",
                "/events/{id}",
            ],
            frame: None,
        }
    }

    #[test]
    fn an_unknown_path_requires_full_access() {
        let (read, operate) = (Some(Access::Read), Some(Access::Operate));
        let order = area("/order", &["/form.js"]);
        for (method, path, expected) in [
            ("GET", "/health/ready", None),
            ("HEAD", "/form.js", None),
            ("GET", "/style.css", None),
            ("POST", "/health/ready", operate),
            ("GET", "/feed", read),
            ("HEAD", "/feed.atom", read),
            ("GET", "/metrics", read),
            ("OPTIONS", "/feed/epoch/1", read),
            ("GET", "/feed/epoch/batch/1-9", read),
            ("GET", "/events/id", read),
            ("POST", "/feed", operate),
            ("GET", "/feedback", operate),
            ("GET", "/feed/status", operate),
            ("GET", "/feed.html", operate),
            ("GET", "/events", operate),
            ("GET", "//feed", operate),
            ("GET", "/%66eed", operate),
            ("GET", "/FEED", operate),
            ("GET", "/status/events", operate),
            ("GET", "/other.js", operate),
            ("GET", "/", operate),
            ("BREW", "/feed", operate),
        ] {
            let method = method.parse().expect("a method");
            assert_eq!(order.needed(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_path_belongs_to_the_service_that_it_leads_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        std::fs::write(&file, "operate token").expect("a file");
        let guard = Guard {
            credentials: Credentials::from_file(file).expect("a token"),
            areas: vec![area("", &[]), area("/order", &[]), area("/order/more", &[])],
        };
        for (path, expected) in [
            ("/", Some(("", "/"))),
            ("/feed", Some(("", "/feed"))),
            ("/order", Some(("", "/order"))),
            ("/orders/feed", Some(("", "/orders/feed"))),
            ("/order/feed", Some(("/order", "/feed"))),
            ("/order//feed", Some(("/order", "//feed"))),
            ("/order/more/feed", Some(("/order/more", "/feed"))),
            ("*", None),
        ] {
            let found = guard.area(path);
            let found = found.map(|(area, path)| (&*area.prefix, path));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn shared_caches_keep_nothing() {
        for (said, expected) in [
            (None, "private"),
            (Some("max-age=5"), "private, max-age=5"),
            (
                Some("max-age=31536000, immutable"),
                "private, max-age=31536000, immutable",
            ),
            (Some("public, s-maxage=9, max-age=5"), "private, max-age=5"),
            (Some("private, no-cache"), "private, no-cache"),
            (Some("no-store, im"), "no-store, im"),
        ] {
            let mut response = Response::default();
            if let Some(said) = said {
                let said = HeaderValue::from_static(said);
                response.headers_mut().insert(header::CACHE_CONTROL, said);
            }
            let kept = keep_from_shared_caches(response);
            assert_eq!(kept.headers()[header::CACHE_CONTROL], expected);
        }
    }
}
