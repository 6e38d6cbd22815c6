//! Shows a problem as a page to browsers. Programs get the problem document (RFC 9457) unchanged.
//!
//! It is a layer around each route, also on the path of the `304` of a feed: there it keeps one
//! header, and boxes nothing, which a layer of [`axum::middleware::from_fn`] does three times.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tower::{Layer, Service};

use super::html::{Frame, vary_by_accept, wants_pages};
use feed_http::Page;

/// A layer that answers browsers with pages in place of problem documents, in the frame of the service.
#[derive(Debug, Clone)]
pub struct ProblemsAsPages {
    frame: Arc<Frame<'static>>,
    is_browser: fn(&HeaderMap) -> bool,
}

impl ProblemsAsPages {
    /// Shows problems in `frame` to clients whose `Accept` prefers `text/html`.
    #[must_use]
    pub fn new(frame: Frame<'static>) -> Self {
        Self {
            frame: Arc::new(frame),
            is_browser: wants_pages,
        }
    }

    /// Decides by `is_browser`, which gets the request's `Accept` alone, who is shown pages.
    #[must_use]
    pub fn to(self, is_browser: fn(&HeaderMap) -> bool) -> Self {
        Self { is_browser, ..self }
    }

    /// Returns the answer in the form that a client with this `Accept` prefers.
    fn for_client(&self, accept: Vec<HeaderValue>, mut answer: Response) -> Response {
        if answer.extensions().get::<Page>().is_none() {
            return answer;
        }
        vary_by_accept(answer.headers_mut());
        let accept = accept.into_iter().map(|value| (header::ACCEPT, value));
        match (self.is_browser)(&accept.collect()) {
            true => self.frame.for_people(answer),
            false => answer,
        }
    }
}

impl<S> Layer<S> for ProblemsAsPages {
    type Service = WithPages<S>;

    fn layer(&self, inner: S) -> WithPages<S> {
        WithPages {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose problems are pages for browsers.
#[derive(Debug, Clone)]
pub struct WithPages<S> {
    inner: S,
    layer: ProblemsAsPages,
}

impl<S> Service<Request> for WithPages<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let accept = request.headers().get_all(header::ACCEPT);
        Answering {
            accept: accept.iter().cloned().collect(),
            layer: self.layer.clone(),
            answer: self.inner.call(request),
        }
    }
}

/// The answer of a route, which may have to become a page.
#[derive(Debug)]
pub struct Answering<F> {
    accept: Vec<HeaderValue>,
    layer: ProblemsAsPages,
    answer: F,
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        let accept = std::mem::take(&mut self.accept);
        Poll::Ready(answer.map(|answer| self.layer.for_client(accept, answer)))
    }
}
