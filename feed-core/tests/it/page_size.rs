//! A page size within its bounds makes a feed that each new consumer can read.

use feed_core::{Backend, Database, DatabaseError, Feed, FeedSettings, NewEvent, outbox};
use sqlx::Sqlite;
use tokio_util::sync::CancellationToken;

use crate::consumer::drain;
use crate::support::{
    BASE, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, urns,
};

harness::on_both_databases! {
    a_feed_with_pages_out_of_bounds_is_not_created
    a_feed_from_before_the_bounds_opens
}

async fn open<B: Backend>(
    database: &Database<B>,
    page_size: u32,
) -> Result<Feed<B>, DatabaseError> {
    let settings = FeedSettings {
        page_size,
        ..FeedSettings::new(BASE.parse().unwrap(), "Orders")
    };
    Feed::open(database.clone(), settings, CancellationToken::new()).await
}

async fn a_feed_with_pages_out_of_bounds_is_not_created<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    let feeds = "SELECT count(*) FROM feed_head";
    for page_size in [0, FeedSettings::LARGEST_PAGE + 1, u32::MAX] {
        let refused = open(&database, page_size).await.unwrap_err();
        assert!(
            matches!(refused, DatabaseError::PageSize(given, _) if given == page_size),
            "{refused}"
        );
        assert!(!refused.may_pass());
        assert!(refused.to_string().contains("page_size to 1 to 1000"));
        assert_eq!(B::numbers(&database, feeds).await, [0]);
    }
    open(&database, FeedSettings::LARGEST_PAGE).await.unwrap();
    // Later values have no effect.
    open(&database, u32::MAX).await.unwrap();
    let size = B::numbers(&database, "SELECT page_size FROM feed_head").await;
    assert_eq!(size, [i64::from(FeedSettings::LARGEST_PAGE)]);
}

async fn a_feed_from_before_the_bounds_opens<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    open(&database, 1).await.unwrap();
    B::run(&database, "UPDATE feed_head SET page_size = 3000").await;
    for page_size in [FeedSettings::PAGE_SIZE, 3000] {
        open(&database, page_size).await.unwrap();
    }
    let size = B::numbers(&database, "SELECT page_size FROM feed_head").await;
    assert_eq!(size, [3000]);
}

/// The head has its most entries, with all parts, and texts that are longer than most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_consumer_reads_the_largest_head() {
    let (source, target) = (
        harness::FreshDatabase::sqlite(),
        harness::FreshDatabase::sqlite(),
    );
    let database = Database::<Sqlite>::open(source.url()).await.unwrap();
    let publisher = Publisher {
        feed: open(&database, FeedSettings::LARGEST_PAGE).await.unwrap(),
        shutdown: CancellationToken::new(),
        database,
    };
    let most = 2 * FeedSettings::LARGEST_PAGE - 1;
    let mut tx = publisher.database.begin().await.unwrap();
    let mut ids = Vec::new();
    for n in 0..most {
        let event = NewEvent {
            title: "An order & its lines ".repeat(50),
            summary: "What was ordered \"today\" ".repeat(50),
            link: format!("order/{n}?{}", "a=1&".repeat(50)),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            ..NewEvent::new("order.placed", format!("order/{n}"), "{\"lines\":3}")
        };
        ids.push(outbox::append(&mut tx, &event).await.unwrap());
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.body.matches("<entry>").count(), most as usize);

    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<Sqlite>(target.url()).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    drain(&mut consumer, &publisher).await;
    let (mut taken, mut published) = (effects(&database).await, urns(&ids));
    taken.sort_unstable();
    published.sort_unstable();
    assert_eq!(taken, published);
}
