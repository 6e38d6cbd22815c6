//! What a user does on a page, and sees there. Each step waits for its element.

use std::sync::Mutex;

use harness::until;
use serde_json::{Value, json};
use url::Url;

use crate::webdriver::{By, Element, Session, TAB};

/// How the reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    phone: bool,
    dark: bool,
}

impl Look {
    pub(crate) const DESKTOP: Self = Self::new("desktop.light", false, false);
    pub(crate) const DESKTOP_DARK: Self = Self::new("desktop.dark", false, true);
    pub(crate) const PHONE: Self = Self::new("phone.light", true, false);
    pub(crate) const PHONE_DARK: Self = Self::new("phone.dark", true, true);

    const fn new(name: &'static str, phone: bool, dark: bool) -> Self {
        Self { name, phone, dark }
    }
}

/// The page in a browser.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) session: Session,
    foreseen: Mutex<Vec<&'static str>>,
}

impl Page {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            foreseen: Mutex::default(),
        }
    }

    /// Announces an error on the console: a browser logs each page that is answered with 4xx.
    pub(crate) fn foresee(&self, part: &'static str) {
        self.foreseen.lock().unwrap().push(part);
    }

    pub(crate) fn foreseen(&self) -> Vec<&'static str> {
        self.foreseen.lock().unwrap().clone()
    }

    /// Shows the page in another look.
    pub(crate) async fn look(&self, look: Look) {
        let (width, height, scale) = if look.phone {
            (390, 844, 2)
        } else {
            (1280, 900, 1)
        };
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": look.phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let scheme = if look.dark { "dark" } else { "light" };
        let media =
            json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// From the next page on, no page's script runs.
    pub(crate) async fn turn_scripts_off(&self) {
        let off = json!({"value": true});
        self.devtools("Emulation.setScriptExecutionDisabled", off)
            .await;
    }

    pub(crate) async fn open(&self, url: &str) {
        self.session.go(url).await.unwrap();
    }

    /// Runs a script of ours; what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.session.run(script).await.unwrap()
    }

    /// Uses the browser's developer tools.
    pub(crate) async fn devtools(&self, command: &str, params: Value) -> Value {
        self.session.devtools(command, params).await.unwrap()
    }

    /// The element, once it is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.wait_for(css, By::Css(css)).await
    }

    /// True if such an element is there now and can be seen.
    pub(crate) async fn shows(&self, css: &str) -> bool {
        match self.session.find(By::Css(css)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn wait_for(&self, what: &str, locator: By<'_>) -> Element {
        until(what, async || {
            let element = self.session.find(locator).await.ok()?;
            element.is_displayed().await.ok()?.then_some(element)
        })
        .await
    }

    /// A link or a button, by the name that is read out.
    pub(crate) async fn control(&self, name: &str) -> Element {
        let name = literal(name);
        let path = format!(
            "//*[self::a or self::button or self::summary]\
             [@aria-label={name} or (not(@aria-label) and normalize-space()={name})]"
        );
        self.wait_for(&name, By::XPath(&path)).await
    }

    /// Presses a link or a button.
    pub(crate) async fn press(&self, name: &str) {
        // An element that is being replaced is looked up again.
        until(&format!("{name} can be pressed"), async || {
            self.control(name).await.click().await.ok()
        })
        .await;
    }

    /// Presses a button twice, as fast as a hand does.
    pub(crate) async fn press_twice(&self, name: &str) {
        let button = self.control(name).await.reference();
        let [down, up] =
            ["pointerDown", "pointerUp"].map(|kind| json!({"type": kind, "button": 0}));
        let there = json!({"type": "pointerMove", "origin": button, "x": 0, "y": 0});
        let mouse = json!({
            "type": "pointer", "id": "mouse", "actions": [there, down, up, down, up],
        });
        self.session.act(mouse).await.unwrap();
    }

    /// Replaces the text of a field.
    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let field = self.find(&format!("[id='{id}']")).await;
        field.clear().await.unwrap();
        field.write(text).await.unwrap();
    }

    /// Chooses the first option whose text contains `text`.
    pub(crate) async fn choose(&self, id: &str, text: &str) {
        // Without the mark that keeps the price behind a name apart from it.
        let path = format!(
            "//select[@id='{id}']/option[contains(translate(., '\u{200e}', ''), {})]",
            literal(text)
        );
        let option = self.wait_for(text, By::XPath(&path)).await;
        option.click().await.unwrap();
    }

    /// The text of a field.
    pub(crate) async fn value(&self, id: &str) -> String {
        let field = self.find(&format!("[id='{id}']")).await;
        field.property("value").await.unwrap()
    }

    /// The text that is seen in an element.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Waits until a text is seen in an element.
    pub(crate) async fn sees(&self, css: &str, text: &str) {
        let mut seen = String::new();
        let found = tokio::time::timeout(harness::DEADLINE, async {
            loop {
                // An element that has just been replaced is looked up again.
                if let Ok(element) = self.session.find(By::Css(css)).await {
                    seen = element.text().await.unwrap_or_default();
                }
                if seen.contains(text) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        let found = found.await.is_ok();
        assert!(found, "{css} does not say {text:?}, but {seen:?}");
    }

    /// Types, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.session.act(keyboard).await.unwrap();
    }

    /// Presses a key, wherever the focus is.
    pub(crate) async fn key(&self, key: char) {
        self.keys(key.encode_utf8(&mut [0; 4])).await;
    }

    /// Presses a key while another one is held down.
    pub(crate) async fn chord(&self, held: char, key: char) {
        let stroke = |kind: &str, key: char| json!({"type": kind, "value": key});
        let strokes = [
            stroke("keyDown", held),
            stroke("keyDown", key),
            stroke("keyUp", key),
            stroke("keyUp", held),
        ];
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.session.act(keyboard).await.unwrap();
    }

    /// What has the focus: the name of a link or a button, or the id of a field.
    pub(crate) async fn focus(&self) -> String {
        let script = "const at = document.activeElement; \
                      return at.matches('a, button, summary') \
                          ? at.ariaLabel || at.textContent.trim() : at.id || at.tagName";
        let focus = self.run(script).await;
        focus.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until that has the focus.
    pub(crate) async fn tab_to(&self, what: &str) {
        let mut passed = Vec::new();
        for _ in 0..100 {
            self.key(TAB).await;
            let focus = self.focus().await;
            if focus == what {
                return;
            }
            passed.push(focus);
        }
        panic!("Tab does not lead to {what}: {passed:#?}");
    }

    /// What reaches over the window's right edge, and is in nothing that scrolls by itself.
    pub(crate) async fn wider(&self) -> Value {
        let script = "const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            return [...document.body.querySelectorAll('*')]
                .filter(element => element.getBoundingClientRect().right > width
                    && !element.closest('.scroll'))
                .map(element => element.outerHTML.slice(0, 200));";
        self.run(script).await
    }

    /// What is wider than the box in which it scrolls.
    pub(crate) async fn cut_off(&self) -> Value {
        let script = "return [...document.querySelectorAll('.scroll')]
                .filter(box => box.scrollWidth > box.clientWidth)
                .map(box => `${box.scrollWidth} > ${box.clientWidth}: ${box.textContent.slice(0, 100)}`);";
        self.run(script).await
    }

    /// The path of the page, without the host.
    pub(crate) async fn path(&self) -> String {
        let url = self.session.url().await.unwrap();
        Url::parse(&url).unwrap().path().to_owned()
    }

    /// Waits until the browser is at `path`.
    pub(crate) async fn arrives(&self, path: &str) {
        until(&format!("the page {path}"), async || {
            (self.path().await == path).then_some(())
        })
        .await;
    }

    /// Pretends that the reader turns to another tab, or back.
    pub(crate) async fn hide(&self, hidden: bool) {
        let script = format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});
             document.dispatchEvent(new Event('visibilitychange'));"
        );
        self.run(&script).await;
    }

    /// Marks the document that is shown now, for [`Page::is_the_same`].
    pub(crate) async fn mark(&self) {
        self.run("window.marked = true").await;
    }

    /// True if no other document has been loaded since it was marked.
    pub(crate) async fn is_the_same(&self) -> bool {
        self.run("return window.marked === true").await == true
    }
}

/// A text in XPath, which has no escapes.
fn literal(text: &str) -> String {
    let parts: Vec<String> = text.split('\'').map(|part| format!("'{part}'")).collect();
    match parts.as_slice() {
        [one] => one.clone(),
        many => format!("concat({})", many.join(", \"'\", ")),
    }
}
