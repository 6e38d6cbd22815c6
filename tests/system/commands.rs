//! The commands of the services: the real programs, beside a running service and without
//! one.

use harness::{Backend, Service, System, tables, until};
use serde_json::Value;
use sqlx::migrate::Migrate;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use crate::command_line::CONSUMER;
use crate::program::{Finished, program};

crate::on_both! {
    a_replay_rebuilds_what_was_lost
    a_halted_subscription_is_resumed
    a_status_without_an_instance_says_so
    an_impossible_command_is_refused_on_one_line
    a_command_on_the_database_of_another_service_changes_nothing
}

/// A consumer's commands.
pub(crate) struct Commands<'a> {
    pub(crate) name: &'static str,
    pub(crate) service: &'a Service,
    pub(crate) feed_url: String,
}

impl<'a> Commands<'a> {
    pub(crate) fn both(system: &'a System) -> [Self; 2] {
        let of = |name, service| Self {
            name,
            service,
            feed_url: system.order.client.url("feed"),
        };
        [
            of("invoice", &system.invoice),
            of("shipping", &system.shipping),
        ]
    }

    /// Runs a command. It takes no terminal and no address.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = program(self.name);
        command
            .args(arguments)
            .env("DATABASE_URL", self.service.database.url())
            .env("FEED_URL", &self.feed_url)
            .env("LISTEN", "192.0.2.1:1")
            .env("USER", "eve")
            .env_remove("RUST_LOG");
        let said = tokio::task::spawn_blocking(move || Finished::by(&mut command));
        said.await.unwrap()
    }

    /// The table of what it owns.
    pub(crate) fn table(&self) -> &'static str {
        match self.name {
            "invoice" => "invoice",
            _ => "shipment",
        }
    }

    /// From now on, the database refuses a second order of a customer.
    pub(crate) async fn poison(&self) {
        let table = self.table();
        let sql = format!("CREATE UNIQUE INDEX by_mistake ON {table} (customer_id)");
        self.service.database.execute(&sql).await;
    }

    pub(crate) async fn correct(&self) {
        self.service.database.execute("DROP INDEX by_mistake").await;
    }

    /// Waits until that many events have failed and that many wait for them.
    pub(crate) async fn parked(&self, parked: i64, waiting: i64) {
        until(&format!("{parked} parked, {waiting} waiting"), async || {
            let status = self.run(&["status", "--json"]).await;
            let status: Value = serde_json::from_str(&status.out).unwrap();
            (status["parked"] == parked && status["waiting"] == waiting).then_some(())
        })
        .await;
    }
}

pub(crate) async fn cancel(system: &System, id: i64) {
    let path = format!("order/{id}/cancel");
    let answer = system.order.client.post_form(&path, &[]).await;
    assert_eq!(answer.status, 303);
}

async fn a_replay_rebuilds_what_was_lost(backend: Backend) {
    let mut system = System::started(backend).await;
    for hands in Commands::both(&system) {
        let out = hands.run(&["reconcile"]).await.with(0);
        assert!(out.contains("nothing to compare"), "{out}");
    }
    let ids = [
        system.place().await,
        system.place().await,
        system.place().await,
    ];
    for id in ids {
        system.invoice(id).await;
        system.shipment(id).await;
    }
    for hands in Commands::both(&system) {
        let compared = hands.run(&["reconcile", "--json"]).await.json(0);
        assert_eq!(
            (&compared["found"], &compared["to"]),
            (&0.into(), &3.into())
        );
    }
    // Beside the running service …
    let lost = ids[1];
    let lose = async |service: &Service| {
        let delete = format!(
            "DELETE FROM shipment_line WHERE order_id = {lost};
             DELETE FROM shipment WHERE order_id = {lost}"
        );
        service.database.execute(&delete).await;
    };
    for stopped in [false, true] {
        lose(&system.shipping).await;
        // … and without one.
        if stopped {
            system.shipping.stop().await;
        }
        let [_, shipping] = Commands::both(&system);
        let out = shipping.run(&["reconcile"]).await.with(1);
        assert!(out.contains(&format!("order/{lost}")), "{out}");
        assert!(out.contains("1 difference"), "{out}");
        let replayed = shipping.run(&["replay", "--from", "2"]).await;
        assert_eq!(
            replayed.err.contains("No instance reports"),
            stopped,
            "{replayed:?}"
        );
        let out = replayed.with(0);
        assert!(out.contains("Replayed 2 events, 2 to 3."), "{out}");
        let out = shipping.run(&["reconcile"]).await.with(0);
        assert!(out.contains("No difference"), "{out}");
    }
    // Nothing was lost here, and no effect is repeated.
    let [invoice, _] = Commands::both(&system);
    invoice.run(&["replay", "--from", "1"]).await.with(0);
    invoice.run(&["reconcile"]).await.with(0);
    // A command leaves no instance behind.
    let [_, shipping] = Commands::both(&system);
    let status = shipping.run(&["status", "--json"]).await.json(1);
    assert_eq!(status["instances"], 0);
}

