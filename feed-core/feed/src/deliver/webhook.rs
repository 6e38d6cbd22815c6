//! Sends each event to a webhook, signed by Standard Webhooks.
//!
//! A request cannot be rolled back, so an event is sent at least once. It is sent alone in its transaction: after a crash
//! at most the last one comes again, with the same id.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use feed_core::consumer::{printable, retry_after};
use feed_core::http::{tls, with_causes};
use feed_core::{EffectError, Received};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, StatusCode, redirect};
use tracing::debug;
use url::Url;

use super::parameter::as_cloud_event;

/// The longest time for a request and its answer; the transaction around it may take ten seconds.
pub(super) const LONGEST_TIMEOUT: Duration = Duration::from_secs(8);

/// The bytes that a secret may have, by Standard Webhooks.
const SECRET: RangeInclusive<usize> = 24..=64;

/// Returns the number of bytes that valid Base64 stands for.
fn length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// The secret that signs requests. It is never printed.
#[derive(Clone)]
pub(crate) struct Secret(Arc<standardwebhooks::Webhook>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads the secret in a file.
    pub(super) fn of_file(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err(
                "it is empty, and without it no request would be signed: name the file with the secret, or remove the \
                 setting to sign none"
                    .to_owned(),
            );
        }
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("cannot read the file: {error}"))?;
        let text = text.trim();
        let secret = standardwebhooks::Webhook::new(text)
            .map_err(|_| "its line is not `whsec_` and a secret in Base64".to_owned())?;
        match length(text.strip_prefix("whsec_").unwrap_or(text)) {
            length if SECRET.contains(&length) => Ok(Self(Arc::new(secret))),
            length => Err(format!(
                "its secret has {length} bytes, and must have 24 to 64, such as those of `openssl rand -base64 32`, \
                 after `whsec_`"
            )),
        }
    }
}

/// Sends events to one address.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    url: Url,
    /// The `source` of the events.
    source: String,
    timeout: Duration,
    /// A new one after a failure: a balancer may have assigned its connections to an instance that fails.
    client: Arc<Mutex<Client>>,
    secret: Option<Secret>,
}

