//! `feed deliver`, with SQL of a team in a database of that team.

use std::path::Path;

use harness::{Backend, FreshDatabase, tables, until};
use tempfile::TempDir;

use crate::feed::{Running, database, publish, run, run_with, serve};

harness::on_both_backends! {
    each_event_has_one_effect_whatever_dies
    an_event_that_the_sql_refuses_is_parked_and_retried
    other_types_are_passed_over
    sql_that_cannot_work_is_refused_at_the_start
    instances_that_do_not_deliver_the_same_are_named
    what_would_be_delivered_again_needs_the_promise_that_it_does_no_harm
    a_pause_is_ended_without_the_sql
    a_command_says_that_the_database_was_never_used
    a_second_subscription_to_a_feed_is_named_at_its_first_start
}

/// A team with a table of bills, and the feed of orders that it follows.
pub(crate) struct Team {
    pub(crate) orders: FreshDatabase,
    pub(crate) feed: Running,
    pub(crate) bills: FreshDatabase,
    directory: TempDir,
}

impl Team {
    pub(crate) async fn new(backend: Backend) -> Self {
        let orders = database(backend).await;
        let bills = database(backend).await;
        bills
            .execute(
                "CREATE TABLE bill (order_id INTEGER NOT NULL, cents INTEGER CHECK (cents > 0))",
            )
            .await;
        Self {
            feed: serve(&orders).await,
            orders,
            bills,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes the SQL to a file.
    pub(crate) fn sql(&self, text: &str) -> String {
        let path = self.directory.path().join("on_event.sql");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A bill for each order, in the SQL of the database.
    pub(crate) fn bill(&self) -> String {
        let number = |name: &str| match self.bills.url().starts_with("postgres") {
            true => format!("(:data ->> '{name}')::int"),
            false => format!(":data ->> '{name}'"),
        };
        self.sql(&format!(
            "INSERT INTO bill (order_id, cents) VALUES ({}, {})",
            number("id"),
            number("cents")
        ))
    }

    pub(crate) fn arguments<'a>(&'a self, feed: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec![
            "deliver",
            "--feed-url",
            feed,
            "--database-url",
            self.bills.url(),
        ];
        arguments.extend(more);
        arguments
    }

    pub(crate) async fn deliver(&self, more: &[&str]) -> Running {
        let feed = self.feed.client.url("feed");
        Running::start(&self.arguments(&feed, more)).await
    }

    pub(crate) async fn place(&self, id: i64, cents: i64) {
        let data = format!("{{\"id\": {id}, \"cents\": {cents}}}");
        publish(&self.orders, &format!("order/{id}"), &data).await;
    }

    async fn bills(&self) -> Vec<String> {
        let sql = "SELECT CAST(order_id AS TEXT) FROM bill ORDER BY bill.order_id";
        tables::texts(self.bills.url(), sql).await
    }

    pub(crate) async fn billed(&self, orders: std::ops::RangeInclusive<i64>) {
        let expected: Vec<String> = orders.map(|order| order.to_string()).collect();
        until("each order has one bill", async || {
            (self.bills().await == expected).then_some(())
        })
        .await;
    }
}

/// The bills have no key: a second effect would be a second bill.
async fn each_event_has_one_effect_whatever_dies(backend: Backend) {
    let mut team = Team::new(backend).await;
    let file = team.bill();
    let mut one = team.deliver(&["--sql", &file]).await;
    let mut another = team.deliver(&["--sql", &file]).await;
    for order in 1..=60 {
        team.place(order, 100).await;
        match order {
            10 | 40 => one.process.kill(),
            20 | 50 => one.restart().await,
            30 => {
                team.feed.process.kill();
                team.feed.restart().await;
            }
            45 => assert_eq!(another.process.stop("TERM").await, Some(0)),
            _ => {}
        }
    }
    team.billed(1..=60).await;
    // All were taken, and none comes again.
    let status = one.client.json("status").await.unwrap();
    assert_eq!(status["sequence"], 60, "{status}");
    assert_eq!(status["parked"], 0, "{status}");
}

/// Another name begins anew: it may be a slip.
async fn a_second_subscription_to_a_feed_is_named_at_its_first_start(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let one = team.deliver(&["--sql", &file]).await;
    team.place(1, 100).await;
    team.billed(1..=1).await;
    let mut other = team
        .deliver(&["--sql", &file, "--subscription", "other"])
        .await;
    until("it has its effects again", async || {
        (team.bills().await == ["1", "1"]).then_some(())
    })
    .await;
    let warnings = |running: &Running| running.process.log().matches("is new and begins").count();
    assert_eq!((warnings(&one), warnings(&other)), (0, 1));
    let log = other.process.log();
    let said = "the subscription other is new and begins at the first event of the feed, which the subscription feed in";
    assert!(log.contains(said), "{log}");
    other.process.kill();
    other.restart().await;
    assert_eq!(warnings(&other), 1);
    // That of another feed is of no concern.
    let orders = database(backend).await;
    let feed = serve(&orders).await;
    let url = feed.client.url("feed");
    let third = ["--sql", &file, "--subscription", "third"];
    let third = Running::start(&team.arguments(&url, &third)).await;
    assert_eq!(warnings(&third), 0);
}

#[tokio::test]
async fn the_help_has_no_comparison_which_cannot_work() {
    for arguments in [&["deliver", "--help"][..], &["deliver", "-h"]] {
        let (_, help, _) = run(arguments).await;
        assert!(
            help.contains("\n  replay ") && !help.contains("\n  reconcile"),
            "{help}"
        );
    }
}

async fn an_event_that_the_sql_refuses_is_parked_and_retried(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let deliver = team.deliver(&["--sql", &file]).await;
    team.place(1, 100).await;
    team.place(2, 0).await;
    team.place(3, 100).await;
    until("it is parked, and the others are not", async || {
        let status = deliver.client.json("status").await?;
        (status["parked"] == 1 && team.bills().await == ["1", "3"]).then_some(())
    })
    .await;
    let feed = team.feed.client.url("feed");
    // No SQL is needed for a command.
    let (code, out, err) = run(&team.arguments(&feed, &["parked", "--json"])).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("order/2"), "{out}");
    let (code, ..) = run(&team.arguments(&feed, &["status"])).await;
    assert_eq!(code, 1, "something is parked");
    // A mistyped name is not a subscription without events.
    let other = team.arguments(&feed, &["--subscription", "fed", "status"]);
    let (code, _, err) = run(&other).await;
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("no subscription fed in this database, but feed"),
        "{err}"
    );
    // A command that does not know what to do with events takes none.
    let (code, out, err) = run(&team.arguments(&feed, &["skip", "order/9", "--reason", "x"])).await;
    assert!(code != 0, "{out} {err}");
    // Nor does one that would deliver them itself, if no instance ran.
    for command in [
        &["--idempotent", "replay", "--from", "1"][..],
        &["--idempotent", "resume", "--from-start"],
        &["resume", "--keep"],
    ] {
        let (code, out, err) = run(&team.arguments(&feed, command)).await;
        assert_eq!(code, 2, "{command:?}: {out} {err}");
        assert!(err.contains("give --call, --sql or --to"), "{err}");
    }
    let table = "CREATE TABLE other (order_id INTEGER NOT NULL, cents INTEGER);
                 INSERT INTO other SELECT * FROM bill; DROP TABLE bill; ALTER TABLE other RENAME TO bill";
    team.bills.execute(table).await;
    let (code, out, err) = run(&team.arguments(&feed, &["retry", "--all"])).await;
    assert_eq!(code, 0, "{out} {err}");
    team.billed(1..=3).await;
}

