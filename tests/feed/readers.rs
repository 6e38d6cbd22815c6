//! Feed readers show each event once: newsboat, sfeed and rss2email, run as a user would, again and
//! again while orders are placed. What libraries accept is in `feed-core/tests/it/accept.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use harness::programs::{available, program, succeed};
use harness::{Backend, Service};
use sqlx::{Connection, SqliteConnection};

use crate::publisher::{dated, newest, place, started};

harness::on_both_backends! {
    newsboat_shows_each_event_once
    sfeed_shows_each_event_once
    rss2email_sends_each_event_once
}

/// Orders between two runs of a reader: fewer than the head shows, so that it can see all.
const ROUND: usize = 70;

/// Three pages of events in all. In a round without orders the reader gets a date too: the next
/// answer must not be dropped because of it.
const ROUNDS: [usize; 6] = [1, ROUND, 0, ROUND, ROUND, 0];

async fn newsboat_shows_each_event_once(backend: Backend) {
    if !available(&["newsboat"]) {
        return;
    }
    let order = started(backend).await;
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(name);
    std::fs::write(file("urls"), order.client.url("feed")).unwrap();
    std::fs::write(file("config"), "download-retries 1\n").unwrap();
    follow(&order, async || {
        let mut newsboat = at_home("newsboat", home.path());
        newsboat
            .args(["-x", "reload", "-q", "-C"])
            .arg(file("config"));
        newsboat
            .arg("-u")
            .arg(file("urls"))
            .arg("-c")
            .arg(file("cache"));
        succeed(newsboat).await;
        let url = format!("sqlite:{}", file("cache").display());
        let mut cache = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar("SELECT guid FROM rss_item")
            .fetch_all(&mut cache)
            .await
            .unwrap()
    })
    .await;
}

async fn sfeed_shows_each_event_once(backend: Backend) {
    if !available(&["sfeed_update"]) {
        return;
    }
    let order = started(backend).await;
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".sfeed/sfeedrc");
    std::fs::create_dir(config.parent().unwrap()).unwrap();
    let feeds = format!(
        "feeds() {{ feed orders '{}'; }}\n",
        order.client.url("feed")
    );
    std::fs::write(&config, feeds).unwrap();
    follow(&order, async || {
        succeed(at_home("sfeed_update", home.path())).await;
        let items = std::fs::read_to_string(home.path().join(".sfeed/feeds/orders")).unwrap();
        // The id is the sixth field.
        let id = |item: &str| item.split('\t').nth(5).unwrap().to_owned();
        items.lines().map(id).collect()
    })
    .await;
}

async fn rss2email_sends_each_event_once(backend: Backend) {
    if !available(&["r2e"]) {
        return;
    }
    let order = started(backend).await;
    let home = tempfile::tempdir().unwrap();
    let r2e = |arguments: &[&str]| {
        let mut r2e = at_home("r2e", home.path());
        r2e.args(["--config", "config", "--data", "seen.json"])
            .args(arguments);
        r2e
    };
    let config = "[DEFAULT]\nto = clerk@example.com\nemail-protocol = maildir\n\
                  maildir-path = .\nmaildir-mailbox = mail\nverbose = warning\n";
    std::fs::write(home.path().join("config"), config).unwrap();
    succeed(r2e(&["add", "orders", &order.client.url("feed")])).await;
    follow(&order, async || {
        let said = harness::programs::run(r2e(&["run"])).await;
        // It exits with 0 even if it could not read the feed, but then it prints that.
        assert!(said.status.success() && said.stderr.is_empty(), "{said:#?}");
        std::fs::read_dir(home.path().join("mail/new"))
            .unwrap()
            .map(|mail| std::fs::read_to_string(mail.unwrap().path()).unwrap())
            .map(|mail| {
                let id = mail
                    .lines()
                    .find_map(|line| line.strip_prefix("X-RSS-ID: "));
                id.unwrap().to_owned()
            })
            .collect()
    })
    .await;
}

/// Runs a reader again and again while orders are placed; it returns the ids of all that it has
/// shown.
async fn follow(order: &Service, mut look: impl AsyncFnMut() -> Vec<String>) {
    for count in ROUNDS {
        place(order, count).await;
        if count == 0 {
            dated(order).await;
        }
        assert_all_once(order, &look().await).await;
    }
}

/// A program that finds its files below `home` and speaks English.
fn at_home(name: &str, home: &Path) -> Command {
    let mut command = program(name);
    command
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home);
    command
}

/// The reader has as many entries as there are events, and no two are the same.
async fn assert_all_once(order: &Service, ids: &[String]) {
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), newest(&order.client).await);
    assert_eq!(distinct.len(), ids.len());
    assert!(ids.iter().all(|id| id.starts_with("urn:uuid:")), "{ids:?}");
}
