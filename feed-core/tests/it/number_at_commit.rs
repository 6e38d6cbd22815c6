//! On PostgreSQL an event that arrives alone is numbered inside its own COMMIT. Whatever makes that doubtful leaves it
//! to the sequencer, and never delays or fails the change itself.

use std::time::Duration;

use harness::FreshDatabase;
use sqlx::{Connection, Executor, PgConnection, Postgres};
use tokio::time::timeout;

use crate::support::{Publisher, Testable, event};

const APPEND: &str = "INSERT INTO feed_outbox (event_type, subject, title, summary, link, data)
                      VALUES ('order.placed', 'order/1', 'One', 'First', 'order/1', '{\"n\": 1}')";

/// A feed whose sequencer does not run, so only commits number.
struct Scene {
    _database: FreshDatabase,
    publisher: Publisher<Postgres>,
    client: PgConnection,
}

impl Scene {
    async fn new() -> Self {
        let database = FreshDatabase::postgres().await;
        let publisher = Publisher::open(database.url()).await;
        // The feed was not made within the last 10 ms, which alone would leave an event to the sequencer.
        let before = "UPDATE feed_head SET updated = updated - INTERVAL '1 second'";
        Postgres::run(&publisher.database, before).await;
        let client = PgConnection::connect(database.url()).await.unwrap();
        Self {
            _database: database,
            publisher,
            client,
        }
    }

    async fn other(&self) -> PgConnection {
        PgConnection::connect(self._database.url()).await.unwrap()
    }

