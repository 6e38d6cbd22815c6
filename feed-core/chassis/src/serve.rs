//! Listens, serves, and stops cleanly.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::any;
use feed_http::with_causes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::connections::{self, Limits};
use super::credentials::Credentials;
use super::failures::Failures;
use super::guard::{Area, Guard, guard};
use super::html::Frame;
use super::metrics::Metrics;
use super::requests::{Counting, Requests};
use feed_http::credentials::CredentialsError;
use feed_http::metrics::Measured;
use feed_http::{Failure, Problem};

/// How long a stopping service finishes requests in flight. Kubernetes and Compose kill after ten
/// seconds or more.
const DRAIN: Duration = Duration::from_secs(8);

/// Why a service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is in use, or is not this machine's.
    #[error("cannot listen on {0} (LISTEN){advice}", advice = advice(.1))]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Other machines reach the address, and no credentials are required.
    #[error(
        "other machines reach {0} (LISTEN), and no credentials are required there: listen on \
         127.0.0.1, set CREDENTIALS_FILE, or pass --allow-anonymous (ALLOW_ANONYMOUS=true)"
    )]
    Anonymous(SocketAddr),
    /// The process cannot receive the signals that stop it.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// A part of the service, such as its consumer, has ended by a bug.
    #[error("a part of the service has ended: what it logged before this says why")]
    Ended,
    /// What the service needs to start is away, and may come back: [`run`](fn@super::run) waits for it.
    #[error(transparent)]
    Away(Box<dyn std::error::Error + Send + Sync>),
    /// The service itself cannot start.
    #[error(transparent)]
    Start(Box<dyn std::error::Error + Send + Sync>),
}

/// Returns what to do about an unavailable address.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => ": another program does; stop that one, or choose another port",
        ErrorKind::AddrNotAvailable => {
            ": this machine has no such address; 127.0.0.1 is always there"
        }
        ErrorKind::PermissionDenied => ": not as this user; ports from 1024 on are for all",
        _ => "",
    }
}

/// A service that is ready: its routes and its background tasks.
#[derive(Debug)]
pub struct Mounted {
    /// The routes, relative to the service's base URL.
    pub router: Router,
    description: Option<String>,
    /// Its measurements; `None` for a service that only joins others.
    measured: Option<(Metrics, Requests)>,
    area: Area,
    /// The services that are mounted in it.
    mounted: Vec<Area>,
    credentials: Option<Credentials>,
    tasks: FuturesUnordered<AbortOnDropHandle<()>>,
    failures: Failures,
    closing: Vec<Closing>,
}

/// The work at the end, such as closing a database.
struct Closing(Pin<Box<dyn Future<Output = ()> + Send>>);

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closing")
    }
}

