//! The feed in a browser.

use feed_chassis::html::Frame;
use feed_core::{Database, Feed, FeedSettings, outbox};
use tokio_util::sync::CancellationToken;

use crate::support::{BASE, Testable, event, send};

harness::on_both_databases! {
    no_text_of_an_event_is_markup
}

async fn no_text_of_an_event_is_markup<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    let base: feed_core::http::BaseUrl = BASE.parse().unwrap();
    let frame = Frame {
        base: base.clone(),
        home: None,
        home_name: "Home",
        service: "Orders",
        menu: &[],
        feed: Some("feed"),
    };
    let settings = FeedSettings {
        page: Some(feed_console::feed::page(frame)),
        ..FeedSettings::new(base, "Orders")
    };
    let feed = Feed::open(database.clone(), settings, CancellationToken::new());
    let feed = feed.await.unwrap();
    let hostile = "]]><x>&amp;\"'";
    let mut event = event(hostile);
    event.event_type = hostile.to_owned();
    event.title = hostile.to_owned();
    event.link = "a?\"><x>".to_owned();
    let mut tx = database.begin().await.unwrap();
    outbox::append(&mut tx, &event).await.unwrap();
    tx.commit().await.unwrap();
    feed.publish().await.unwrap();
    let html = send(feed.router(), "GET", "/feed", &[("accept", "text/html")]).await;
    assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
    assert!(
        html.body.contains("]]&gt;&lt;x&gt;&amp;amp;"),
        "{}",
        html.body
    );
    assert!(!html.body.contains("<x>"), "{}", html.body);
    database.close().await;
}