async fn other_types_are_passed_over(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let types = "order.moved, order.placed";
    let deliver = team.deliver(&["--sql", &file, "--type", types]).await;
    let other = "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.painted', 'order/7', '{}')";
    team.orders.execute(other).await;
    team.place(1, 100).await;
    team.billed(1..=1).await;
    let skipped = deliver
        .client
        .get("status/skipped", &[("accept", "application/json")])
        .await;
    assert!(
        skipped
            .body
            .contains("order.painted, which is not delivered"),
        "{}",
        skipped.body
    );
    // A type that no event has would pass over all of them.
    let feed = team.feed.client.url("feed");
    for types in ["", " ", "order.placed,", "order.placed\n,x\ty"] {
        let arguments = ["--sql", &file, "--type", types, "--listen", "127.0.0.1:0"];
        let (code, out, err) = run(&team.arguments(&feed, &arguments)).await;
        assert_eq!(code, 2, "{types:?}: {out} {err}");
        assert!(err.contains("no event has such a type"), "{err}");
    }
    // An empty variable is none; an empty type in a list is a mistake.
    let status = ["--sql", &file, "status"];
    for (types, code) in [("", 0), ("order.moved,,order.placed", 2)] {
        let variables = [("DELIVER_TYPES", types)];
        let (ended, out, err) = run_with(&variables, &team.arguments(&feed, &status)).await;
        assert_eq!(ended, code, "{types:?}: {out} {err}");
    }
    let unnamed = ["--subscription", " ", "status"];
    let (code, _, err) = run(&team.arguments(&feed, &unnamed)).await;
    assert!(code == 2 && err.contains("write a name"), "{err}");
}