impl Mounted {
    /// Creates a service with these routes.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self {
            router: router.fallback(|| async { Problem::not_found("there is no such page") }),
            description: None,
            measured: None,
            area: Area::default(),
            mounted: Vec::new(),
            credentials: None,
            tasks: FuturesUnordered::new(),
            failures: Failures::default(),
            closing: Vec::new(),
        }
    }

    /// Sets a description for the log: `database: sqlite:data/order.db`.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(crate) fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Waits for `closing` after the last request and the background tasks: to close a database. What is added later is
    /// done before: it may need the database.
    #[must_use]
    pub fn with_closing(mut self, closing: impl Future<Output = ()> + Send + 'static) -> Self {
        self.closing.push(Closing(Box::pin(closing)));
        self
    }

    /// Calls `hear` with each failure of a request: the [cause](Problem::caused_by) of a
    /// [`Problem`], or a [`TimedOut`](super::TimedOut).
    #[must_use]
    pub fn on_failure(mut self, hear: impl Fn(&Failure) + Send + Sync + 'static) -> Self {
        self.failures.add(hear);
        self
    }

    /// Adds a background task that runs until the service stops.
    #[must_use]
    pub fn with_task(self, task: impl Future<Output = ()> + Send + 'static) -> Self {
        let task = tokio::spawn(task);
        self.tasks.push(AbortOnDropHandle::new(task));
        self
    }

    /// Exposes the measurements of `part` at `/metrics`, beside the requests.
    #[must_use]
    pub fn with_metrics(mut self, part: impl Measured) -> Self {
        let (metrics, _) = self.measured.get_or_insert_with(|| {
            let (mut metrics, requests) = (Metrics::default(), Requests::default());
            metrics.add(Arc::new(requests.clone()));
            (metrics, requests)
        });
        metrics.add(Arc::new(part));
        self
    }

    /// Shows a browser a page in this frame if a path does not exist.
    #[must_use]
    pub fn with_pages(mut self, frame: Frame<'static>) -> Self {
        self.area.frame = Some(frame.clone());
        let not_found = async move |headers: HeaderMap| frame.not_found(&headers);
        self.router = self.router.fallback(not_found);
        self
    }

    /// Returns the routes with `/metrics`, and the layer that counts requests to them below
    /// `prefix`.
    fn routes(&mut self, prefix: &str) -> (Router, Option<Counting>) {
        let router = std::mem::take(&mut self.router);
        let Some((metrics, requests)) = self.measured.take() else {
            return (router, None);
        };
        // With its state, a handler is one route for all requests, and can hold its counters.
        let router = router.merge(metrics.router()).with_state(());
        (router, Some(requests.layer(prefix)))
    }

    /// Requires these credentials on all routes, including those of services mounted before or
    /// later. `None` requires none.
    ///
    /// With `read` a client can use the readable routes ([`Mounted::with_readable`]), `/metrics`,
    /// `/openapi.json` and `/asyncapi.json`; with `operate` it can use everything. `/health/live`,
    /// `/health/started`, `/health/ready`, `/style.css`, `/icon.svg` and `/locale.js` require no credentials.
    #[must_use]
    pub fn guarded(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Adds paths that require no credentials: scripts, which contain nothing private.
    #[must_use]
    pub fn with_open(mut self, paths: &'static [&'static str]) -> Self {
        self.area.open.extend(paths);
        self
    }

    /// Adds routes for clients that may read, written as for [`Router::route`]:
    /// `/feed/{epoch}/{page}`.
    #[must_use]
    pub fn with_readable(mut self, routes: &'static [&'static str]) -> Self {
        self.area.readable = routes;
        self
    }

    /// Joins another service into this one below `/name/`, for a process that runs several.
    #[must_use]
    pub fn mount(mut self, name: &str, mut other: Self) -> Self {
        // Relative links need the slash at the end, and a relative redirect works behind any
        // prefix.
        let name_and_slash = format!("{name}/");
        let (routes, counting) = other.routes(&format!("/{name}"));
        let routes = match counting {
            Some(counting) => routes.layer(counting),
            None => routes,
        };
        let redirect = any(move |RawQuery(query): RawQuery| async move {
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            let headers = [
                (LOCATION, name_and_slash + &query),
                (CACHE_CONTROL, "max-age=3600".to_owned()),
            ];
            (StatusCode::PERMANENT_REDIRECT, headers).into_response()
        });
        self.router = self
            .router
            .route(&format!("/{name}"), redirect)
            .nest_service(&format!("/{name}/"), routes);
        other.mounted.push(other.area);
        for mut area in std::mem::take(&mut other.mounted) {
            area.prefix = format!("/{name}{}", area.prefix);
            self.mounted.push(area);
        }
        self.tasks.extend(other.tasks);
        self.failures.join(other.failures);
        self.closing.append(&mut other.closing);
        self
    }
}

