//! Files are damaged behind the services' backs: what is recognised as damaged is not served as if
//! it were whole. SQLite has no checksums for its pages: a changed letter in a text is valid text,
//! and is not found here. PostgreSQL has them, if they were enabled when it was set up.

use std::fs;
use std::path::Path;

use harness::{Answer, Backend, Client, FreshDatabase, Service, System, load, tables, until};

use harness::server::Server;

/// Sequence and id of each entry of a feed.
type Entries = Vec<(String, String)>;

/// All entries of the feed, from the first on; the status if one of its documents is not served, 0 without an answer.
async fn walk(client: &Client) -> Result<Entries, u16> {
    let (mut read, mut at) = (Vec::new(), "start".to_owned());
    loop {
        let mut answer = get(client, &format!("feed?after={at}"))
            .await
            .ok_or(0_u16)?;
        if answer.status == 303 {
            let feed = url::Url::parse(&client.url("feed")).unwrap();
            let page = feed.join(answer.header("location")).unwrap();
            answer = get(client, page.as_str()).await.ok_or(0_u16)?;
        }
        if answer.status != 200 {
            return Err(answer.status);
        }
        let mut page: Vec<_> = answer
            .elements("event:sequence")
            .into_iter()
            .zip(answer.elements("id").into_iter().skip(1))
            .collect();
        if page.is_empty() {
            return Ok(read);
        }
        page.reverse();
        read.extend(page);
        at.clone_from(&answer.elements("event:cursor")[0]);
    }
}

async fn get(client: &Client, path: &str) -> Option<Answer> {
    client.try_send("GET", path, &[], "").await
}

/// Starts a service on a damaged file: it then serves the whole feed, or nothing. True if it is served.
async fn serves_all_or_nothing(
    order: &mut Service,
    whole: &[(String, String)],
    damage: &str,
) -> bool {
    let client = order.client.clone();
    let process = order.launch();
    // It may refuse to start, which is also right.
    let starts = until("it has started, or has not", async || {
        if process.is_gone() {
            return Some(false);
        }
        let answer = get(&client, "health/started").await?;
        (answer.status == 200).then_some(true)
    })
    .await;
    let served = match starts {
        true => walk(&client).await,
        false => Err(0),
    };
    println!(
        "{damage}: starts {starts}, {:?}",
        served.as_ref().map(Vec::len)
    );
    let is_served = match served {
        Ok(served) => {
            assert!(
                served == whole,
                "{damage}: {} of {} events",
                served.len(),
                whole.len()
            );
            true
        }
        // Without an answer, a failure of its own, or one that it expects to pass.
        Err(status) => {
            assert!(matches!(status, 0 | 500 | 503), "{damage}: {status}");
            false
        }
    };
    order.kill();
    is_served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_of_sqlite_is_not_served() {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.start().await;
    load::place_many(&order.client, 150).await;
    load::published(&order).await;
    let whole = walk(&order.client).await.unwrap();
    assert_eq!(order.stop().await, Some(0));
    let file = order.database.directory().unwrap().join("test.db");
    let good = fs::read(&file).unwrap();
    let page = 4096;
    let mut damages: Vec<(String, Vec<u8>)> = vec![
        (
            "half of it".to_owned(),
            good[..good.len() / 2 / page * page].to_vec(),
        ),
        (
            "no whole page at the end".to_owned(),
            good[..good.len() - 100].to_vec(),
        ),
        (
            "another kind of file".to_owned(),
            [b"damaged!".as_slice(), &good[8..]].concat(),
        ),
    ];
    // The head of a page contains its kind and the positions of its cells: of some twenty.
    let pages = good.len() / page;
    for number in (1..pages).step_by(1 + pages / 20) {
        let mut bad = good.clone();
        for byte in &mut bad[number * page..number * page + 8] {
            *byte ^= 0x55;
        }
        damages.push((format!("the head of page {}", number + 1), bad));
    }
    let mut served = 0;
    for (damage, bad) in &damages {
        replace(&file, bad);
        served += usize::from(serves_all_or_nothing(&mut order, &whole, damage).await);
    }
    // Most pages are those of other tables.
    assert!(served >= 5, "{served} of {}", damages.len());
    // No effect remains when the file is whole again.
    replace(&file, &good);
    order.start().await;
    assert_eq!(walk(&order.client).await.unwrap(), whole);
}

fn replace(file: &Path, content: &[u8]) {
    for rest in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(file.with_extension(rest));
    }
    fs::write(file, content).unwrap();
}

/// What follows a damaged part of the write-ahead log counts as never written: the feed is an older
/// one, and consumers that have seen more halt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_find_that_a_damaged_log_has_lost_events() {
    let mut system = System::started(Backend::Sqlite).await;
    load::place_many(&system.order.client, 40).await;
    let newest = load::published(&system.order).await;
    let lowest = "SELECT min(sequence) FROM feed_partition";
    let invoice = system.invoice.database.url().to_owned();
    until("all is taken", async || {
        (tables::number(&invoice, lowest).await >= newest).then_some(())
    })
    .await;
    system.order.kill();
    let log = system
        .order
        .database
        .directory()
        .unwrap()
        .join("test.db-wal");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 0x01;
    fs::write(&log, bytes).unwrap();
    system.order.start().await;
    let left = load::published(&system.order).await;
    assert!(left < newest, "nothing was lost: {left} of {newest}");
    until("it is halted", async || {
        let status = system.invoice.client.json("status").await?;
        status["halted"].as_str().map(drop)
    })
    .await;
}

/// A page of the log of events, with a checksum that is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_of_postgres_is_not_served() {
    let server = Server::start_with_checksums().await;
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.database = FreshDatabase::postgres_at(&server.url).await;
    order.set("DATABASE_URL", order.database.url().to_owned());
    order.start().await;
    load::place_many(&order.client, 150).await;
    load::published(&order).await;
    let whole = walk(&order.client).await.unwrap();
    tables::run(order.database.url(), "CHECKPOINT").await;
    let path = tables::texts(
        order.database.url(),
        "SELECT pg_relation_filepath('feed_event')",
    )
    .await;
    order.kill();
    server.stop("fast").await;
    let file = server.data().join(&path[0]);
    let mut bytes = fs::read(&file).unwrap();
    // The second page of several.
    bytes[8192 + 5000] ^= 0x01;
    fs::write(&file, bytes).unwrap();
    server.launch().await;
    order.start().await;
    let served = walk(&order.client).await;
    assert!(
        matches!(served, Err(500 | 503)),
        "{served:?} of {}",
        whole.len()
    );
    let log = order.process().unwrap().log();
    assert!(log.contains("invalid page"), "{log}");
}
