//! chromedriver, and how it starts a browser.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use harness::programs::program;
use harness::{Client, Process, free_address, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// The running driver. It ends with the last story that holds it: a static would outlive the tests.
static RUNNING: Mutex<Weak<Driver>> = Mutex::const_new(Weak::new());

/// A running chromedriver.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The address for commands.
    pub(crate) url: String,
    _process: Process,
    _directory: TempDir,
}

impl Driver {
    /// The one that all stories of this process share.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut running = RUNNING.lock().await;
        if let Some(driver) = running.upgrade() {
            return driver;
        }
        let driver = Arc::new(Self::start().await);
        *running = Arc::downgrade(&driver);
        driver
    }

    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let (_, port) = address.split_once(':').unwrap();
        let mut command = program("chromedriver");
        command.arg(format!("--port={port}"));
        // Nothing of it is kept in the home of the user who runs the tests.
        let home = directory.path().to_str().unwrap();
        let settings = [("XDG_CONFIG_HOME", home), ("XDG_CACHE_HOME", home)];
        let process =
            Process::start_command("chromedriver", &mut command, &settings, directory.path());
        let client = Client::new(&format!("http://{address}/"));
        until("chromedriver answers", async || {
            let status = client.json("status").await?;
            (status["value"]["ready"] == true).then_some(())
        })
        .await;
        Self {
            url: client.url(""),
            _process: process,
            _directory: directory,
        }
    }
}

/// A browser that keeps its data in `profile`, reaches this machine alone, and logs what it does.
/// Without `copies` it keeps no copy of a page that is left, and so loads it again after going back.
pub(crate) fn capabilities(profile: &Path, copies: bool) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        // Then it ends with its driver, even if that is killed.
        "--remote-debugging-pipe".to_owned(),
        // A page that asks another host is found by what it asks for, not by what it gets.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-gpu".to_owned(),
        // Containers have little of it.
        "--disable-dev-shm-usage".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--lang=en".to_owned(),
    ];
    if !copies {
        arguments.push("--disable-features=BackForwardCache".to_owned());
    }
    // Chromium's sandbox refuses to run as root.
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        arguments.push("--no-sandbox".to_owned());
    }
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    })
}