/// Opens the listening address. If other machines reach it, the caller must confirm that
/// credentials are required, or that anyone may use it.
///
/// # Errors
///
/// Returns an error if the address is in use, or if other machines reach it without that
/// confirmation.
pub async fn listen(address: SocketAddr, may_be_reached: bool) -> Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() && !may_be_reached {
        return Err(ServeError::Anonymous(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen(address, error))
}

/// Serves until `shutdown`; then finishes requests in flight, within eight seconds. If credentials
/// are required, `SIGHUP` reloads them.
///
/// # Errors
///
/// Returns an error if a part of the service has ended by itself, or if the process cannot receive
/// signals.
pub async fn serve(
    listener: TcpListener,
    mut service: Mounted,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (mut router, counting) = service.routes("");
    let Mounted {
        area,
        mut mounted,
        credentials,
        mut tasks,
        failures,
        closing,
        ..
    } = service;
    if let Some(credentials) = credentials {
        let renewing = renew_at_signal(credentials.clone()).map_err(ServeError::Signals)?;
        // A signal during the start was for what the file has now.
        if let Err(error) = credentials.renew() {
            unchanged(&error);
        }
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(renewing));
        mounted.push(area);
        let state = Guard {
            credentials,
            areas: mounted,
        };
        router = router.layer(from_fn_with_state(Arc::new(state), guard));
    }
    let mut server = tokio::spawn(connections::serve(
        listener,
        (router, counting),
        failures,
        Limits::default(),
        shutdown.clone(),
    ));
    let mut ended = false;
    let served = tokio::select! {
        served = &mut server => Some(served),
        () = shutdown.cancelled() => None,
        Some(_) = tasks.next() => {
            // A service that answers and no longer works would look healthy.
            ended = !shutdown.is_cancelled();
            None
        }
    };
    // Whichever has ended, stop the rest too.
    shutdown.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        let served = match served {
            Some(served) => served,
            None => (&mut server).await,
        };
        while tasks.next().await.is_some() {}
        for closing in closing.into_iter().rev() {
            closing.0.await;
        }
        served
    });
    match drained.await {
        Ok(Err(_)) => Err(ServeError::Ended),
        _ if ended => Err(ServeError::Ended),
        Ok(_) => {
            info!("stopped");
            Ok(())
        }
        Err(_) => {
            server.abort();
            warn!("stopped with work in flight after {DRAIN:?}");
            Ok(())
        }
    }
}

/// Reloads the credentials at each `SIGHUP`. An invalid file changes nothing: the earlier
/// credentials stay valid.
fn renew_at_signal(credentials: Credentials) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            match credentials.renew() {
                Ok(count) => info!("read {count} credentials again"),
                Err(error) => unchanged(&error),
            }
        }
    })
}