    /// Runs one statement after the other, each in a message of its own.
    async fn run(&mut self, statements: &[&str]) {
        for sql in statements {
            let done = self
                .client
                .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(*sql)));
            let done = timeout(Duration::from_secs(30), done).await;
            done.expect("the client is not delayed").expect(sql);
        }
    }

    /// Events with and without a sequence.
    async fn numbered(&self) -> [i64; 2] {
        let counts = "SELECT count(*) FROM feed_event UNION ALL SELECT count(*) FROM feed_outbox";
        let counts = Postgres::numbers(&self.publisher.database, counts).await;
        counts.try_into().unwrap()
    }

    /// The sequencer numbers the rest, without a hole.
    async fn the_rest_is_numbered(&self, events: i64) {
        let cursor = self.publisher.feed.publish().await.unwrap();
        assert_eq!(cursor.sequence, events);
        assert_eq!(self.numbered().await, [events, 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_arrives_alone_is_numbered_in_its_commit() {
    let mut scene = Scene::new().await;
    let id = scene.publisher.commit("order/1").await;
    assert_eq!(scene.numbered().await, [1, 0]);
    // So is one of a program that inserts by SQL.
    scene
        .run(&["UPDATE feed_head SET updated = updated - INTERVAL '1 second'"])
        .await;
    scene
        .run(&["BEGIN", APPEND, APPEND, " end TRANSACTION ;"])
        .await;
    assert_eq!(scene.numbered().await, [3, 0]);
    scene.publisher.feed.publish().await.unwrap();
    let head = scene.publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), [3, 2, 1]);
    assert!(head.body.contains(&id.urn()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rolled_back_leaves_no_hole() {
    let mut scene = Scene::new().await;
    // It fails after the event has been numbered.
    scene
        .run(&[
            "CREATE TABLE checked (id BIGINT PRIMARY KEY, parent BIGINT REFERENCES checked DEFERRABLE INITIALLY DEFERRED)",
            "BEGIN",
            APPEND,
            "INSERT INTO checked VALUES (1, 2)",
        ])
        .await;
    scene.client.execute("COMMIT").await.unwrap_err();
    assert_eq!(scene.numbered().await, [0, 0]);
    scene.run(&["BEGIN", APPEND, "COMMIT"]).await;
    assert_eq!(scene.numbered().await, [1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_doubtful_is_left_to_the_sequencer() {
    for (case, statements) in [
        (
            "its snapshot is older than the lock",
            &["BEGIN ISOLATION LEVEL REPEATABLE READ", APPEND, "COMMIT"][..],
        ),
        (
            "the same",
            &["BEGIN ISOLATION LEVEL SERIALIZABLE", APPEND, "COMMIT"],
        ),
        (
            "a reader may see what is lost",
            &[
                "BEGIN",
                "SET LOCAL synchronous_commit = off",
                APPEND,
                "COMMIT",
            ],
        ),
        (
            "the same",
            &[
                "BEGIN",
                "SET LOCAL synchronous_commit = local",
                APPEND,
                "COMMIT",
            ],
        ),
        (
            "COMMIT reads the cursor to its end afterwards",
            &[
                "BEGIN",
                "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                APPEND,
                "COMMIT",
            ],
        ),
        ("a client may delay the end", &[APPEND]),
        (
            "so may a second statement",
            &["BEGIN", APPEND, "COMMIT AND CHAIN", "SELECT 1", "ROLLBACK"],
        ),
    ] {
        let mut scene = Scene::new().await;
        scene.run(statements).await;
        assert_eq!(scene.numbered().await, [0, 1], "{case}: {statements:?}");
        scene.the_rest_is_numbered(1).await;
    }
}

/// A client can have deferred triggers run before its commit, and then do nothing for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_holds_the_lock_of_the_head() {
    let mut scene = Scene::new().await;
    scene
        .run(&["BEGIN", APPEND, "SET CONSTRAINTS ALL IMMEDIATE", APPEND])
        .await;
    let mut other = scene.other().await;
    let head = sqlx::query("SELECT FROM feed_head FOR UPDATE SKIP LOCKED");
    assert_eq!(head.fetch_all(&mut other).await.unwrap().len(), 1);
    scene.publisher.commit("order/2").await;
    assert_eq!(scene.numbered().await, [1, 0]);
    scene.run(&["COMMIT"]).await;
    scene.the_rest_is_numbered(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_no_other_session() {
    for lock in [
        "SELECT FROM feed_head FOR UPDATE",
        "UPDATE feed_outbox SET title = 'Corrected'",
        "LOCK TABLE feed_event IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE feed_head IN ACCESS EXCLUSIVE MODE",
    ] {
        let mut scene = Scene::new().await;
        scene.publisher.commit_unnumbered(&event("order/2")).await;
        // Not right before the next event, which would be left to the sequencer without a look at the locks.
        scene
            .run(&["SELECT setval(pg_get_serial_sequence('feed_outbox', 'position'), 100)"])
            .await;
        let mut other = scene.other().await;
        let mut tx = other.begin().await.unwrap();
        tx.execute(lock).await.unwrap();
        scene.run(&["BEGIN", APPEND, "COMMIT"]).await;
        tx.rollback().await.unwrap();
        assert_eq!(scene.numbered().await, [0, 2], "{lock}");
        scene.the_rest_is_numbered(2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_numbering_fails_no_commit() {
    let mut scene = Scene::new().await;
    scene
        .run(&[
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
            "CREATE TRIGGER fail BEFORE INSERT ON feed_event FOR EACH ROW EXECUTE FUNCTION fail()",
            "BEGIN",
            APPEND,
            "COMMIT",
        ])
        .await;
    assert_eq!(scene.numbered().await, [0, 1]);
    scene.run(&["DROP TRIGGER fail ON feed_event"]).await;
    scene.the_rest_is_numbered(1).await;
    // The function finds its tables in the schema of before.
    scene
        .run(&[
            "ALTER SCHEMA public RENAME TO moved",
            "SET search_path = moved",
            "BEGIN",
            APPEND,
            "COMMIT",
            "ALTER SCHEMA moved RENAME TO public",
        ])
        .await;
    assert_eq!(scene.numbered().await, [1, 1]);
}

/// Many at once cost less in one transaction of the sequencer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_are_left_to_the_sequencer() {
    let mut scene = Scene::new().await;
    let eleven = format!("{APPEND}; ").repeat(11);
    scene.run(&["BEGIN", &eleven, "COMMIT"]).await;
    assert_eq!(scene.numbered().await, [0, 11]);
    scene.the_rest_is_numbered(11).await;
    // Right behind one that waits for the sequencer.
    scene
        .run(&["UPDATE feed_head SET updated = updated - INTERVAL '1 second'"])
        .await;
    scene.publisher.commit_unnumbered(&event("order/2")).await;
    scene.run(&["BEGIN", APPEND, "COMMIT"]).await;
    assert_eq!(scene.numbered().await, [11, 2]);
    scene.the_rest_is_numbered(13).await;
    // Right after a numbering.
    scene
        .run(&[
            "BEGIN",
            "UPDATE feed_head SET updated = clock_timestamp() + INTERVAL '1 hour'",
            APPEND,
            "COMMIT",
        ])
        .await;
    assert_eq!(scene.numbered().await, [13, 1]);
}

/// A program that may only insert; and temporary tables of its own change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_to_insert_is_enough() {
    let mut scene = Scene::new().await;
    let role = format!("writer_{}", outbox_role());
    let (create, grant, set) = (
        format!("CREATE ROLE {role}"),
        format!("GRANT INSERT ON feed_outbox TO {role}"),
        format!("SET ROLE {role}"),
    );
    scene
        .run(&[
            &create,
            &grant,
            &set,
            "CREATE TEMPORARY TABLE feed_head (sequence BIGINT)",
            "BEGIN",
            APPEND,
            "COMMIT",
        ])
        .await;
    assert_eq!(scene.numbered().await, [1, 0]);
    let drop = format!("DROP ROLE {role}");
    scene
        .run(&[
            "RESET ROLE",
            "DROP TABLE pg_temp.feed_head",
            &format!("DROP OWNED BY {role}"),
            &drop,
        ])
        .await;
}

/// A table of its own, with a column whose type is its own: reading that would call a function of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_runs_nothing_with_the_rights_of_the_owner() {
    let mut scene = Scene::new().await;
    let role = format!("writer_{}", outbox_role());
    scene
        .run(&[
            "CREATE TABLE ran (as_role TEXT)",
            "GRANT INSERT ON ran TO PUBLIC",
            &format!("CREATE ROLE {role}"),
            &format!("GRANT INSERT ON feed_outbox TO {role}"),
        ])
        .await;
    let attack = [
        &format!("SET ROLE {role}"),
        "CREATE TYPE pg_temp.number AS (x INT)",
        "CREATE FUNCTION pg_temp.to_number(pg_temp.number) RETURNS BIGINT LANGUAGE plpgsql
         AS $$ BEGIN INSERT INTO public.ran VALUES (current_user); RETURN 1; END $$",
        "CREATE CAST (pg_temp.number AS BIGINT) WITH FUNCTION pg_temp.to_number(pg_temp.number) AS IMPLICIT",
        "CREATE TEMPORARY TABLE own (position pg_temp.number)",
    ];
    let attach = "CREATE TRIGGER own AFTER INSERT ON own
                  FOR EACH ROW EXECUTE FUNCTION public.feed_number_at_commit()";
    let insert = "INSERT INTO own VALUES (ROW(1))";
    scene.run(&attack).await;
    scene.client.execute(attach).await.unwrap_err();
    // A database that was restored without its rights.
    let restored = "GRANT EXECUTE ON FUNCTION feed_number_at_commit() TO PUBLIC";
    let again = format!("SET ROLE {role}");
    scene
        .run(&["RESET ROLE", restored, &again, attach, insert, "RESET ROLE"])
        .await;
    let ran = Postgres::texts(&scene.publisher.database, "SELECT as_role FROM ran").await;
    assert!(ran.is_empty(), "{ran:?}");
    scene
        .run(&[
            &format!("SET ROLE {role}"),
            "BEGIN",
            APPEND,
            "COMMIT",
            "RESET ROLE",
        ])
        .await;
    assert_eq!(scene.numbered().await, [1, 0]);
    scene
        .run(&[
            &format!("DROP OWNED BY {role} CASCADE"),
            &format!("DROP ROLE {role}"),
        ])
        .await;
}

/// Roles belong to the whole server.
fn outbox_role() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}