/// Otherwise it would park each event of the feed.
async fn sql_that_cannot_work_is_refused_at_the_start(backend: Backend) {
    let team = Team::new(backend).await;
    // For PostgreSQL these are operators, or errors of its own.
    let own = match backend {
        Backend::Postgres => &[][..],
        Backend::Sqlite => &[
            ("SELECT 1;\nSELECT ?, :id", "line 2 of"),
            (
                "INSERT INTO bill (order_id) VALUES (?)",
                "nothing fills the parameter ?; write one of these in its place: :id",
            ),
            (
                "INSERT INTO bill (order_id) VALUES (?1)",
                "the parameter ?1",
            ),
            (
                "INSERT INTO bill (order_id) VALUES (@id)",
                "the parameter @id",
            ),
            (
                "INSERT INTO bill (order_id) VALUES ($id)",
                "the parameter $id",
            ),
            (
                "INSERT INTO bill (order_id) VALUES (:1)",
                "the parameter :1",
            ),
            (
                "INSERT INTO bill (order_id) VALUES ($t$ + 1 + $t$)",
                "the parameter $t$",
            ),
        ],
    };
    for (text, said) in [
        ("INSERT INTO no_such_table VALUES (:id)", "line 1"),
        ("SELECT 1;\nSELEKT 2", "line 2"),
        ("SELECT 1;\nSELECT FROM WHERE", "line 2"),
        (
            "INSERT INTO bill (order_id) VALUES (1); COMMIT",
            "COMMIT is not allowed",
        ),
        (
            "INSERT INTO bill (order_id) VALUES (:order)",
            "there is no parameter :order",
        ),
        ("-- nothing", "it has no statement"),
        // It would have the value of :id.
        (
            "INSERT INTO bill (order_id) VALUES (length($1 || :id))",
            "nothing fills the parameter $1",
        ),
    ]
    .into_iter()
    .chain(own.iter().copied())
    {
        let file = team.sql(text);
        let feed = team.feed.client.url("feed");
        let arguments = team.arguments(&feed, &["--sql", &file, "--listen", "127.0.0.1:0"]);
        let (code, out, err) = run(&arguments).await;
        assert!(
            code != 0 && err.contains(said),
            "{text}: {code} {out} {err}"
        );
        if err.contains("nothing fills") {
            assert_eq!(err.matches("on_event.sql").count(), 1, "{err}");
        }
    }
    let missing = team.directory.path().join("missing.sql");
    let missing = missing.display().to_string();
    for arguments in [&["--sql", missing.as_str()][..], &["--call", "f()"], &[]] {
        let feed = team.feed.client.url("feed");
        let (code, ..) = run(&team.arguments(&feed, arguments)).await;
        assert_eq!(code, 2, "{arguments:?}");
    }
    assert!(Path::new(&team.sql("")).exists());
}

/// The bills have no key, and nothing knows which of them are still there.
async fn what_would_be_delivered_again_needs_the_promise_that_it_does_no_harm(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let mut deliver = team.deliver(&["--sql", &file]).await;
    for order in 1..=5 {
        team.place(order, 100).await;
    }
    team.billed(1..=5).await;
    let feed = team.feed.client.url("feed");
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    for (path, from, command, before) in [
        ("status/replay", "1", &["replay", "--from", "1"][..], ""),
        ("status/resume", "start", &["resume", "--from-start"], halt),
    ] {
        if !before.is_empty() {
            team.bills.execute(before).await;
        }
        let fields = [("by", "eve"), ("from", from)];
        let answer = deliver.client.post_form(path, &fields).await;
        answer.assert_problem(409);
        assert!(answer.body.contains("--idempotent"), "{}", answer.body);
        let page = deliver
            .client
            .get("status", &[("accept", "text/html")])
            .await;
        assert!(page.body.contains("give --idempotent"), "{}", page.body);
        assert!(!page.body.contains("is not doubled"), "{}", page.body);
        let arguments = [&["--sql", &file], command].concat();
        let (code, out, err) = run(&team.arguments(&feed, &arguments)).await;
        assert_eq!(code, 2, "{command:?}: {out} {err}");
        assert!(err.contains("give --idempotent"), "{err}");
    }
    let (_, decisions, _) = run(&team.arguments(&feed, &["decisions"])).await;
    assert!(!decisions.contains("eve"), "{decisions}");
    // With the promise they are taken again. It may be behind the command, too.
    let once = "CREATE UNIQUE INDEX once ON bill (order_id)";
    team.bills.execute(once).await;
    let file = team.sql(
        &std::fs::read_to_string(&file)
            .map(|sql| sql + " ON CONFLICT DO NOTHING")
            .unwrap(),
    );
    assert_eq!(deliver.process.stop("TERM").await, Some(0));
    for command in [
        &["resume", "--from-start", "--idempotent"][..],
        &["replay", "--from", "1", "--idempotent"],
    ] {
        team.bills
            .execute("DELETE FROM bill WHERE order_id > 2")
            .await;
        let claims = "DELETE FROM feed_claim";
        team.bills.execute(claims).await;
        let arguments = [&["--sql", &file], command].concat();
        let (code, out, err) = run(&team.arguments(&feed, &arguments)).await;
        assert_eq!(code, 0, "{command:?}: {out} {err}");
        let deliver = team.deliver(&["--sql", &file, "--idempotent"]).await;
        team.billed(1..=5).await;
        drop(deliver);
    }
}

