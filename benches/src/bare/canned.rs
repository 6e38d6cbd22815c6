//! An axum route that always gives the same answer: headers and bytes that were taken from the
//! service beforehand. What the feed does besides that is its cost.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::sync::watch;

/// Writes an answer to a file, for a server that repeats it.
pub(crate) fn save(directory: &Path, path: &str, head: &[u8], body: &[u8]) -> Result<PathBuf> {
    let path = path.split('?').next().unwrap_or_default();
    let file = directory.join(format!("answer.{}", fastrand::u32(..)));
    std::fs::write(&file, [path.as_bytes(), b"\n", head, body].concat())?;
    Ok(file)
}

#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}

pub(super) fn at_once(file: &Path) -> Result<Router> {
    let (path, answer) = read(file)?;
    let handler = move || {
        let answer = answer.clone();
        async move { answer }
    };
    Ok(Router::new().route(&path, get(handler)))
}

/// Requests wait for one watch. `POST /tell` releases them, and answers with the time of that.
pub(super) fn waiting(file: &Path) -> Result<Router> {
    let (path, answer) = read(file)?;
    let sender = watch::Sender::new(0_u64);
    let teller = sender.clone();
    let handler = move || {
        let (mut news, answer) = (sender.subscribe(), answer.clone());
        async move {
            // Fails if the sender is gone, which ends the wait too.
            let _ = news.changed().await;
            answer
        }
    };
    let tell = move || async move {
        let now = now();
        teller.send_modify(|count| *count += 1);
        now.to_string()
    };
    Ok(Router::new()
        .route(&path, get(handler))
        .route("/tell", post(tell)))
}

/// Seconds since 1970, by the clock that PostgreSQL uses too.
#[must_use]
pub(crate) fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

fn read(file: &Path) -> Result<(String, Answer)> {
    let bytes = Bytes::from(std::fs::read(file)?);
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let path = String::from_utf8(bytes[..line.context("a path")?].to_vec())?;
    let answer = bytes.slice(path.len() + 1..);
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.context("an empty line")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").context("a header")?;
        // hyper sets it from the body.
        if !name.eq_ignore_ascii_case("content-length") {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.append(name, HeaderValue::from_str(value)?);
        }
    }
    let answer = Answer {
        status: status.context("a status")?.parse()?,
        headers,
        body: answer.slice(end + 4..),
    };
    Ok((path, answer))
}
