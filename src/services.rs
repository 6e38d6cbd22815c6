//! The numbers of the three services, for the start page. It asks their routes in this process, as a
//! browser would ask their addresses, and knows no more than they answer to everyone.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use feed_console::subscription::concern::Concern;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tower::ServiceExt;

/// How long the page waits for a service: without its numbers it is a page as well.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The largest answer that is read: the list of a quarantine and the differences of a comparison are
/// in it.
const MAX_ANSWER: usize = 1024 * 1024;

/// The routes of the services, without credentials: who may see the start page may see these.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) order: Router,
    pub(crate) invoice: Router,
    pub(crate) shipping: Router,
}

/// What the services answer now; `None` for one that does not answer in time.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) order: Option<Published>,
    pub(crate) invoice: Option<Followed>,
    pub(crate) shipping: Option<Followed>,
}

/// The part of `/feed/status` that is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Published {
    pub(crate) sequence: i64,
    pub(crate) quarantined: i64,
}

/// The part of `/status` that is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Followed {
    pub(crate) sequence: i64,
    pub(crate) head: i64,
    pub(crate) parked: i64,
    pub(crate) halted: Option<String>,
    pub(crate) paused: Option<IgnoredAny>,
    pub(crate) concerns: Vec<Concern>,
}

impl Services {
    /// Asks all services at once.
    pub(crate) async fn now(&self) -> Now {
        let (order, invoice, shipping) = tokio::join!(
            ask(&self.order, "/feed/status"),
            ask(&self.invoice, "/status"),
            ask(&self.shipping, "/status"),
        );
        Now {
            order,
            invoice,
            shipping,
        }
    }
}

async fn ask<T: DeserializeOwned>(service: &Router, path: &str) -> Option<T> {
    let request = Request::get(path).header(header::ACCEPT, "application/json");
    let request = request.body(Body::empty()).ok()?;
    let answer = async {
        let answer = service.clone().oneshot(request).await.ok()?;
        let body = to_bytes(answer.into_body(), MAX_ANSWER).await.ok()?;
        serde_json::from_slice(&body).ok()
    };
    tokio::time::timeout(TIMEOUT, answer).await.ok()?
}