async fn a_pause_is_ended_without_the_sql(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let _deliver = team.deliver(&["--sql", &file]).await;
    let feed = team.feed.client.url("feed");
    let nameless = ["pause", "--reason", "the audit", "--by", " "];
    let (code, _, err) = run(&team.arguments(&feed, &nameless)).await;
    assert!(code == 2 && err.contains("write your name"), "{err}");
    for command in [&["pause", "--reason", "the audit"][..], &["resume"]] {
        let (code, out, err) = run(&team.arguments(&feed, command)).await;
        assert_eq!(code, 0, "{command:?}: {out} {err}");
    }
    team.place(1, 100).await;
    team.billed(1..=1).await;
}

/// It is the team's, and `deliver` has not run yet: nothing is changed.
async fn a_command_says_that_the_database_was_never_used(backend: Backend) {
    let team = Team::new(backend).await;
    let feed = team.feed.client.url("feed");
    let (code, out, err) = run(&team.arguments(&feed, &["status"])).await;
    assert_eq!(code, 2, "{out} {err}");
    assert!(
        err.contains("if it is the right one (DATABASE_URL), start the service once"),
        "{err}"
    );
    assert_eq!(team.bills().await, [""; 0]);
}

/// A function of PostgreSQL, which says why it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_called_for_each_event() {
    let team = Team::new(Backend::Postgres).await;
    let feed = team.feed.client.url("feed");
    let arguments = team.arguments(&feed, &["--call", "on_event", "--listen", "127.0.0.1:0"]);
    let (code, _, err) = run(&arguments).await;
    assert!(code != 0 && err.contains("the function on_event"), "{err}");
    team.bills
        .execute(
            "CREATE FUNCTION on_event(event jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 IF event ->> 'subject' = 'order/2' THEN
                     RETURN 'order 2 is free';
                 END IF;
                 INSERT INTO bill VALUES ((event -> 'data' ->> 'id')::int, (event -> 'data' ->> 'cents')::int);
                 RETURN NULL;
             END $$",
        )
        .await;
    let deliver = team.deliver(&["--call", "on_event"]).await;
    for order in 1..=3 {
        team.place(order, 100).await;
    }
    until("both have a bill", async || {
        (team.bills().await == ["1", "3"]).then_some(())
    })
    .await;
    let skipped = deliver
        .client
        .get("status/skipped", &[("accept", "application/json")])
        .await;
    assert!(skipped.body.contains("order 2 is free"), "{}", skipped.body);
    // One that returns nothing.
    team.bills
        .execute(
            "CREATE FUNCTION again(event jsonb) RETURNS void LANGUAGE sql AS $$
                 INSERT INTO bill VALUES (10 + (event -> 'data' ->> 'id')::int, 1) $$",
        )
        .await;
    let _second = team
        .deliver(&["--call", "again", "--subscription", "again"])
        .await;
    until("a second subscription has taken all", async || {
        (team.bills().await == ["1", "3", "11", "12", "13"]).then_some(())
    })
    .await;
    // Without a name of its own it takes a part of the first one's events.
    let third = team.deliver(&["--call", "again"]).await;
    let log = third.process.log();
    assert!(log.contains("delivers to the function on_event ("), "{log}");
    assert!(
        log.contains(", and this one to the function again ("),
        "{log}"
    );
}

/// Each event would reach one of them alone.
async fn instances_that_do_not_deliver_the_same_are_named(backend: Backend) {
    const WARNING: &str = "they share the events";
    let team = Team::new(backend).await;
    let file = team.bill();
    let mut one = team.deliver(&["--sql", &file]).await;
    let mut same = team.deliver(&["--sql", &file]).await;
    assert!(!same.process.log().contains(WARNING));
    let some = ["--sql", &file, "--type", "order.placed"];
    let mut other = team.deliver(&some).await;
    let log = other.process.log();
    assert!(
        log.contains(WARNING) && log.contains(" for order.placed ("),
        "{log}"
    );
    for instance in [&mut one, &mut same, &mut other] {
        assert_eq!(instance.process.stop("TERM").await, Some(0));
    }
    // Those that have ended share nothing.
    let feed = team.feed.client.url("feed");
    until("none is alive", async || {
        let (_, out, _) = run(&team.arguments(&feed, &["instances", "--json"])).await;
        (!out.contains("\"alive\":true")).then_some(())
    })
    .await;
    let alone = team.deliver(&some).await;
    let log = alone.process.log();
    assert!(!log.contains(WARNING), "{log}");
}