async fn a_halted_subscription_is_resumed(backend: Backend) {
    let mut system = System::started(backend).await;
    let first = system.place().await;
    system.invoice(first).await;
    system.shipment(first).await;
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    for stopped in [false, true] {
        if stopped {
            system.invoice.stop().await;
            system.shipping.stop().await;
        }
        for hands in Commands::both(&system) {
            for how in ["--keep", "--from-start", "--from-now"] {
                hands.service.database.execute(halt).await;
                let out = hands.run(&["status"]).await.with(1);
                assert!(out.contains("Halted: the feed is another one."), "{out}");
                assert!(out.contains("--from-start"), "{out}");
                let refused = hands.run(&["replay", "--from", "1"]).await;
                assert!(refused.err.contains("resume it first"), "{refused:?}");
                refused.with(2);
                let resumed = hands.run(&["resume", how]).await;
                assert_eq!(
                    resumed.err.contains("No instance reports"),
                    stopped,
                    "{resumed:?}"
                );
                let out = resumed.with(0);
                assert!(out.contains("Resumed: it goes on"), "{out}");
                let out = hands.run(&["status"]).await.with(stopped.into());
                assert!(!out.contains("Halted"), "{out}");
            }
            let again = hands.run(&["resume", "--keep"]).await;
            assert!(again.err.contains("not halted"), "{again:?}");
            again.with(2);
        }
    }
    system.invoice.start().await;
    system.shipping.start().await;
    let next = system.place().await;
    system.invoice(next).await;
    system.shipment(next).await;
}

/// Nobody knows then what is new in the feed. The feed that is shown is the one that was followed, and not that of the
/// command's own settings.
async fn a_status_without_an_instance_says_so(backend: Backend) {
    let mut system = System::started(backend).await;
    let order = system.place().await;
    system.invoice(order).await;
    let feed = system.order.client.url("feed");
    let status = |system: &System| {
        let elsewhere = "http://127.0.0.1:9/feed";
        Finished::by(&mut system.invoice.command(elsewhere, &["status"]))
    };
    let out = status(&system).with(0);
    assert!(out.contains("Nothing is stuck."), "{out}");
    assert!(out.contains(&format!("Feed            {feed}\n")), "{out}");

    // What only reads waits for no lock: that of a writer on SQLite, and that of migrations.
    let url = system.invoice.database.url();
    let (mut file, mut server) = (None, None);
    match backend {
        Backend::Sqlite => {
            let mut writer = SqliteConnection::connect(url).await.unwrap();
            writer.execute("BEGIN IMMEDIATE").await.unwrap();
            file = Some(writer);
        }
        Backend::Postgres => {
            let mut session = tables::postgres(url).await;
            let session_of: &mut PgConnection = &mut session;
            session_of.lock().await.unwrap();
            server = Some(session);
        }
    }
    for command in ["status", "events", "parked", "skipped", "decisions"] {
        let said = Finished::by(&mut system.invoice.command(&feed, &[command]));
        assert!(said.err.is_empty(), "{command}: {said:?}");
    }
    drop((file, server));

    assert_eq!(system.invoice.stop().await, Some(0));
    system.place().await;
    let out = status(&system).with(1);
    assert!(out.starts_with("No instance reports: "), "{out}");
    assert!(!out.contains("Nothing is stuck"), "{out}");
    assert!(out.contains(&format!("Feed            {feed}\n")), "{out}");
}

