//! The feed as a page.

use feed_chassis::html::Frame;
use feed_console::feed::page;
use feed_core::{Database, Feed, FeedSettings, NewEvent, outbox};
use harness::{FreshDatabase, request, until};
use sqlx::Sqlite;
use tokio_util::sync::CancellationToken;

/// An event is about any page of the web, not only about one of the feed's own host.
#[tokio::test]
async fn a_link_leads_where_the_event_says() {
    let file = FreshDatabase::sqlite();
    let database = Database::<Sqlite>::open(file.url()).await.unwrap();
    let mut settings = FeedSettings::new("https://shop.example/".parse().unwrap(), "Sales");
    settings.page = Some(page(Frame {
        base: settings.base_url.clone(),
        home: None,
        home_name: "Home",
        service: "Sales",
        menu: &[],
        feed: None,
    }));
    let feed = Feed::open(database.clone(), settings, CancellationToken::new());
    let feed = feed.await.unwrap();
    let links = [
        ("orders/5", "/orders/5"),
        ("orders?id=5&of=eve", "/orders?id=5&amp;of=eve"),
        ("https://shop.example/orders/6", "/orders/6"),
        (
            "https://crm.example/customers/5?tab=2#top",
            "https://crm.example/customers/5?tab=2#top",
        ),
        ("//evil.example/x", "https://shop.example///evil.example/x"),
    ];
    let mut tx = database.begin().await.unwrap();
    for (link, _) in links {
        let event = NewEvent {
            link: link.to_owned(),
            ..NewEvent::new("item.sold", "sale/1", "{}")
        };
        outbox::append(&mut tx, &event).await.unwrap();
    }
    tx.commit().await.unwrap();
    feed.committed();
    tokio::spawn(feed.clone().run());
    let whole = until("all events are in the feed", async || {
        let html = [("accept", "text/html")];
        let answer = request(&feed.router(), "GET", "/feed", &html, "").await;
        (answer.body.matches("item.sold").count() >= links.len()).then_some(answer.body)
    });
    let whole = whole.await;
    for (link, href) in links {
        assert!(
            whole.contains(&format!("href=\"{href}\"")),
            "{link}: {whole}"
        );
    }
}
