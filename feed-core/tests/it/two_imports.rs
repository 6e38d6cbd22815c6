//! Of two imports into one database at once, one is whole, and the other one is refused.

use feed_core::Database;
use feed_core::transfer::{Import, TransferError, export, import};
use harness::FreshDatabase;
use sqlx::Sqlite;

use crate::support::{Publisher, Testable};

harness::on_both_databases! { the_second_of_two_imports_is_refused }

async fn the_second_of_two_imports_is_refused<B: Testable>(url: &str) {
    let source = FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    publisher.publish(500).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feed.jsonl");
    export(&publisher.database, &[], &file).await.unwrap();
    let database = Database::<B>::open(url).await.unwrap();
    let (one, other) = tokio::join!(
        import(&database, &[], &file, Import::ForGood),
        import(&database, &[], &file, Import::ForGood)
    );
    match (one, other) {
        (Ok(_), Err(TransferError::Used(_) | TransferError::Twice(_)))
        | (Err(TransferError::Used(_) | TransferError::Twice(_)), Ok(_)) => {}
        both => panic!("{both:?}"),
    }
    let events = B::numbers(&database, "SELECT count(*) FROM feed_event").await;
    assert_eq!(events, [500]);
}
