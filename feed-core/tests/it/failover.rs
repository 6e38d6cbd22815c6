//! The address of the database leads to another server of PostgreSQL: to a standby, which cannot be written to, and
//! then to the one that has become the primary.

use std::path::{Path, PathBuf};

use feed_core::{Database, DatabaseOptions};
use harness::server::Server;
use harness::{DEADLINE, FreshDatabase, tables, until};
use sqlx::{Executor, Postgres};

/// A primary with a standby, and an address that leads to one of them: a directory of sockets with another name.
struct Pair {
    primary: Server,
    standby: Server,
    directory: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        let primary = Server::start(&["fsync=off"], &[]).await;
        let standby = primary.standby().await;
        let directory = tempfile::tempdir().unwrap();
        let pair = Self {
            primary,
            standby,
            directory,
        };
        pair.lead_to(&pair.primary);
        pair
    }

    fn link(&self) -> PathBuf {
        self.directory.path().join("address")
    }

    fn lead_to(&self, server: &Server) {
        let new = self.directory.path().join("new");
        std::os::unix::fs::symlink(sockets(server), &new).unwrap();
        std::fs::rename(new, self.link()).unwrap();
    }

    /// The database at this address.
    fn url(&self) -> String {
        let there = sockets(&self.primary).display().to_string();
        let link = self.link().display().to_string();
        self.primary.url.replace(&there, &link)
    }
}

fn sockets(server: &Server) -> &Path {
    Path::new(server.url.split_once("host=").unwrap().1)
}

async fn write(database: &Database<Postgres>) -> sqlx::Result<()> {
    let mut tx = database.begin().await?;
    tx.execute("CREATE TEMPORARY TABLE own (id BIGINT) ON COMMIT DROP")
        .await?;
    tx.execute("SELECT nextval('test_sequence')").await?;
    tx.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_given_up_and_said_until_the_address_leads_to_the_primary() {
    let pair = Pair::start().await;
    let database = Database::<Postgres>::open(&pair.url()).await.unwrap();
    database.ready().await.unwrap();
    let sequence = "CREATE SEQUENCE test_sequence";
    database.writer().execute(sequence).await.unwrap();
    write(&database).await.unwrap();
    pair.lead_to(&pair.standby);
    pair.primary.stop("fast").await;
    let problem = until("it is not ready", async || database.ready().await.err()).await;
    assert_eq!(problem.status(), 503);
    let problem = until("it says why", async || {
        let problem = database.ready().await.err()?;
        problem.detail().contains("standby").then_some(problem)
    })
    .await;
    assert!(problem.detail().contains(&database.to_string()));
    // No session of it is left that would read what is old, or fail to write.
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    until("it is given up", async || {
        (tables::number(&pair.standby.url, sessions).await == 0).then_some(())
    })
    .await;
    tables::texts(&pair.standby.url, "SELECT pg_promote()::text").await;
    database.ready().await.unwrap();
    write(&database).await.unwrap();
}

/// The detail of the problem that keeps it from being ready, once that has this text.
async fn not_ready(database: &Database<Postgres>, text: &str) {
    until(text, async || {
        let problem = database.ready().await.err()?;
        assert_eq!(problem.status(), 503);
        problem.detail().contains(text).then_some(())
    })
    .await;
}

/// A pooler follows the address in a session for each transaction, so its old sessions are ended here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_while_the_pooler_leads_to_another_server() {
    const DIFFERENT: &str = "have to lead to the same database";
    let pair = Pair::start().await;
    let options = DatabaseOptions::new(pair.url()).direct(&pair.primary.url);
    let database = Database::<Postgres>::open(options).await.unwrap();
    let sequence = "CREATE SEQUENCE test_sequence";
    database.writer().execute(sequence).await.unwrap();
    database.ready().await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    pair.lead_to(&pair.standby);
    tables::number(&pair.primary.url, end).await;
    not_ready(&database, "leads to a standby").await;

    tables::texts(&pair.standby.url, "SELECT pg_promote()::text").await;
    // Before anything asks whether it is ready.
    until("it is noticed", async || {
        let refused = database.begin().await.err()?.to_string();
        refused.contains(DIFFERENT).then_some(())
    })
    .await;
    not_ready(&database, DIFFERENT).await;

    pair.lead_to(&pair.primary);
    tables::number(&pair.standby.url, end).await;
    until("it is noticed", async || database.begin().await.ok()).await;
    database.ready().await.unwrap();
    write(&database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_opened_for_reading_alone() {
    let pair = Pair::start().await;
    let fresh = FreshDatabase::postgres_at(&pair.primary.url).await;
    let database = Database::<Postgres>::open(fresh.url()).await.unwrap();
    database.close().await;
    let [primary, standby] =
        [&pair.primary, &pair.standby].map(|server| sockets(server).display().to_string());
    let there = fresh.url().replace(&primary, &standby);
    let options = || DatabaseOptions::new(there.clone());
    until("the database is there", async || {
        let copy = Database::<Postgres>::open(options().read_only())
            .await
            .ok()?;
        copy.ready().await.ok()
    })
    .await;
    let refused = Database::<Postgres>::open(options().without_migrations()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("is a standby"), "{refused}");
    // One that is promoted meanwhile will do.
    let sessions = "SELECT COALESCE(sum(sessions), 0)::bigint FROM pg_stat_database";
    let before = tables::number(&pair.standby.url, sessions).await;
    let promote = async {
        until("it has been tried", async || {
            (tables::number(&pair.standby.url, sessions).await > before + 2).then_some(())
        })
        .await;
        tables::texts(&pair.standby.url, "SELECT pg_promote()::text").await;
    };
    let patient = options().patience(DEADLINE);
    let (opened, ()) = tokio::join!(Database::<Postgres>::open(patient), promote);
    opened.unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn several_hosts_are_refused_with_what_to_do() {
    for url in [
        "postgres://eve:secret@one.example,two.example/orders",
        "postgres://eve:secret@one.example:5432,two.example:5432/orders?target_session_attrs=read-write",
        "postgres://eve:secret@/orders?host=one.example,two.example",
    ] {
        let refused = Database::<Postgres>::open(url).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("several hosts"), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
}
