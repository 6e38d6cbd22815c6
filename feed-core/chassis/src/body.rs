//! Reads the body of a request. A wrong one is answered with a problem document.

use std::error::Error;
use std::iter::successors;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use tower_http::timeout::TimeoutError;

use super::large::TooMany;
use super::sender::sent_too_slowly;
use feed_http::Problem;

/// The media type of a form, as browsers send it.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a body of `media_type`, for an extractor. `limit` is the one that the routes have in bytes
/// ([`DefaultBodyLimit`](axum::extract::DefaultBodyLimit)).
///
/// # Errors
///
/// Returns `415` for another media type and for a content coding such as gzip, `413` for a body above the limit, `400` for one that
/// ended early, `408` for one that paused for too long, and `503` for a large one while too many others are read.
pub async fn read_body<S: Send + Sync>(
    request: Request,
    state: &S,
    media_type: &str,
    limit: usize,
) -> Result<Bytes, Problem> {
    if !is_of_type(request.headers(), media_type) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong-type",
            "The body is of another type",
            format!("send the body as {media_type}"),
        ));
    }
    if is_coded(request.headers()) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong-coding",
            "The body has a content coding",
            "send the body as it is, without Content-Encoding",
        )
        .header(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        ));
    }
    let body = Bytes::from_request(request, state).await;
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("a body has at most {limit} bytes"),
        ),
        _ if was_caused_by::<TooMany>(&rejection) => Problem::unavailable(TooMany.to_string()),
        _ if was_caused_by::<TimeoutError>(&rejection) => sent_too_slowly(),
        _ => Problem::bad_request("the body ended early"),
    })
}

fn was_caused_by<E: Error + 'static>(rejection: &(dyn Error + 'static)) -> bool {
    successors(Some(rejection), |&error| error.source()).any(|error| error.is::<E>())
}

/// Returns true if the body is of `media_type`, with any parameters.
#[must_use]
pub fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// Returns true if the body is compressed, or coded in another way (RFC 9110, 8.4).
fn is_coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    !codings.iter().all(is_identity)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::response::Response;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    const LIMIT: usize = 4;

    async fn status(media_type: Option<&str>, body: &'static str) -> u16 {
        answer(media_type, None, body).await.status().as_u16()
    }

    async fn answer(
        media_type: Option<&str>,
        coding: Option<&str>,
        body: &'static str,
    ) -> Response {
        let read = async |request: Request| read_body(request, &(), FORM, LIMIT).await;
        let routes = Router::new()
            .route("/", post(read))
            .layer(DefaultBodyLimit::max(LIMIT));
        let mut request = Request::post("/");
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(coding) = coding {
            request = request.header(header::CONTENT_ENCODING, coding);
        }
        let request = request.body(Body::from(body)).expect("a request");
        routes.oneshot(request).await.expect("an answer")
    }

    /// Else it would be malformed JSON.
    #[tokio::test]
    async fn a_coded_body_is_refused_by_name() {
        for (coding, expected) in [("gzip", 415), ("identity, br", 415), ("Identity", 200)] {
            let answered = answer(Some(FORM), Some(coding), "a=b").await;
            assert_eq!(answered.status().as_u16(), expected, "{coding}");
            let accepted = answered.headers().get(header::ACCEPT_ENCODING);
            assert_eq!(accepted.is_some(), expected == 415, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_has_a_media_type_and_a_limit() {
        for (media_type, body, expected) in [
            (Some(FORM), "a=b", 200),
            (
                Some("Application/X-WWW-Form-Urlencoded ; charset=utf-8"),
                "a=b",
                200,
            ),
            (Some("application/json"), "a=b", 415),
            (Some("application/x-www-form-urlencoded-not"), "a=b", 415),
            (Some(""), "a=b", 415),
            (None, "a=b", 415),
            (Some(FORM), "a=b&c", 413),
            (Some("text/plain"), "a=b&c", 415),
        ] {
            let answered = status(media_type, body).await;
            assert_eq!(answered, expected, "{media_type:?} {body}");
        }
    }
}
