//! Rejects cross-site requests of browsers. tower-http has no such layer.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use feed_http::{BaseUrl, Problem};

/// A layer, by [`axum::middleware::from_fn_with_state`]: rejects requests that change something and
/// that a page of another site made a browser send. Clients other than browsers, such as curl, send
/// no origin, and pass.
pub async fn same_origin(State(base): State<BaseUrl>, request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(request.headers(), &base) {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "another-site",
        "The request comes from another site",
        "a page of another site had the browser send this; open the page here and send it again",
    )
    .into_response()
}

fn is_ours(headers: &HeaderMap, base: &BaseUrl) -> bool {
    let text = |name: &str| {
        let value = headers.get(name);
        value.map(|value| value.to_str().unwrap_or_default())
    };
    if text("sec-fetch-site") == Some("cross-site") {
        return false;
    }
    let Some(origin) = text("origin") else {
        return true;
    };
    // `null` is no URL: a sandboxed frame, or a file.
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    // The proxy may use another name for the service than the configured one.
    let host = text("host").and_then(|host| {
        let url = Url::parse(&format!("{}://{host}", origin.scheme()));
        url.ok().map(|url| url.origin())
    });
    origin.origin() == base.url().origin() || Some(origin.origin()) == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_are_refused() {
        let base: BaseUrl = "https://shop.example/invoice/".parse().expect("a base URL");
        for (ours, headers) in [
            (true, &[][..]),
            (true, &[("origin", "https://shop.example")][..]),
            (
                true,
                &[
                    ("origin", "https://shop.example:443"),
                    ("sec-fetch-site", "same-origin"),
                ][..],
            ),
            (
                true,
                &[
                    ("origin", "http://127.0.0.1:8082"),
                    ("host", "127.0.0.1:8082"),
                ][..],
            ),
            (true, &[("sec-fetch-site", "none")][..]),
            (false, &[("sec-fetch-site", "cross-site")][..]),
            (
                false,
                &[
                    ("origin", "https://shop.example"),
                    ("sec-fetch-site", "cross-site"),
                ][..],
            ),
            (
                false,
                &[("origin", "https://evil.example"), ("host", "shop.example")][..],
            ),
            (
                false,
                &[("origin", "https://shop.example.evil.example")][..],
            ),
            (
                false,
                &[
                    ("origin", "http://127.0.0.1:8083"),
                    ("host", "127.0.0.1:8082"),
                ][..],
            ),
            (false, &[("origin", "null"), ("host", "shop.example")][..]),
            (false, &[("origin", "")][..]),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().expect("a header value"));
            }
            assert_eq!(is_ours(&map, &base), ours, "{headers:?}");
        }
    }
}
