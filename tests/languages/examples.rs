//! The examples in other languages, publishers and consumers, while they are killed.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::pooler::Pooler;
use harness::{Backend, Client, FreshDatabase, Process, programs, tables, until};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::feed::{Running, database, publish, serve};

/// An example, and how its programs are started.
pub(crate) struct Language {
    pub(crate) directory: &'static str,
    /// A program of this name.
    pub(crate) program: Box<dyn Fn(&str) -> Command>,
    /// True if its programs take a URL of JDBC, which reaches no socket of a directory.
    jdbc: bool,
}

impl Language {
    /// Interprets copies in a directory below that of the libraries: there node looks for them.
    fn interpreted(
        directory: &'static str,
        suffix: &'static str,
        interpreter: PathBuf,
        libraries: &Path,
    ) -> Self {
        let copies = tempfile::tempdir_in(libraries).unwrap();
        for name in ["publisher", "consumer"] {
            let name = format!("{name}{suffix}");
            let from = root().join("examples").join(directory).join(&name);
            std::fs::copy(from, copies.path().join(name)).unwrap();
        }
        let program = move |name: &str| {
            let mut command = Command::new(&interpreter);
            command.arg(copies.path().join(format!("{name}{suffix}")));
            command
        };
        Self {
            directory,
            program: Box::new(program),
            jdbc: false,
        }
    }

    /// A pooler that gives databases a port of TCP, if the language needs one.
    pub(crate) async fn pooler(&self, database: &FreshDatabase) -> Option<Pooler> {
        let ignored = "ignore_startup_parameters = extra_float_digits";
        match self.jdbc {
            true => Some(Pooler::start(database.url(), "session", ignored).await),
            false => None,
        }
    }

    /// The SQL in the README.
    fn sql(&self) -> String {
        sql_for(self.directory)
    }
}