async fn an_impossible_command_is_refused_on_one_line(backend: Backend) {
    let mut system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    for hands in Commands::both(&system) {
        for (arguments, said) in [
            (
                &["replay", "--from", "9"][..],
                "only events up to 1 have been taken",
            ),
            (
                &["status", "--database-url", "sqlite:/nowhere/x.db"][..],
                "there is no database",
            ),
            (
                &["status", "--database-url", "mysql://x"][..],
                "not `mysql:`",
            ),
        ] {
            let failed = hands.run(arguments).await;
            assert!(failed.err.contains(said), "{failed:?}");
            assert_eq!(failed.err.lines().count(), 1, "{failed:?}");
            assert_eq!(failed.with(2), "");
        }
        // What it is about is not there.
        for missing in [
            &["retry", "urn:uuid:0"][..],
            &["retry", "order/1"][..],
            &["skip", "order/17", "--reason", "none"][..],
        ] {
            let failed = hands.run(missing).await;
            assert!(
                failed
                    .err
                    .contains(&format!("{} is not parked", missing[1])),
                "{failed:?}"
            );
            assert_eq!(failed.with(1), "");
        }
        for wrong in [
            &["resume"][..],
            &["resume", "--keep", "--from-now"][..],
            &["retry"][..],
            &["retry", "x", "--all"][..],
            &["skip", "x"][..],
            &["replay", "--from", "0"][..],
            &["events", "--limit", "1001"][..],
            &["explode"][..],
        ] {
            assert_eq!(hands.run(wrong).await.with(2), "", "{wrong:?}");
        }
    }
    system.order.kill();
    let [invoice, _] = Commands::both(&system);
    let failed = invoice.run(&["reconcile"]).await;
    assert!(
        failed.err.contains("cannot compare: cannot read the feed"),
        "{failed:?}"
    );
    failed.with(2);
}

async fn a_command_on_the_database_of_another_service_changes_nothing(backend: Backend) {
    let system = System::started(backend).await;
    system.place().await;
    for (name, url) in [
        ("invoice", system.order.database.url()),
        ("shipping", system.invoice.database.url()),
        ("order", system.shipping.database.url()),
    ] {
        let arguments: &[&str] = match name {
            "order" => &["archive", "--keep", "0"],
            _ => &["status"],
        };
        let mut command = program(name);
        let refused = Finished::by(command.args(arguments).env("DATABASE_URL", url));
        assert!(
            refused
                .err
                .contains("it is the database of another service"),
            "{refused:?}"
        );
        refused.with(2);
        let own = format!("SELECT count(*) FROM _{name}_migrations");
        assert!(
            tables::try_number(url, &own).await.is_none(),
            "{name} made its tables"
        );
    }
}

#[test]
fn the_commands_of_the_readme_are_commands() {
    let blocks = include_str!("../../README.md")
        .split("```console\n")
        .skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let commands = lines.filter_map(|line| line.strip_prefix("$ invoice "));
    let mut run = 0;
    for command in commands {
        let arguments = command
            .split(' ')
            .chain(["--database-url", "sqlite:/nowhere/x.db"]);
        let said = Finished::by(program("invoice").args(arguments));
        assert!(
            said.err.starts_with("there is no database"),
            "{command}: {said:?}"
        );
        run += 1;
    }
    assert!(
        run >= 5,
        "the README shows what to do when something is stuck"
    );
}

#[test]
fn each_command_explains_itself() {
    let moving = ["export", "import"];
    let order = ["erase", "archive", "pages", "restored"];
    for (name, own) in [
        ("order", &order[..]),
        ("invoice", &CONSUMER),
        ("shipping", &CONSUMER),
    ] {
        let help = Finished::by(program(name).arg("--help")).with(0);
        for command in own.iter().chain(&moving) {
            assert!(
                help.contains(&format!("\n  {command} ")),
                "{command}: {help}"
            );
            let help = Finished::by(program(name).args([*command, "--help"])).with(0);
            let example = format!("Example: {name} {command}");
            assert!(help.contains(&example), "{command}: {help}");
        }
    }
}
