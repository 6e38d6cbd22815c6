//! The shop as the demo sees it: its JSON over HTTP, with retries while it does not answer.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use feed_core::http::BaseUrl;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::{Refusal, ShopError};

/// The longest time for one answer: the server gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a shop may be down: long enough for a restart.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before the second try; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The largest answer we read: a list of fifty is some kilobytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// A running shop.
#[derive(Debug)]
pub(super) struct Shop {
    client: Client,
    base: BaseUrl,
    /// Ends all waiting.
    stop: CancellationToken,
    /// It has answered once.
    met: AtomicBool,
    /// Why the demo waits for it, if it does.
    trouble: Mutex<Option<String>>,
}

/// Customers of the shop, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct Customers {
    pub(super) customers: Vec<KnownCustomer>,
    pub(super) count: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KnownCustomer {
    pub(super) customer_id: i64,
    pub(super) email: String,
}

/// Items of the shop, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct Items {
    pub(super) items: Vec<KnownItem>,
    pub(super) count: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KnownItem {
    pub(super) item_id: i64,
    pub(super) name: String,
}

/// An order that the shop has accepted.
#[derive(Debug, Deserialize)]
pub(super) struct Placed {
    pub(super) id: i64,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub(super) total: Decimal,
    pub(super) currency: String,
}

impl Shop {
    /// The shop at `base`; requests have this `Authorization`. None is sent yet.
    pub(super) fn at(
        base: BaseUrl,
        authorization: Option<HeaderValue>,
        stop: CancellationToken,
    ) -> Result<Self, ShopError> {
        // Fails where a provider is installed already: that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shown = authorization.map(|value| (header::AUTHORIZATION, value));
        let builder = Client::builder()
            .default_headers(HeaderMap::from_iter(shown))
            .user_agent(concat!("shop-demo/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // A proxy of the environment would see an operator's credentials.
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        // Plain HTTP works on a machine without certificates.
        let builder = match base.url().scheme() {
            "http" => builder.tls_certs_only([]),
            _ => builder,
        };
        Ok(Self {
            client: builder.build().map_err(ShopError::Client)?,
            base,
            stop,
            met: AtomicBool::new(false),
            trouble: Mutex::new(None),
        })
    }

    /// The error for an answer that is not a shop's.
    pub(super) fn strange(&self, how: &str) -> ShopError {
        ShopError::Strange(self.base.clone(), how.to_owned())
    }

    /// Why the demo waits for it, if it does.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn customers(&self) -> Result<Customers, ShopError> {
        let request = self.request(Method::GET, "order/customers");
        self.ask("its list of customers", request).await
    }

    pub(super) async fn items(&self) -> Result<Items, ShopError> {
        let request = self.request(Method::GET, "order/items");
        self.ask("its list of items", request).await
    }

    pub(super) async fn add_customer(&self, customer: &impl Serialize) -> Result<(), ShopError> {
        let request = self.post("order/customers", customer);
        self.ask::<Value>("a customer", request).await.map(drop)
    }

    pub(super) async fn add_item(&self, item: &impl Serialize) -> Result<(), ShopError> {
        let request = self.post("order/items", item);
        self.ask::<Value>("an item", request).await.map(drop)
    }

    /// Places an order. With its `key` it is placed once, however often the request is repeated.
    pub(super) async fn place(
        &self,
        order: &impl Serialize,
        key: &str,
    ) -> Result<Placed, ShopError> {
        let request = self.post("order/orders", order);
        let request = request.header("idempotency-key", key);
        self.ask("an order", request).await
    }

    /// Cancels an order. A second time does no harm.
    pub(super) async fn cancel(&self, id: i64) -> Result<Placed, ShopError> {
        let request = self.request(Method::DELETE, &format!("order/order/{id}"));
        self.ask("a cancellation", request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.base.join(path));
        request.header(header::ACCEPT, "application/json")
    }

    fn post(&self, path: &str, body: &impl Serialize) -> RequestBuilder {
        let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
        let request = self.request(Method::POST, path);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(body)
    }

    /// Repeats a request until there is a final answer.
    async fn ask<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: RequestBuilder,
    ) -> Result<T, ShopError> {
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let again = request.try_clone().expect("a body in memory");
            let (reason, retry_after) = match self.attempt(what, again).await? {
                Attempt::Answered(body) => {
                    let document = serde_json::from_slice(&body);
                    return document.map_err(|error| self.strange(&error.to_string()));
                }
                Attempt::Away(reason, retry_after) => (reason, retry_after),
            };
            if begin.elapsed() > PATIENCE {
                return Err(ShopError::Away(PATIENCE, reason));
            }
            self.say(Some(reason));
            // Requests that failed at the same time are not repeated at the same time.
            let pause_now = pause.mul_f64(0.5 + fastrand::f64()).max(retry_after);
            tokio::select! {
                () = tokio::time::sleep(pause_now.min(LONGEST_PAUSE)) => {}
                () = self.stop.cancelled() => return Err(ShopError::Stopped),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        what: &'static str,
        request: RequestBuilder,
    ) -> Result<Attempt, ShopError> {
        let (status, headers, body) = match answer(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let refused = error.is_connect() && !self.met.load(Ordering::Relaxed);
                let reason = innermost(&error);
                return match refused {
                    true => Err(ShopError::NoShop(self.base.clone(), reason)),
                    false => Ok(Attempt::Away(reason, Duration::ZERO)),
                };
            }
        };
        if status.is_success() {
            self.met.store(true, Ordering::Relaxed);
            self.say(None);
            return Ok(Attempt::Answered(body));
        }
        let refusal = Refusal::read(what, status, &headers, &body);
        // A proxy in front of it reports in its own words that the shop is down.
        if matches!(status.as_u16(), 429 | 502..=504) {
            return Ok(Attempt::Away(refusal.reason(), retry_after(&headers)));
        }
        Err(ShopError::Refused(refusal))
    }

    fn say(&self, trouble: Option<String>) {
        let mut place = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *place = trouble;
    }
}

/// The outcome of one attempt.
enum Attempt {
    Answered(Vec<u8>),
    /// Why it has to be repeated, and when at the earliest.
    Away(String, Duration),
}

async fn answer(request: RequestBuilder) -> reqwest::Result<(StatusCode, HeaderMap, Vec<u8>)> {
    let mut response: Response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        // A longer one is no answer of a shop, and cannot be parsed.
        if body.len() + chunk.len() > LARGEST_ANSWER {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), response.headers().clone(), body))
}

/// `Retry-After` in seconds, as our services send it.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

/// What went wrong in the end: "Connection refused", not the four layers around it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false => cause.to_string(),
    }
}
