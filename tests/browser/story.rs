//! A story: a browser of its own, what must hold in each story, and what a failed one leaves.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use harness::programs::available;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Url;

use crate::driver::{Driver, capabilities};
use crate::page::{Look, Page};
use crate::webdriver::Session;

/// Browsers that run at once: one takes a core while a page loads.
static SEATS: Semaphore = Semaphore::const_new(2);

/// A story that takes longer hangs: the driver has no limit of its own.
const LONGEST: Duration = Duration::from_secs(240);

/// Runs a story in a new browser. At its end the console must have no error, and no request may
/// have gone to another host.
pub(crate) async fn tell(look: Look, story: impl AsyncFnOnce(&Page)) {
    tell_in(look, true, story).await;
}

/// The same in a browser that keeps no copies of pages that are left.
pub(crate) async fn tell_without_copies(look: Look, story: impl AsyncFnOnce(&Page)) {
    tell_in(look, false, story).await;
}

async fn tell_in(look: Look, copies: bool, story: impl AsyncFnOnce(&Page)) {
    if !available(&["chromium", "chromedriver"]) {
        return;
    }
    let _seat = SEATS.acquire().await.unwrap();
    let driver = Driver::shared().await;
    let profile = tempfile::tempdir().unwrap();
    let session = Session::start(&driver.url, capabilities(profile.path(), copies)).await;
    let page = Page::new(session.unwrap());
    let outcome = AssertUnwindSafe(async {
        page.look(look).await;
        story(&page).await;
        calm(&page).await;
    });
    let outcome = timeout(LONGEST, outcome.catch_unwind()).await;
    if !matches!(outcome, Ok(Ok(()))) {
        keep(&page).await;
    }
    // A browser that cannot be closed ends with its driver.
    let closed = timeout(Duration::from_secs(10), page.session.end()).await;
    match outcome {
        Ok(Ok(())) => closed.unwrap().unwrap(),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("the story takes longer than {LONGEST:?}"),
    }
}

/// No error on the console that the story has not announced, and no request to another host.
async fn calm(page: &Page) {
    let foreseen = page.foreseen();
    let errors: Vec<String> = page
        .session
        .log("browser")
        .await
        .unwrap()
        .iter()
        .filter(|entry| entry["level"] == "SEVERE")
        .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
        .filter(|message| !foreseen.iter().any(|part| message.contains(part)))
        .collect();
    assert!(errors.is_empty(), "errors on the console: {errors:#?}");
    let foreign: Vec<String> = page
        .session
        .log("performance")
        .await
        .unwrap()
        .iter()
        .filter_map(requested)
        .filter(|url| is_foreign(url))
        .collect();
    assert!(foreign.is_empty(), "requests to other hosts: {foreign:#?}");
}

/// The address, if the entry is of a request.
fn requested(entry: &Value) -> Option<String> {
    let text = entry["message"].as_str()?;
    let event: Value = serde_json::from_str(text).ok()?;
    let event = &event["message"];
    (event["method"] == "Network.requestWillBeSent")
        .then(|| event["params"]["request"]["url"].as_str())?
        .map(str::to_owned)
}

fn is_foreign(url: &str) -> bool {
    let url = Url::parse(url).unwrap();
    // Without a host: `data:` and the like. The browser's own pages are no host's.
    let host = url.host_str().filter(|_| url.scheme() != "chrome");
    host.is_some_and(|host| host != "127.0.0.1")
}

/// Saves the last page of a story that failed.
async fn keep(page: &Page) {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../target/browser"]
        .iter()
        .collect();
    let name = std::thread::current().name().unwrap_or("story").to_owned();
    let path = |suffix: &str| directory.join(format!("{}.{suffix}", name.replace("::", ".")));
    let kept = async {
        std::fs::create_dir_all(&directory).ok()?;
        eprintln!("--- at {}", page.session.url().await.ok()?);
        std::fs::write(path("html"), page.session.source().await.ok()?).ok()?;
        std::fs::write(path("png"), page.picture().await).ok()
    };
    let kept = timeout(Duration::from_secs(10), kept).await;
    if matches!(kept, Ok(Some(()))) {
        eprintln!("--- what it saw last: {}", path("png").display());
    }
}

#[test]
fn another_host_is_foreign() {
    for url in [
        "http://127.0.0.1:8080/",
        "data:,",
        "about:blank",
        "chrome://newtab/",
    ] {
        assert!(!is_foreign(url), "{url}");
    }
    for url in [
        "https://fonts.example/a.css",
        "ws://10.0.0.1/",
        "http://127.0.0.2/",
    ] {
        assert!(is_foreign(url), "{url}");
    }
}
