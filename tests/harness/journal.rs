//! What a real run has committed, step by step: a table beside those of a service, filled by triggers. `harness::model`
//! replays it.
//!
//! Triggers of one row fire in the order in which the row is locked, so that the steps of one partition are in the order of
//! their commits. Of an order across partitions nothing is known. A publisher's transactions are in the order of their
//! commits, since each takes a lock at its end.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::tables::{is_postgres, run, texts};

/// What a transaction has done to one row.
#[derive(Debug, Clone)]
pub struct Record {
    /// What was done.
    pub what: String,
    /// To which row, and how it was and is.
    pub data: Value,
    /// The process that did it. SQLite does not know it.
    pub process: Option<String>,
    /// The same for all of one transaction.
    pub transaction: i64,
}

impl Record {
    /// A text of `data`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.data[name].as_str()
    }

    /// A number of `data`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.data[name].as_i64()
    }

    /// A truth of `data`: 1 on SQLite.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.data[name] == true || self.data[name] == 1
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.process.as_deref().unwrap_or("a process");
        write!(
            f,
            "{process} in transaction {}: {}",
            self.transaction, self.what
        )?;
        for (name, value) in self.data.as_object().into_iter().flatten() {
            match self.data.get(format!("{name}_was")) {
                Some(was) if was != value => write!(f, ", {name} {was} -> {value}")?,
                None if !name.ends_with("_was") => write!(f, ", {name} {value}")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// An event of a feed.
#[derive(Debug, Clone)]
pub struct Published {
    /// The epoch of the feed.
    pub feed: String,
    /// Its number there.
    pub sequence: i64,
    /// Its id, as a consumer sees it.
    pub id: String,
    /// What it is about.
    pub subject: String,
}

const TABLE_ON_POSTGRES: &str = "
    CREATE TABLE test_journal (
        n       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        what    TEXT NOT NULL,
        data    JSONB NOT NULL,
        process TEXT DEFAULT current_setting('application_name'),
        tx      BIGINT DEFAULT txid_current()
    );
    CREATE FUNCTION test_journal() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        data JSONB;
    BEGIN
        EXECUTE 'SELECT jsonb_build_object(' || TG_ARGV[1] || ')' INTO data USING OLD, NEW;
        INSERT INTO test_journal (what, data) VALUES (TG_ARGV[0], data);
        RETURN NULL;
    END $$;";

const TABLE_ON_SQLITE: &str = "
    CREATE TABLE test_journal (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, data TEXT NOT NULL);";

/// A row of `feed_partition`, as it was and is.
const PARTITION: &str = "
    'partition', NEW.partition, 'ended', OLD.lease_until < @NOW@,
    'owner_was', OLD.lease_owner, 'lease_was', OLD.lease_epoch, 'feed_was', OLD.epoch, 'sequence_was', OLD.sequence,
    'owner', NEW.lease_owner, 'lease', NEW.lease_epoch, 'feed', NEW.epoch, 'sequence', NEW.sequence";

/// Puts the triggers on the tables of a consumer.
///
/// # Panics
///
/// The tables are not there.
pub async fn of_consumer(url: &str, service: &str) {
    let table = match service {
        "invoice" => "invoice",
        _ => "shipment",
    };
    let on_postgres = is_postgres(url);
    let mut sql = match on_postgres {
        true => TABLE_ON_POSTGRES.to_owned(),
        false => TABLE_ON_SQLITE.to_owned(),
    };
    let columns = "lease_owner, lease_epoch, epoch, sequence";
    let moves = format!("UPDATE OF {columns} ON feed_partition");
    if on_postgres {
        // Evaluated in the snapshot of the statement: what it has seen of a pause, not what has committed since.
        sql += "
            CREATE FUNCTION test_paused(s TEXT) RETURNS BOOLEAN STABLE LANGUAGE plpgsql AS $$ BEGIN
                RETURN EXISTS (SELECT FROM feed_subscription WHERE name = s AND paused_at IS NOT NULL);
            END $$;";
        let fields = PARTITION.replace("@NOW@", "clock_timestamp()");
        for (name, when, paused) in [
            ("running", "NOT test_paused(NEW.subscription)", "FALSE"),
            ("paused", "test_paused(NEW.subscription)", "TRUE"),
        ] {
            let fields = format!("{fields}, 'paused', {paused}");
            sql += &trigger(true, name, &moves, when, "partition", &fields);
        }
    } else {
        let fields = PARTITION.replace("@NOW@", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')");
        let paused = "EXISTS (SELECT 1 FROM feed_subscription
                              WHERE name = NEW.subscription AND paused_at IS NOT NULL)";
        let fields = format!("{fields}, 'paused', {paused}");
        sql += &trigger(false, "moves", &moves, "TRUE", "partition", &fields);
    }
    let event = "'id', NEW.event_id, 'subject', NEW.subject";
    let effect = "'subject', 'order/' || NEW.order_id";
    for (name, on, what, fields) in [
        ("claim", "INSERT ON feed_claim".to_owned(), "claim", event),
        ("park", "INSERT ON feed_parked".to_owned(), "park", event),
        ("skip", "INSERT ON feed_skip".to_owned(), "effect", event),
        ("effect", format!("INSERT ON {table}"), "effect", effect),
        ("change", format!("UPDATE ON {table}"), "effect", effect),
    ] {
        sql += &trigger(on_postgres, name, &on, "TRUE", what, fields);
    }
    run(url, &sql).await;
}

/// Puts the triggers on the tables of a publisher on PostgreSQL.
///
/// # Panics
///
/// The tables are not there.
pub async fn of_publisher(url: &str) {
    let mut sql = TABLE_ON_POSTGRES.to_owned();
    // Who has the lock commits next. It is taken in COMMIT, and so never waits for a client.
    sql += "
        CREATE TABLE test_commit (n BIGINT GENERATED ALWAYS AS IDENTITY, tx BIGINT PRIMARY KEY);
        CREATE FUNCTION test_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock(20250621);
            INSERT INTO test_commit (tx) VALUES (NEW.tx) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER test_commit AFTER INSERT ON test_journal
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_commit();";
    let appended = "'position', NEW.position, 'id', NEW.id, 'subject', NEW.subject";
    let numbered = "'id', NEW.id, 'sequence', NEW.sequence";
    let head = "'sequence_was', OLD.sequence, 'sequence', NEW.sequence";
    for (what, on, fields) in [
        ("append", "INSERT ON feed_outbox", appended),
        ("number", "INSERT ON feed_event", numbered),
        ("head", "UPDATE OF sequence ON feed_head", head),
    ] {
        sql += &trigger(true, what, on, "TRUE", what, fields);
    }
    run(url, &sql).await;
}

/// A trigger that records `what`, with these fields of `OLD` and `NEW`.
fn trigger(
    on_postgres: bool,
    name: &str,
    on: &str,
    when: &str,
    what: &str,
    fields: &str,
) -> String {
    let head = format!("CREATE TRIGGER test_journal_{name} AFTER {on} FOR EACH ROW WHEN ({when})");
    if on_postgres {
        let fields = fields.replace("OLD.", "($1).").replace("NEW.", "($2).");
        let fields = fields.replace('\'', "''");
        return format!("{head} EXECUTE FUNCTION test_journal('{what}', '{fields}');");
    }
    format!(
        "{head} BEGIN
             INSERT INTO test_journal (what, data) VALUES ('{what}', json_object({fields}));
         END;"
    )
}

/// What was committed, in order.
///
/// # Panics
///
/// There is no journal.
pub async fn read(url: &str) -> Vec<Record> {
    let sql = match is_postgres(url) {
        false => "SELECT json_object('what', what, 'data', json(data)) FROM test_journal ORDER BY n",
        true => {
            "SELECT jsonb_build_object('what', what, 'data', data, 'process', process, 'tx', tx)::text
             FROM test_journal ORDER BY n"
        }
    };
    let mut records = rows(url, sql).await;
    if !is_postgres(url) {
        number_transactions(&mut records);
    }
    records
}

/// What a publisher has committed, in the order of the commits.
///
/// # Panics
///
/// As [`read`].
pub async fn read_publisher(url: &str) -> Vec<Record> {
    let sql = "SELECT jsonb_build_object('what', what, 'data', data, 'process', process, 'tx', tx)::text
               FROM test_journal JOIN test_commit USING (tx) ORDER BY test_commit.n, test_journal.n";
    rows(url, sql).await
}

async fn rows(url: &str, sql: &str) -> Vec<Record> {
    let record = |row: &String| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        Record {
            what: row["what"].as_str().unwrap_or_default().to_owned(),
            data: row["data"].clone(),
            process: row["process"].as_str().map(str::to_owned),
            transaction: row["tx"].as_i64().unwrap_or_default(),
        }
    };
    texts(url, sql).await.iter().map(record).collect()
}

/// SQLite knows no numbers of transactions. A batch moves each of its partitions to the same place before it claims.
fn number_transactions(records: &mut [Record]) {
    let mut transaction = 0;
    let mut moved = BTreeSet::new();
    let mut to = None;
    for record in records {
        if record.what == "partition" {
            let place = Some(record.data["sequence"].clone());
            if to != place || !moved.insert(record.number("partition")) {
                transaction += 1;
                moved = BTreeSet::from([record.number("partition")]);
            }
            to = place;
        } else {
            to = None;
        }
        record.transaction = transaction;
    }
}

/// The events of a publisher.
///
/// # Panics
///
/// The database does not answer.
pub async fn published(url: &str) -> Vec<Published> {
    let json = match is_postgres(url) {
        true => "jsonb_build_object",
        false => "json_object",
    };
    let sql = format!(
        "SELECT CAST({json}('feed', epoch, 'sequence', feed_event.sequence, 'id', id, 'subject', subject) AS TEXT)
         FROM feed_event, feed_head ORDER BY feed_event.sequence"
    );
    let rows = texts(url, &sql).await;
    let event = |row: &String| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Published {
            feed: text("feed"),
            sequence: row["sequence"].as_i64().unwrap_or_default(),
            id: format!("urn:uuid:{}", text("id")),
            subject: text("subject"),
        }
    };
    rows.iter().map(event).collect()
}