fn unchanged(error: &CredentialsError) {
    error!(
        error = with_causes(error),
        "the credentials stay as they were"
    );
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use futures_util::future::BoxFuture;
    use tower::ServiceExt;

    use super::*;
    use feed_http::metrics::Metric;

    #[derive(Debug)]
    struct Nothing;

    impl Measured for Nothing {
        fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
            Box::pin(async { Vec::new() })
        }
    }

    #[tokio::test]
    async fn a_name_without_its_slash_leads_to_it() {
        let pages = || Mounted::new(Router::new().route("/", get(|| async { "all" })));
        let both = pages().mount("one", pages()).router;
        for (path, location) in [("/one", "one/"), ("/one?q=a%20b", "one/?q=a%20b")] {
            let request = Request::get(path).body(Body::empty());
            let answer = both.clone().oneshot(request.expect("a request")).await;
            let answer = answer.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[LOCATION]),
                (308, &location.parse().expect("a value"))
            );
        }
    }

    /// The counters of a route are created with the route: created with each request, they would
    /// never be freed.
    #[tokio::test]
    async fn requests_are_counted_by_route_below_any_name() {
        let pages = Router::new()
            .route("/", get(|| async { "all" }).post(|| async { "new" }))
            .route("/{id}", get(|| async { StatusCode::NOT_MODIFIED }));
        let service = Mounted::new(pages).with_metrics(Nothing);
        let counters = {
            let (_, requests) = service.measured.as_ref().expect("it is measured");
            requests.clone()
        };
        let shop = Mounted::new(Router::new()).mount("order", service);
        let ask = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("a request");
            let answer = shop
                .router
                .clone()
                .oneshot(request)
                .await
                .expect("an answer");
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
            String::from_utf8(body.expect("a body").to_vec()).expect("text")
        };
        let mut made = Vec::new();
        for _ in 0..3 {
            for path in ["/order/", "/order/7", "/order/8", "/order/7/8"] {
                ask("GET", path).await;
            }
            ask("POST", "/order/").await;
            ask("BREW", "/order/").await;
            made.push(counters.made());
        }
        assert!(made.iter().all(|count| *count == made[0]), "{made:?}");
        let text = ask("GET", "/order/metrics").await;
        for line in [
            "{method=\"GET\",route=\"/\",status=\"200\"} 3",
            "{method=\"POST\",route=\"/\",status=\"200\"} 3",
            "{method=\"other\",route=\"/\",status=\"405\"} 3",
            "{method=\"GET\",route=\"/{id}\",status=\"304\"} 6",
            "{method=\"GET\",route=\"*\",status=\"404\"} 3",
        ] {
            assert!(
                text.contains(&format!("http_requests_total{line}\n")),
                "{text}"
            );
        }
    }

    /// A service that answers and no longer works would look healthy.
    #[tokio::test]
    async fn a_task_that_panics_ends_the_service() {
        let working =
            Mounted::new(Router::new()).with_task(async { panic!("attempt to divide by zero") });
        let shop = Mounted::new(Router::new()).mount("order", working);
        let listener = listen(([127, 0, 0, 1], 0).into(), false).await;
        let listener = listener.expect("a free port");
        let ended = serve(listener, shop, CancellationToken::new()).await;
        assert!(matches!(ended, Err(ServeError::Ended)), "{ended:?}");
    }

    /// The same, whatever else it does.
    #[tokio::test]
    async fn a_task_that_ends_ends_the_service_beside_others() {
        let working = Mounted::new(Router::new())
            .with_task(std::future::pending())
            .with_task(async {});
        let shop = Mounted::new(Router::new()).mount("order", working);
        let listener = listen(([127, 0, 0, 1], 0).into(), false).await;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener.expect("a port"), shop, shutdown.clone()));
        let begun = tokio::time::timeout(Duration::from_secs(20), shutdown.cancelled());
        begun.await.expect("it stops the rest");
        serving.abort();
    }

    #[tokio::test]
    async fn a_service_without_tasks_runs_until_it_is_stopped() {
        let pages = Mounted::new(Router::new().route("/", get(|| async { "here" })));
        let site = Mounted::new(Router::new()).mount("pages", pages);
        let listener = listen(([127, 0, 0, 1], 0).into(), false).await;
        let shutdown = CancellationToken::new();
        let mut serving = Box::pin(serve(listener.expect("a port"), site, shutdown.clone()));
        // It has begun to wait.
        let ended = tokio::time::timeout(Duration::from_millis(100), serving.as_mut()).await;
        assert!(ended.is_err(), "{ended:?}");
        shutdown.cancel();
        assert!(serving.await.is_ok());
    }

    /// A feed numbers its last events before its database is closed.
    #[tokio::test]
    async fn what_is_added_later_is_closed_before() {
        let (sender, closed) = std::sync::mpsc::channel();
        let closing = |name: &'static str| {
            let sender = sender.clone();
            async move { sender.send(name).expect("a receiver") }
        };
        let site = Mounted::new(Router::new());
        let site = site.with_closing(closing("database"));
        let site = site.with_closing(closing("feed"));
        let listener = listen(([127, 0, 0, 1], 0).into(), false).await;
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let served = serve(listener.expect("a port"), site, shutdown).await;
        assert!(served.is_ok(), "{served:?}");
        assert_eq!(closed.try_iter().collect::<Vec<_>>(), ["feed", "database"]);
    }

    /// A signal before that has nobody who listens to it.
    #[tokio::test]
    async fn a_service_begins_with_the_credentials_that_its_file_has_then() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        std::fs::write(&file, "operate old").expect("a file");
        let credentials = Credentials::from_file(&file).expect("a token");
        std::fs::write(&file, "operate new").expect("a file");
        let site = Mounted::new(Router::new()).guarded(Some(credentials.clone()));
        let listener = listen(([127, 0, 0, 1], 0).into(), false).await;
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let served = serve(listener.expect("a port"), site, shutdown).await;
        assert!(served.is_ok(), "{served:?}");
        let shown = (
            axum::http::header::AUTHORIZATION,
            "Bearer new".parse().expect("a value"),
        );
        assert!(
            credentials
                .granted(&HeaderMap::from_iter([shown]))
                .is_some()
        );
    }
}
