//! One side of feed-core on one database, with nothing else compiled in.
#![cfg(test)]

use feed_core::{Backend, Database};

/// An unused database of this kind, and its directory.
#[cfg(feature = "sqlite")]
async fn sqlite() -> (Database<sqlx::Sqlite>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("side.db").display());
    (Database::open(&url).await.unwrap(), directory)
}

/// `TEST_POSTGRES_URL` names a server where databases can be created.
#[cfg(feature = "postgres")]
async fn postgres() -> Database<sqlx::Postgres> {
    use std::time::{SystemTime, UNIX_EPOCH};

    use sqlx::{Connection, Executor, PgConnection};

    let server = std::env::var("TEST_POSTGRES_URL").unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let name = format!("side_{}_{}", std::process::id(), now.as_nanos());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.unwrap();
    let (address, parameters) = server.split_once('?').unwrap_or((&server, ""));
    let (address, _) = address.rsplit_once('/').unwrap();
    let url = format!("{address}/{name}?{parameters}");
    Database::open(&url).await.unwrap()
}

macro_rules! on_each_database {
    ($test:ident) => {
        mod $test {
            #[cfg(feature = "sqlite")]
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let (database, _directory) = crate::sqlite().await;
                super::$test(database).await;
            }

            #[cfg(feature = "postgres")]
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                super::$test(crate::postgres().await).await;
            }
        }
    };
}

#[cfg(feature = "publish")]
mod publish {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use feed_core::{CancellationToken, Feed, FeedSettings, NewEvent, outbox};
    use tower::ServiceExt;

    use super::*;

    on_each_database! { an_event_is_in_the_feed }

    async fn an_event_is_in_the_feed<B: Backend>(database: Database<B>) {
        let base = "https://shop.example/".parse().unwrap();
        let settings = FeedSettings::new(base, "Orders");
        let feed = Feed::open(database.clone(), settings, CancellationToken::new());
        let feed = feed.await.unwrap();
        let mut tx = database.begin().await.unwrap();
        let placed = NewEvent::new("order.placed", "order/17", "{}");
        let id = outbox::append(&mut tx, &placed).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(feed.publish().await.unwrap().sequence, 1);
        let request = Request::get("/feed").body(Body::empty()).unwrap();
        let answer = feed.router::<()>().oneshot(request).await.unwrap();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let document = String::from_utf8(body.to_vec()).unwrap();
        assert!(document.contains(&id.urn()), "{document}");
        assert_eq!(feed.status().await.unwrap().sequence, 1);
    }
}

#[cfg(feature = "consume")]
mod consume {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use feed_core::{Batch, CancellationToken, Consumer, Effect, EffectError, Subscription};
    use sqlx::Transaction;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A feed of another publisher, without sequences.
    const FEED: &str = "<feed xmlns='http://www.w3.org/2005/Atom'><id>f</id><title>f</title>\
        <updated>2026-01-02T00:00:00Z</updated>\
        <entry><id>e2</id><title>t</title><updated>2026-01-02T00:00:00Z</updated><content>2</content></entry>\
        <entry><id>e1</id><title>t</title><updated>2026-01-01T00:00:00Z</updated><content>1</content></entry>\
        </feed>";

    /// Counts the events.
    struct Counting(Arc<AtomicUsize>);

    impl<B: Backend> Effect<B> for Counting {
        async fn apply(
            &self,
            _: &mut Transaction<'_, B>,
            events: &Batch<'_>,
        ) -> Result<(), EffectError> {
            self.0.fetch_add(events.len(), Ordering::SeqCst);
            Ok(())
        }
    }

    /// Answers each request with [`FEED`]; returns the feed's address.
    async fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                let length = FEED.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/atom+xml\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(FEED.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}/feed")
    }

    on_each_database! { each_event_has_one_effect }

    async fn each_event_has_one_effect<B: Backend>(database: Database<B>) {
        let feed = serve().await.parse().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let effect = Counting(Arc::clone(&count));
        let subscription = Subscription::new("others", feed);
        let consumer = Consumer::open(database, subscription, effect, CancellationToken::new());
        let mut consumer = consumer.await.unwrap();
        for _ in 0..3 {
            consumer.poll_once().await.unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}
