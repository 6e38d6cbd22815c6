//! The commands of WebDriver that the stories need (W3C, "WebDriver", 6.1), and two of
//! chromedriver's own. It is plain HTTP with JSON.
//!
//! The crate `thirtyfour` (0.38) turns on `preserve_order` of `serde_json`, and so changes the services
//! that are tested; `fantoccini` (0.22) brings 24 crates, among them an old `http`.

use harness::Client;
use serde_json::{Value, json};

/// The name by which an element travels.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that write nothing.
pub(crate) const TAB: char = '\u{e004}';
pub(crate) const ENTER: char = '\u{e007}';
pub(crate) const ALT: char = '\u{e00a}';

/// A command that failed: what the driver says of it, such as `no such element`.
#[derive(Debug)]
#[expect(dead_code, reason = "is shown where a test fails")]
pub(crate) struct Failed {
    error: Value,
    message: Value,
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

/// How an element is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    Css(&'a str),
    XPath(&'a str),
}

/// A browser that was started for us.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    driver: Client,
    id: String,
}

/// Something on a page.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    session: Session,
    id: String,
}

impl Session {
    /// Starts a browser with these capabilities, by the driver at that address.
    pub(crate) async fn start(driver: &str, capabilities: Value) -> Result<Self> {
        // A client of its own: connections end with the runtime of the test that opened them.
        let driver = Client::new(driver);
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let started = send(&driver, "POST", "session", &body).await?;
        let id = text(&started["sessionId"]);
        Ok(Self { driver, id })
    }

    /// Closes it.
    pub(crate) async fn end(&self) -> Result<()> {
        self.send("DELETE", "", &Value::Null).await.map(drop)
    }

    pub(crate) async fn go(&self, url: &str) -> Result<()> {
        self.post("/url", json!({"url": url})).await.map(drop)
    }

    /// Where it is.
    pub(crate) async fn url(&self) -> Result<String> {
        Ok(text(&self.get("/url").await?))
    }

    pub(crate) async fn back(&self) -> Result<()> {
        self.post("/back", json!({})).await.map(drop)
    }

    pub(crate) async fn reload(&self) -> Result<()> {
        self.post("/refresh", json!({})).await.map(drop)
    }

    /// The document as it is now.
    pub(crate) async fn source(&self) -> Result<String> {
        Ok(text(&self.get("/source").await?))
    }

    /// The first element that is found so.
    pub(crate) async fn find(&self, by: By<'_>) -> Result<Element> {
        let found = self.post("/element", by.parameters()).await?;
        Ok(self.element(&found))
    }

    /// All elements that are found so.
    pub(crate) async fn find_all(&self, by: By<'_>) -> Result<Vec<Element>> {
        let found = self.post("/elements", by.parameters()).await?;
        let found = found.as_array().into_iter().flatten();
        Ok(found.map(|element| self.element(element)).collect())
    }

    fn element(&self, found: &Value) -> Element {
        Element {
            session: self.clone(),
            id: text(&found[ELEMENT]),
        }
    }

    /// Runs a script, and gives back what it returns.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        let body = json!({"script": script, "args": []});
        self.post("/execute/sync", body).await
    }

    /// Runs a script, and gives back what it calls its last argument with.
    pub(crate) async fn run_async(&self, script: &str) -> Result<Value> {
        let body = json!({"script": script, "args": []});
        self.post("/execute/async", body).await
    }

    /// Moves, presses and releases what a hand would.
    pub(crate) async fn act(&self, actions: Value) -> Result<()> {
        let body = json!({"actions": [actions]});
        self.post("/actions", body).await.map(drop)
    }

    /// A command of the Chrome DevTools Protocol.
    pub(crate) async fn devtools(&self, command: &str, params: Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": params});
        self.post("/goog/cdp/execute", body).await
    }

    /// What was logged since the last time: `browser` is the console, `performance` what the page
    /// did.
    pub(crate) async fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let entries = self.post("/se/log", json!({"type": kind})).await?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.send("POST", path, &body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let path = format!("session/{}{path}", self.id);
        send(&self.driver, method, &path, body).await
    }
}

impl Element {
    pub(crate) async fn click(&self) -> Result<()> {
        self.post("/click", json!({})).await
    }

    pub(crate) async fn clear(&self) -> Result<()> {
        self.post("/clear", json!({})).await
    }

    /// Types a text.
    pub(crate) async fn write(&self, text: &str) -> Result<()> {
        self.post("/value", json!({"text": text})).await
    }

    /// The text that is seen.
    pub(crate) async fn text(&self) -> Result<String> {
        Ok(text(&self.get("/text").await?))
    }

    /// True if it can be seen.
    pub(crate) async fn is_displayed(&self) -> Result<bool> {
        Ok(self.get("/displayed").await? == true)
    }

    /// Nothing if it has no such attribute.
    pub(crate) async fn attribute(&self, name: &str) -> Result<String> {
        Ok(text(&self.get(&format!("/attribute/{name}")).await?))
    }

    pub(crate) async fn property(&self, name: &str) -> Result<String> {
        Ok(text(&self.get(&format!("/property/{name}")).await?))
    }

    /// The way that it goes by in [`Session::act`].
    pub(crate) fn reference(&self) -> Value {
        json!({ELEMENT: self.id})
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let path = format!("/element/{}{path}", self.id);
        self.session.get(&path).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<()> {
        let path = format!("/element/{}{path}", self.id);
        self.session.post(&path, body).await.map(drop)
    }
}

impl By<'_> {
    fn parameters(self) -> Value {
        match self {
            Self::Css(selector) => json!({"using": "css selector", "value": selector}),
            Self::XPath(path) => json!({"using": "xpath", "value": path}),
        }
    }
}

async fn send(driver: &Client, method: &str, path: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("content-type", "application/json")];
    let answer = driver.try_send(method, path, &headers, &body).await;
    let answer = answer.ok_or_else(|| Failed {
        error: "no answer".into(),
        message: path.into(),
    })?;
    let value = answer.json()["value"].take();
    if answer.status == 200 {
        return Ok(value);
    }
    let [error, message] = ["error", "message"].map(|name| value[name].clone());
    Err(Failed { error, message })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
