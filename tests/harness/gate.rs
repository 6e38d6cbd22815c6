//! A step of the batch transaction at which one instance waits until a test opens it: a trigger
//! that waits for an advisory lock, on PostgreSQL. On SQLite a trigger can only wait until its process
//! is killed.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use crate::tables::{postgres, run, texts};
use crate::{patiently, until};

/// The advisory lock; each test has a database of its own, and so a lock of its own.
const LOCK: i64 = 4711;

/// A step of the batch transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its name in a table of results.
    pub name: &'static str,
    /// The table that is written …
    pub table: &'static str,
    /// … and how: `BEFORE INSERT`, or `CONSTRAINT` for a trigger that runs inside `COMMIT`.
    pub when: &'static str,
}

/// Every statement of a batch, and the commit.
pub const STEPS: &[Step] = &[
    step("advance", "feed_partition", "BEFORE UPDATE OF sequence"),
    step("advanced", "feed_partition", "AFTER UPDATE OF sequence"),
    step("claim", "feed_claim", "BEFORE INSERT"),
    step("claimed", "feed_claim", "AFTER INSERT"),
    step(
        "reserve a number",
        "invoice_counter",
        "BEFORE INSERT OR UPDATE",
    ),
    step("invoice", "invoice", "BEFORE INSERT"),
    step("lines", "invoice_line", "BEFORE INSERT"),
    step("credit", "invoice", "BEFORE UPDATE"),
    step("pass over", "feed_skip", "BEFORE INSERT"),
    step("park", "feed_parked", "BEFORE INSERT"),
    step("parked", "feed_parked", "AFTER INSERT"),
    step("COMMIT", "feed_claim", "CONSTRAINT"),
];

const fn step(name: &'static str, table: &'static str, when: &'static str) -> Step {
    Step { name, table, when }
}

/// A closed gate. It opens when it is dropped, too.
#[derive(Debug)]
pub struct Gate {
    url: String,
    holder: PgConnection,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Gate {
    /// Stops the instance with this `application_name` at the step.
    pub async fn close(url: &str, step: Step, application: &str) -> Self {
        let mut holder = postgres(url).await;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut holder)
            .await
            .expect("a free lock");
        let Step { table, when, .. } = step;
        let (kind, when, deferred) = match when {
            "CONSTRAINT" => (
                "CONSTRAINT",
                "AFTER INSERT",
                "DEFERRABLE INITIALLY DEFERRED",
            ),
            when => ("", when, ""),
        };
        let sql = format!(
            "CREATE FUNCTION test_gate() RETURNS trigger LANGUAGE plpgsql
             SET lock_timeout = 0 AS $$ BEGIN
                 IF current_setting('application_name') = '{application}' THEN
                     PERFORM pg_advisory_lock_shared({LOCK});
                     PERFORM pg_advisory_unlock_shared({LOCK});
                 END IF;
                 RETURN COALESCE(NEW, OLD);
             END $$;
             CREATE {kind} TRIGGER test_gate {when} ON {table} {deferred}
                 FOR EACH ROW EXECUTE FUNCTION test_gate()"
        );
        run(url, &sql).await;
        let url = url.to_owned();
        Self { url, holder }
    }

    /// Waits until an instance waits at the gate.
    pub async fn waiting(&self) {
        patiently("an instance waits at the gate", async || {
            let waiting = "SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            (!texts(&self.url, waiting).await.is_empty()).then_some(())
        })
        .await;
    }

    /// Lets all instances continue from now on.
    pub async fn open(self) {
        self.holder.close().await.expect("a close");
    }
}

/// The body of a trigger on SQLite at which a transaction waits until its process is killed.
pub const FOR_EVER: &str = "SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                                    SELECT count(*) FROM n)";

/// Waits until a transaction holds the SQLite file at `url` for longer than so many milliseconds: it
/// waits at a trigger.
///
/// # Panics
///
/// There is no such file, or none does in time.
pub async fn held_on_sqlite(url: &str, milliseconds: u32) {
    until("a transaction waits at the gate", async || {
        let mut connection = SqliteConnection::connect(url).await.expect("a file");
        let timeout = AssertSqlSafe(format!("PRAGMA busy_timeout = {milliseconds}"));
        connection.execute(timeout).await.expect("a timeout");
        let begun = connection.execute("BEGIN IMMEDIATE; ROLLBACK").await;
        begun.is_err().then_some(())
    })
    .await;
}