/// The SQL in the README of an example.
fn sql_for(directory: &str) -> String {
    let readme = root().join("examples").join(directory).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let block = readme.split("```sql\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

pub(crate) fn python() -> Option<Language> {
    let python = programs::tool("python3")?.get_program().into();
    let anywhere = std::env::temp_dir();
    Some(Language::interpreted("python", ".py", python, &anywhere))
}

pub(crate) fn javascript() -> Option<Language> {
    let libraries = programs::installed("javascript")?;
    Some(Language::interpreted(
        "javascript",
        ".mjs",
        "node".into(),
        &libraries,
    ))
}

pub(crate) fn go() -> Option<Language> {
    let programs = programs::installed("go")?;
    Some(Language {
        directory: "go",
        program: Box::new(move |name| Command::new(programs.join(name))),
        jdbc: false,
    })
}

pub(crate) fn java() -> Option<Language> {
    let directory = programs::installed("java")?;
    if !programs::available(&["pgbouncer"]) {
        return None;
    }
    let program = move |name: &str| {
        let mut command = Command::new("java");
        let driver = directory.join("postgresql.jar");
        let path = std::env::join_paths([&directory, &driver]).unwrap();
        let class = name[..1].to_uppercase() + &name[1..];
        command.arg("-cp").arg(path).arg(class);
        command
    };
    Some(Language {
        directory: "java",
        program: Box::new(program),
        jdbc: true,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_and_a_consumer_in_go() {
    if let Some(go) = go() {
        both_sides(&go).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_go_and_sql_in_its_readme() {
    if let Some(go) = go() {
        sql_of_its_readme(&go).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_and_a_consumer_in_java() {
    if let Some(java) = java() {
        both_sides(&java).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_java_and_sql_in_its_readme() {
    if let Some(java) = java() {
        sql_of_its_readme(&java).await;
    }
}

/// They are read as a whole.
#[test]
fn each_example_is_short() {
    for directory in [
        "python",
        "javascript",
        "java",
        "go/publisher",
        "go/consumer",
    ] {
        for file in std::fs::read_dir(root().join("examples").join(directory)).unwrap() {
            let path = file.unwrap().path();
            let suffix = path.extension().unwrap_or_default();
            if ["py", "mjs", "java", "go"]
                .iter()
                .any(|known| suffix == *known)
            {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= 140, "{} has {lines} lines", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_and_a_consumer_in_python() {
    if let Some(python) = python() {
        both_sides(&python).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_and_a_consumer_in_javascript() {
    if let Some(javascript) = javascript() {
        both_sides(&javascript).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_python_and_sql_in_its_readme() {
    if let Some(python) = python() {
        sql_of_its_readme(&python).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_javascript_and_a_function_in_its_readme() {
    if let Some(javascript) = javascript() {
        delivered(&javascript, &javascript.sql(), &["--call", "on_event"]).await;
    }
}

/// What a program of an example takes as the URL of this database, with a pooler if it has one.
pub(crate) fn url_of(database: &FreshDatabase, pooler: Option<&Pooler>) -> String {
    let Some(pooler) = pooler else {
        return database.url().to_owned();
    };
    let url = pooler.url(database.url());
    let (_, place) = url.split_once('@').unwrap();
    format!("jdbc:postgresql://{place}?user=postgres")
}

/// A shop with its feed, and the database of an accountant.
struct Both {
    orders: FreshDatabase,
    feed: Running,
    bills: FreshDatabase,
    /// Gives a database a port of TCP, where a language needs one.
    pooler: Option<Pooler>,
    log: TempDir,
}

impl Both {
    async fn new(language: &Language) -> Self {
        let orders = database(Backend::Postgres).await;
        let pooler = language.pooler(&orders).await;
        Self {
            feed: serve(&orders).await,
            orders,
            bills: database(Backend::Postgres).await,
            pooler,
            log: tempfile::tempdir().unwrap(),
        }
    }

    /// Places these orders, by a publisher that is killed half-way and started again.
    async fn publish(&self, language: &Language, first: u32, last: u32) {
        let orders = [first.to_string(), last.to_string()];
        let database = url_of(&self.orders, self.pooler.as_ref());
        let settings = [("DATABASE_URL", database.as_str())];
        let start = || {
            let mut program = (language.program)("publisher");
            Process::start_command(
                "publisher",
                program.args(&orders),
                &settings,
                self.log.path(),
            )
        };
        let mut killed = start();
        until("it has begun", async || {
            let placed = "SELECT count(*) FROM purchase WHERE id >= ";
            let placed = tables::try_number(self.orders.url(), &format!("{placed}{first}")).await;
            (placed.unwrap_or(0) > 0 || killed.is_gone()).then_some(())
        })
        .await;
        killed.kill();
        let mut again = start();
        assert_eq!(again.ended().await, Some(0), "{}", again.log());
        // There is no bill for what was placed and cancelled.
        let cancelled = format!(
            "INSERT INTO feed_outbox (event_type, subject, data)
             VALUES ('order.cancelled', 'order/{last}', '{{\"id\": \"x\", \"cents\": 1}}')"
        );
        self.orders.execute(&cancelled).await;
    }

    async fn billed(&self, last: i64) {
        let expected: Vec<String> = (1..=last).map(|order| order.to_string()).collect();
        let bills = "SELECT order_id::text FROM bill ORDER BY bill.order_id";
        until("each order has one bill", async || {
            let there = tables::try_number(self.bills.url(), "SELECT count(*) FROM bill").await;
            there.filter(|there| *there >= last)?;
            Some(())
        })
        .await;
        assert_eq!(tables::texts(self.bills.url(), bills).await, expected);
    }
}

/// A lock on a table. A consumer waits for it in the middle of what has to be one transaction.
struct Held<'a> {
    url: &'a str,
    table: &'static str,
    holder: PgConnection,
}

impl<'a> Held<'a> {
    async fn new(url: &'a str, table: &'static str) -> Self {
        until("a consumer has made its tables", async || {
            tables::try_number(url, &format!("SELECT count(*) FROM {table}")).await
        })
        .await;
        let mut holder = tables::postgres(url).await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
        holder.execute(AssertSqlSafe(lock)).await.unwrap();
        Self { url, table, holder }
    }

    async fn awaited(&self) {
        let waiting = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass",
            self.table
        );
        until("a consumer waits for the table", async || {
            (tables::number(self.url, &waiting).await > 0).then_some(())
        })
        .await;
    }

    /// Ends the statements of the consumers that were killed: they would still take effect.
    async fn release(mut self) {
        self.holder.execute(CUT).await.unwrap();
        self.holder.close().await.unwrap();
    }
}

/// Ends all connections to a database except the one that says so.
const CUT: &str = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn both_sides(language: &Language) {
    let mut both = Both::new(language).await;
    let feed = both.feed.client.url("feed");
    let start = |both: &Both| {
        let database = url_of(&both.bills, both.pooler.as_ref());
        let settings = [("DATABASE_URL", database.as_str()), ("FEED_URL", &feed)];
        let mut program = (language.program)("consumer");
        Process::start_command("consumer", &mut program, &settings, both.log.path())
    };
    let (mut one, mut another) = (start(&both), start(&both));
    for round in 0..4 {
        // Before an effect, and before the cursor moves.
        let held = match round {
            0 => Some(Held::new(both.bills.url(), "bill").await),
            3 => Some(Held::new(both.bills.url(), "feed_cursor").await),
            _ => None,
        };
        both.publish(language, 25 * round + 1, 25 * round + 25)
            .await;
        if let Some(held) = held {
            held.awaited().await;
            one.kill();
            another.kill();
            held.release().await;
            (one, another) = (start(&both), start(&both));
        }
        match round {
            1 => {
                both.feed.process.kill();
                both.feed.restart().await;
            }
            2 => {
                tables::texts(both.bills.url(), CUT).await;
                another.kill();
            }
            _ => {}
        }
    }
    both.billed(100).await;
    // Nothing comes again, and the next one does: with a string that PostgreSQL could not store.
    one.kill();
    another.kill();
    let mut last = start(&both);
    let data = r#"{"id": 101, "cents": 10100, "note": "\u0000"}"#;
    publish(&both.orders, "order/101", data).await;
    both.billed(101).await;

    // It does not read on where another feed was.
    last.kill();
    let gone = "UPDATE feed_cursor SET cursor = 'bbcdefgh.1.0190b9ab000070008000000000000001'";
    tables::run(both.bills.url(), gone).await;
    let mut ends = start(&both);
    assert_ne!(ends.ended().await, Some(0), "{}", ends.log());
    let said = "the feed is not the one that was read";
    assert!(ends.log().contains(said), "{}", ends.log());
}

async fn sql_of_its_readme(language: &Language) {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("on_event.sql");
    std::fs::write(&path, language.sql()).unwrap();
    let how = ["--type", "order.placed", "--sql", path.to_str().unwrap()];
    delivered(language, "", &how).await;
}

/// With `feed deliver` as the consumer, which executes what the README of the example has.
async fn delivered(language: &Language, before: &str, how: &[&str]) {
    let both = Both::new(language).await;
    let table = "CREATE TABLE bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);";
    both.bills.execute(&format!("{table} {before}")).await;
    let feed = both.feed.client.url("feed");
    let arguments = [
        "deliver",
        "--feed-url",
        &feed,
        "--database-url",
        both.bills.url(),
    ];
    let mut deliver = Running::start(&[&arguments, how].concat()).await;
    for round in 0..4 {
        both.publish(language, 25 * round + 1, 25 * round + 25)
            .await;
        deliver.process.kill();
        deliver.restart().await;
    }
    both.billed(100).await;
    let status: &Client = &deliver.client;
    assert_eq!(status.json("status").await.unwrap()["parked"], 0);
}

/// "In any database of yours".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sql_of_each_readme_bills_orders_on_sqlite() {
    let orders = database(Backend::Sqlite).await;
    let feed = serve(&orders).await;
    publish(&orders, "order/1", r#"{"id": 1, "cents": 100}"#).await;
    let cancelled = r#"INSERT INTO feed_outbox (event_type, subject, data)
                       VALUES ('order.cancelled', 'order/1', '{"id": 1, "cents": 100}')"#;
    orders.execute(cancelled).await;
    publish(&orders, "order/2", r#"{"id": 2, "cents": 200}"#).await;
    for directory in ["python", "java", "go"] {
        let bills = database(Backend::Sqlite).await;
        let table = "CREATE TABLE bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL)";
        bills.execute(table).await;
        let file = tempfile::tempdir().unwrap();
        let path = file.path().join("on_event.sql");
        std::fs::write(&path, sql_for(directory)).unwrap();
        let feed = feed.client.url("feed");
        let path = path.to_str().unwrap();
        let how = ["--type", "order.placed", "--sql", path];
        let arguments = [&["--database-url", bills.url()], &how[..]].concat();
        let _deliver =
            Running::start(&[&["deliver", "--feed-url", &feed], &arguments[..]].concat()).await;
        until("the last order has a bill", async || {
            let last = "SELECT count(*) FROM bill WHERE order_id = 2";
            (tables::number(bills.url(), last).await > 0).then_some(())
        })
        .await;
        let billed = "SELECT order_id || ' ' || cents FROM bill ORDER BY bill.order_id";
        assert_eq!(tables::texts(bills.url(), billed).await, ["1 100", "2 200"]);
    }
}
