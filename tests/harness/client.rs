//! An HTTP client that follows no redirects and hides nothing.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use serde_json::Value;

/// Longer than the longest wait at a server.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Client {
    client: reqwest::Client,
    base: String,
    /// The `Authorization` of requests without one of their own.
    authorization: Option<String>,
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// It is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Fails unless it is a problem document of this status; for a browser, a page in its place.
    ///
    /// # Panics
    ///
    /// It is not.
    pub fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body);
        if self.header("content-type") == "text/html; charset=utf-8" {
            assert!(self.body.contains("<h1>"), "{}", self.body);
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json()["status"], status);
    }

    /// The values of an element in a feed document, in the order of the text.
    #[must_use]
    pub fn elements(&self, name: &str) -> Vec<String> {
        let tag = format!("<{name}>");
        let parts = self.body.split(&tag).skip(1);
        parts
            .map(|part| part.split('<').next().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Client {
    /// A client for the service at `base`, which ends with a slash.
    ///
    /// # Panics
    ///
    /// The client cannot be made.
    #[must_use]
    pub fn new(base: &str) -> Self {
        // Fails where a provider is installed already: that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            // Requests are for this machine, whatever the environment says.
            .no_proxy()
            .tls_certs_only([])
            .timeout(TIMEOUT);
        Self {
            client: builder.build().expect("a client"),
            base: base.to_owned(),
            authorization: None,
        }
    }

    /// The same client for the service at another `base`.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The same client with this `Authorization`.
    #[must_use]
    pub fn showing(&self, authorization: &str) -> Self {
        Self {
            authorization: Some(authorization.to_owned()),
            ..self.clone()
        }
    }

    /// The same client without `Authorization`.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            authorization: None,
            ..self.clone()
        }
    }

    /// The address of `path`, which is relative to the service, or whole.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{}", self.base, path.trim_start_matches('/'))
        }
    }

    /// A request; `None` if there is no answer.
    ///
    /// # Panics
    ///
    /// The method or a header is malformed.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        self.send(method, path, headers, body).await.ok()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let shown = self.authorization.as_deref();
        let headers: HeaderMap = shown
            .map(|shown| ("authorization", shown))
            .iter()
            .chain(headers)
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a header name");
                (name, HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        let request = self.client.request(method, self.url(path));
        let request = request.headers(headers).body(body.to_owned());
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    /// A `GET` that is answered.
    ///
    /// # Panics
    ///
    /// It is not.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.send("GET", path, headers, "").await;
        answer.unwrap_or_else(|error| panic!("no answer from {}: {error:?}", self.url(path)))
    }

    /// A `GET` of JSON; `None` unless it is there.
    pub async fn json(&self, path: &str) -> Option<Value> {
        let accept = [("accept", "application/json")];
        let answer = self.try_send("GET", path, &accept, "").await?;
        (answer.status == 200).then(|| answer.json())
    }

    /// A `POST` of a form that is answered.
    ///
    /// # Panics
    ///
    /// It is not.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send("POST", path, &headers, &body).await;
        answer.unwrap_or_else(|error| panic!("no answer from {}: {error:?}", self.url(path)))
    }

    /// A `POST` of JSON; `None` if there is no answer.
    pub async fn post_json(&self, path: &str, body: &Value) -> Option<Answer> {
        let headers = [("content-type", "application/json")];
        self.try_send("POST", path, &headers, &body.to_string())
            .await
    }
}