/// The client for a webhook.
fn client(uses_tls: bool, timeout: Duration) -> Result<Client, Box<dyn Error>> {
    let builder = Client::builder()
        .user_agent(concat!("feed/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(timeout);
    Ok(tls::configure(builder, uses_tls)?.build()?)
}

impl Webhook {
    pub(super) fn new(url: Url, source: String, secret: Option<Secret>, timeout: Duration) -> Self {
        let client = client(url.scheme() == "https", timeout).unwrap_or_else(|error| {
            let error = with_causes(&*error);
            tracing::error!("no certificates of authorities on this machine: {error}");
            client(false, timeout).expect("a client with constant settings")
        });
        Self {
            url,
            source,
            timeout,
            client: Arc::new(Mutex::new(client)),
            secret,
        }
    }

    /// Sends an event, and waits for the answer. After a failure the next one has a new connection.
    pub(super) async fn send(&self, event: &Received) -> Result<(), EffectError> {
        let sent = self.send_once(event).await;
        if !matches!(sent, Ok(()) | Err(EffectError::Park(_)))
            && let Ok(client) = client(self.url.scheme() == "https", self.timeout)
        {
            *self.client() = client;
        }
        sent
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_once(&self, event: &Received) -> Result<(), EffectError> {
        let (id, body) = as_cloud_event(event, &self.source);
        // A feed of others may have an id that no header can have.
        if HeaderValue::from_str(id).is_err() {
            return Err(EffectError::Park(format!(
                "{} cannot be sent: its id has characters that the header webhook-id cannot have",
                named(event)
            )));
        }
        let timestamp = Utc::now().timestamp();
        let mut request = self
            .client()
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if let Some(Secret(secret)) = &self.secret {
            let signature = secret.sign(id, timestamp, body.as_bytes());
            let signature = signature.map_err(|error| EffectError::Park(error.to_string()))?;
            request = request.header("webhook-signature", signature);
        }
        match request.body(body).send().await {
            Ok(response) => judge(event, response.status(), response.headers()),
            // There was no request, and there will be none.
            Err(error) if error.is_builder() => Err(EffectError::Park(format!(
                "{} cannot be sent: {}",
                named(event),
                with_causes(&error.without_url())
            ))),
            Err(error) => Err(EffectError::Later {
                reason: format!(
                    "the webhook does not answer to {}: {}",
                    named(event),
                    with_causes(&error.without_url())
                ),
                after: None,
            }),
        }
        .inspect(|()| debug!(event.id = id, "sent event {}", printable(id)))
    }
}

/// Names an event in a message.
fn named(event: &Received) -> String {
    let Received { id, subject, .. } = event;
    format!("event {} of {}", printable(id), printable(subject))
}

/// Decides by the answer whether the event was delivered, and what is the cause if not.
fn judge(event: &Received, status: StatusCode, headers: &HeaderMap) -> Result<(), EffectError> {
    let answered = format!("the webhook answered {status} to {}", named(event));
    let later = |reason| EffectError::Later {
        reason,
        after: retry_after(headers),
    };
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 if headers.contains_key(LOCATION) => Err(later(format!(
            "{answered}: a redirect is not followed; change --to"
        ))),
        // 101 or 304, as from something that is no webhook.
        ..200 | 300..=399 => Err(later(format!(
            "{answered}, which is no answer to a POST; change --to"
        ))),
        401 | 403 | 407 => Err(later(format!("{answered}: it needs other credentials"))),
        // It is busy, or something before it is.
        408 | 421 | 425 | 429 | 502..=504 => Err(later(answered)),
        500.. => Err(EffectError::Retry(answered)),
        _ => Err(EffectError::Park(format!(
            "{answered}: it does not take this event"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::OnceLock;

    use axum::Router;
    use axum::extract::ConnectInfo;
    use axum::routing::post;
    use reqwest::header::RETRY_AFTER;
    use tokio::net::TcpListener;

    use super::*;

    /// A balancer assigns connections, and the first one to an instance that fails.
    #[tokio::test]
    async fn an_instance_that_fails_is_left_for_another_one() {
        for failed in [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::INTERNAL_SERVER_ERROR,
        ] {
            let first = Arc::new(OnceLock::new());
            let answer = async move |ConnectInfo(from): ConnectInfo<SocketAddr>| match *first
                .get_or_init(|| from)
                == from
            {
                true => failed,
                false => StatusCode::NO_CONTENT,
            };
            let app = Router::new().route("/", post(answer));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/", listener.local_addr().expect("an address"));
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, app).await });
            let url = url.parse().expect("a URL");
            let webhook = Webhook::new(url, String::new(), None, LONGEST_TIMEOUT);
            let event = Received::default();
            assert!(webhook.send(&event).await.is_err());
            for _ in 0..2 {
                webhook
                    .send(&event)
                    .await
                    .expect("another instance takes it");
            }
        }
    }

    #[test]
    fn the_answer_decides_whether_an_event_is_at_fault() {
        let none = HeaderMap::new();
        let event = Received::default();
        let judged = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            judge(&event, status, &none)
        };
        for status in [200, 202, 204] {
            assert!(judged(status).is_ok(), "{status}");
        }
        for status in [
            101, 103, 301, 304, 401, 403, 407, 408, 421, 425, 429, 502, 503, 504,
        ] {
            assert!(
                matches!(judged(status), Err(EffectError::Later { .. })),
                "{status}"
            );
        }
        for status in [500, 501, 599] {
            assert!(
                matches!(judged(status), Err(EffectError::Retry(_))),
                "{status}"
            );
        }
        for status in [400, 404, 410, 413, 422] {
            assert!(
                matches!(judged(status), Err(EffectError::Park(_))),
                "{status}"
            );
        }
        let mut moved = HeaderMap::new();
        moved.insert(LOCATION, HeaderValue::from_static("/elsewhere"));
        for (status, headers, said) in [
            (308, &moved, "a redirect is not followed"),
            (308, &none, "no answer to a POST"),
            (101, &none, "no answer to a POST"),
            (407, &none, "other credentials"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let judged = judge(&event, status, headers).expect_err("it is no success");
            assert!(judged.to_string().contains(said), "{judged}");
        }
        let mut busy = HeaderMap::new();
        busy.insert(RETRY_AFTER, "7".parse().expect("a value"));
        let busy = judge(&event, StatusCode::TOO_MANY_REQUESTS, &busy);
        let Err(EffectError::Later { after, .. }) = busy else {
            panic!("it is later");
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_secret_has_the_length_that_standard_webhooks_asks_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            Secret::of_file(path.to_str().expect("a path of text"))
        };
        // 24, 32 and 64 bytes.
        for text in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            &format!("whsec_{}=\n", "A".repeat(43)),
            &format!("whsec_{}==", "A".repeat(86)),
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
        for (text, said) in [
            ("whsec_AA==", "has 1 bytes"),
            ("whsec_", "has 0 bytes"),
            ("", "has 0 bytes"),
            (&format!("whsec_{}=", "A".repeat(31)), "has 23 bytes"),
            (&format!("whsec_{}=", "A".repeat(87)), "has 65 bytes"),
            ("whsec_?", "Base64"),
        ] {
            let said_in = read(text).expect_err("it is refused");
            assert!(said_in.contains(said), "{text}: {said_in}");
        }
    }
}
