//! The commands of the services: the real programs, beside a running service and without
//! one.

use harness::{Backend, Service, System, tables, until};
use serde_json::Value;
use sqlx::migrate::Migrate;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use crate::command_line::CONSUMER;
use crate::program::{Finished, program};

crate::on_both! {
    a_poison_event_is_retried_beside_a_running_service
    everything_about_a_subject_is_found
    what_failed_for_one_cause_is_decided_together
    a_mistake_in_an_effect_stops_no_other_order
    a_poison_event_is_skipped_while_the_service_is_stopped
    a_replay_rebuilds_what_was_lost
    a_halted_subscription_is_resumed
    a_status_without_an_instance_says_so
    an_impossible_command_is_refused_on_one_line
    a_command_on_the_database_of_another_service_changes_nothing
}

/// A consumer's commands.
struct Commands<'a> {
    name: &'static str,
    service: &'a Service,
    feed_url: String,
}

impl<'a> Commands<'a> {
    fn both(system: &'a System) -> [Self; 2] {
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
    async fn run(&self, arguments: &[&str]) -> Finished {
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
    fn table(&self) -> &'static str {
        match self.name {
            "invoice" => "invoice",
            _ => "shipment",
        }
    }

    /// From now on, the database refuses a second order of a customer.
    async fn poison(&self) {
        let table = self.table();
        let sql = format!("CREATE UNIQUE INDEX by_mistake ON {table} (customer_id)");
        self.service.database.execute(&sql).await;
    }

    async fn correct(&self) {
        self.service.database.execute("DROP INDEX by_mistake").await;
    }

    /// Waits until that many events have failed and that many wait for them.
    async fn parked(&self, parked: i64, waiting: i64) {
        until(&format!("{parked} parked, {waiting} waiting"), async || {
            let status = self.run(&["status", "--json"]).await;
            let status: Value = serde_json::from_str(&status.out).unwrap();
            (status["parked"] == parked && status["waiting"] == waiting).then_some(())
        })
        .await;
    }
}

async fn cancel(system: &System, id: i64) {
    let path = format!("order/{id}/cancel");
    let answer = system.order.client.post_form(&path, &[]).await;
    assert_eq!(answer.status, 303);
}

async fn a_poison_event_is_retried_beside_a_running_service(backend: Backend) {
    let system = System::started(backend).await;
    let well = system.place().await;
    system.invoice(well).await;
    system.shipment(well).await;
    for hands in Commands::both(&system) {
        let out = hands.run(&["status"]).await.with(0);
        assert!(out.contains("Nothing is stuck."), "{out}");
        assert!(
            hands
                .run(&["parked"])
                .await
                .with(0)
                .contains("No event is parked.")
        );
        hands.poison().await;
    }
    let stuck = system.place().await;
    cancel(&system, stuck).await;
    for hands in Commands::both(&system) {
        hands.parked(1, 1).await;
        let out = hands.run(&["status"]).await.with(1);
        assert!(out.contains("1 event is parked"), "{out}");
        let json = hands.run(&["status", "--json"]).await.json(1);
        let page = hands.service.client.json("status").await.unwrap();
        let names = |document: &Value| -> Vec<String> {
            document.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&json), names(&page));

        let parked = hands.run(&["parked", "--json"]).await.json(0);
        let [cause, waits] = [0, 1].map(|index| parked["parked"][index]["id"].clone());
        let (cause, waits) = (cause.as_str().unwrap(), waits.as_str().unwrap());
        let out = hands.run(&["parked"]).await.with(0);
        for shown in [cause, waits, &format!("order/{stuck}, event 2")] {
            assert!(out.contains(shown), "{shown}: {out}");
        }
        // PostgreSQL names the index, SQLite its columns.
        assert!(
            out.contains("by_mistake") || out.contains("customer_id"),
            "{out}"
        );
        let events = hands.run(&["events"]).await.with(0);
        for outcome in ["applied", "parked", "waiting"] {
            assert!(events.contains(outcome), "{outcome}: {events}");
        }
        let event = hands.run(&["events", waits, "--json"]).await.json(0);
        assert_eq!(event["events"][0]["outcome"], "waiting");

        // The cause remains: it fails once more.
        let out = hands.run(&["retry", cause]).await.with(0);
        assert!(out.contains("tried again within seconds"), "{out}");
        until("it was tried again", async || {
            let parked = hands.run(&["parked", "--json"]).await.json(0);
            (parked["parked"][0]["attempts"] == 2).then_some(())
        })
        .await;
        let refused = hands.run(&["skip", waits, "--reason", "a test"]).await;
        assert!(refused.err.contains("decide about that one"), "{refused:?}");
        refused.with(2);

        hands.correct().await;
        hands
            .run(&["retry", "--all", "--by", "mallory"])
            .await
            .with(0);
        hands.parked(0, 0).await;
        hands.run(&["status"]).await.with(0);
        let decisions = hands.run(&["decisions", "--json"]).await.json(0);
        let decided = |index: usize| {
            let decided = &decisions["decisions"][index];
            (decided["decision"].as_str(), decided["decided_by"].as_str())
        };
        assert_eq!(decided(0), (Some("retry all"), Some("mallory")));
        assert_eq!(
            decided(1),
            (Some(format!("retry {cause}").as_str()), Some("eve"))
        );
    }
    // The cancellation came after it.
    let invoice = system.invoice(stuck).await;
    assert_eq!(invoice["status"], "credited");
    assert_eq!(system.shipment(stuck).await["status"], "stopped");
}

/// A missing column on PostgreSQL; on SQLite an error that ends the transaction.
/// By command, by HTTP and on a page; by the subject, and by each form of an event's id.
async fn everything_about_a_subject_is_found(backend: Backend) {
    let system = System::started(backend).await;
    let well = system.place().await;
    system.invoice(well).await;
    system.shipment(well).await;
    for hands in Commands::both(&system) {
        hands.poison().await;
    }
    let stuck = system.place().await;
    cancel(&system, stuck).await;
    for hands in Commands::both(&system) {
        hands.parked(1, 1).await;
        let subject = format!("order/{stuck}");
        let known = hands.run(&["events", &subject, "--json"]).await.json(0);
        let (events, parked) = (known["events"].as_array().unwrap(), &known["parked"]);
        let outcomes: Vec<_> = events.iter().map(|event| &event["outcome"]).collect();
        assert_eq!(outcomes, ["waiting", "parked"]);
        assert_eq!(parked["type"], "order.placed");
        let data: Value = serde_json::from_str(parked["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["id"], stuck);
        assert_eq!(parked["waiting_for_it"][0]["id"], events[0]["id"]);
        let tried = parked["tried"].as_array().unwrap();
        assert_eq!(tried.len(), parked["attempts"].as_u64().unwrap() as usize);
        assert_eq!(tried[0]["reason"], parked["reason"]);

        // As Atom has it, as a CloudEvent has it, and by the subject.
        let id = parked["id"].as_str().unwrap();
        let alone = id.strip_prefix("urn:uuid:").unwrap();
        let client = &hands.service.client;
        for about in [subject.as_str(), id, alone] {
            let out = hands.run(&["events", about]).await.with(0);
            assert!(
                out.contains(id) && out.contains("\"shippingAddress\""),
                "{out}"
            );
            let path = format!("status/events?event={}", about.replace('/', "%2F"));
            let found = client.json(&path).await.unwrap();
            assert_eq!(found["parked"]["id"], id);
            let page = client.get(&path, &[("accept", "text/html")]).await;
            assert_eq!(page.status, 200);
            for part in [id, "What the event says", "shippingAddress", "Attempts"] {
                assert!(page.body.contains(part), "{part}: {}", page.body);
            }
        }

        // Each attempt is kept, until the event is applied.
        hands.run(&["retry", &subject]).await.with(0);
        until("it was tried again", async || {
            let known = hands.run(&["events", &subject, "--json"]).await.json(0);
            let tried = known["parked"]["tried"].as_array().map_or(0, Vec::len);
            assert_eq!(known["decisions"][0]["decided_by"], "eve");
            (tried > 1).then_some(())
        })
        .await;
        hands.correct().await;
        hands.run(&["retry", alone]).await.with(0);
        hands.parked(0, 0).await;
        let known = hands.run(&["events", &subject, "--json"]).await.json(0);
        assert_eq!(known["parked"], Value::Null);
        assert_eq!(known["events"][1]["outcome"], "applied");
        let attempts = "SELECT count(*) FROM feed_attempt";
        assert_eq!(
            tables::number(hands.service.database.url(), attempts).await,
            0
        );

        // What is not there, and what is no parameter.
        let out = hands.run(&["events", "order/none"]).await.with(1);
        assert!(out.contains("Nothing is known of order/none"), "{out}");
        let answer = client.get("status/events?event=order%2Fnone", &[]).await;
        answer.assert_problem(404);
        for path in [
            "status/events?evnt=1",
            "status/parked?event=1",
            "status/decisions?from=2",
        ] {
            client.get(path, &[]).await.assert_problem(400);
        }
    }
}

/// All that failed for one cause are retried, or skipped, together; what failed for another one stays.
async fn what_failed_for_one_cause_is_decided_together(backend: Backend) {
    let system = System::started(backend).await;
    let well = system.place().await;
    system.invoice(well).await;
    system.shipment(well).await;
    for hands in Commands::both(&system) {
        hands.poison().await;
    }
    for _ in 0..3 {
        system.place().await;
    }
    for hands in Commands::both(&system) {
        hands.parked(3, 0).await;
        let parked = hands.run(&["parked", "--json"]).await.json(0);
        let [one, other] = [0, 2].map(|index| parked["parked"][index]["subject"].clone());
        let cause = parked["parked"][0]["reason"].as_str().unwrap();
        // One has failed for another reason.
        let other = other.as_str().unwrap();
        let sql = format!(
            "UPDATE feed_parked SET reason = 'no such customer ' WHERE subject = '{other}'"
        );
        hands.service.database.execute(&sql).await;
        let out = hands.run(&["parked"]).await.with(0);
        assert!(out.contains("Events  Since"), "{out}");
        let client = &hands.service.client;
        let page = client.get("status", &[("accept", "text/html")]).await;
        for part in ["Why events are parked", "Retry 2 events", "Skip 1 event<"] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }

        let out = hands.run(&["retry", "--cause", cause]).await.with(0);
        assert!(out.starts_with("2 events are tried again"), "{out}");
        until("both were tried again", async || {
            let parked = hands.run(&["parked", "--json"]).await.json(0);
            let tried = |index: usize| parked["parked"][index]["attempts"].as_i64().unwrap();
            (tried(0) == 2 && tried(1) == 2).then(|| assert_eq!(tried(2), 1))
        })
        .await;

        // By HTTP, to the letter.
        let fields = [
            ("cause", "no such customer"),
            ("reason", "a test"),
            ("by", "eve"),
        ];
        client
            .post_form("status/skip", &fields)
            .await
            .assert_problem(404);
        let fields = [
            ("cause", "no such customer "),
            ("reason", "a test"),
            ("by", "eve"),
        ];
        let answer = client.post_form("status/skip", &fields).await;
        assert!([200, 303].contains(&answer.status), "{}", answer.body);
        hands.parked(2, 0).await;
        let skipped = hands.run(&["skipped", "--json"]).await.json(0);
        assert_eq!(skipped["skipped"][0]["subject"], other);
        let out = hands
            .run(&["skip", "--cause", cause, "--reason", "a test too"])
            .await
            .with(0);
        assert!(out.starts_with("Skipped 2 events."), "{out}");
        hands.parked(0, 0).await;
        let known = hands
            .run(&["events", one.as_str().unwrap(), "--json"])
            .await
            .json(0);
        assert_eq!(known["events"][0]["outcome"], "skipped");
        let none = hands.run(&["retry", "--cause", cause]).await;
        assert!(
            none.err.contains("no event is parked for this cause"),
            "{none:?}"
        );
        none.with(1);
    }
}

async fn a_mistake_in_an_effect_stops_no_other_order(backend: Backend) {
    let system = System::started(backend).await;
    let well = system.place().await;
    for hands in Commands::both(&system) {
        let (table, wrong) = (hands.table(), well + 1);
        let sql = match backend {
            Backend::Postgres => format!(
                "CREATE FUNCTION by_mistake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.order_id = {wrong} THEN PERFORM colour FROM {table}; END IF;
                     RETURN NEW;
                 END $$;
                 CREATE TRIGGER by_mistake BEFORE INSERT ON {table}
                     FOR EACH ROW EXECUTE FUNCTION by_mistake()"
            ),
            Backend::Sqlite => format!(
                "CREATE TRIGGER by_mistake BEFORE INSERT ON {table} WHEN NEW.order_id = {wrong}
                 BEGIN SELECT RAISE(ROLLBACK, 'a mistake'); END"
            ),
        };
        hands.service.database.execute(&sql).await;
    }
    let stuck = system.place().await;
    assert_eq!(stuck, well + 1);
    cancel(&system, stuck).await;
    let later = system.place().await;
    system.invoice(later).await;
    system.shipment(later).await;
    for hands in Commands::both(&system) {
        hands.parked(1, 1).await;
        let status = hands.service.client.json("status").await.unwrap();
        assert_eq!(status["halted"], Value::Null);
        let correct = match backend {
            Backend::Postgres => "DROP FUNCTION by_mistake CASCADE",
            Backend::Sqlite => "DROP TRIGGER by_mistake",
        };
        hands.service.database.execute(correct).await;
        hands.run(&["retry", "--all"]).await.with(0);
        hands.parked(0, 0).await;
    }
    assert_eq!(system.invoice(stuck).await["status"], "credited");
    assert_eq!(system.shipment(stuck).await["status"], "stopped");
}

async fn a_poison_event_is_skipped_while_the_service_is_stopped(backend: Backend) {
    let mut system = System::started(backend).await;
    let well = system.place().await;
    system.invoice(well).await;
    system.shipment(well).await;
    for hands in Commands::both(&system) {
        hands.poison().await;
    }
    system.place().await;
    for hands in Commands::both(&system) {
        hands.parked(1, 0).await;
    }
    system.invoice.stop().await;
    system.shipping.stop().await;
    for hands in Commands::both(&system) {
        hands.run(&["status"]).await.with(1);
        let parked = hands.run(&["parked", "--json"]).await.json(0);
        let id = parked["parked"][0]["id"].as_str().unwrap();
        let out = hands.run(&["retry", id]).await.with(0);
        assert!(out.contains("when the service starts"), "{out}");
        // Nothing is retried before the operator has decided about the halt.
        let halted = |value| format!("UPDATE feed_subscription SET halted = {value}");
        let database = &hands.service.database;
        database.execute(&halted("'why'")).await;
        let out = hands.run(&["retry", "--all"]).await.with(0);
        assert!(out.contains("when the subscription is resumed"), "{out}");
        let out = hands.run(&["parked"]).await.with(0);
        assert!(out.contains("when the subscription is resumed"), "{out}");
        database.execute(&halted("NULL")).await;
        hands.run(&["skip", id]).await.with(2);
        let empty = hands.run(&["skip", id, "--reason", " "]).await;
        assert!(empty.err.contains("the reason is missing"), "{empty:?}");
        empty.with(2);
        // As a CloudEvent has it.
        let alone = id.strip_prefix("urn:uuid:").unwrap();
        let listed = hands.run(&["events", alone, "--json"]).await.json(0);
        assert_eq!(listed["events"][0]["id"], id);
        let out = hands
            .run(&["skip", alone, "--reason", "a test order"])
            .await
            .with(0);
        assert!(out.contains(alone), "{out}");
        // Nobody knows what is new in the feed.
        let out = hands.run(&["status"]).await.with(1);
        assert!(out.starts_with("No instance runs: "), "{out}");
        let skipped = hands.run(&["skipped", "--json"]).await.json(0)["skipped"][0].clone();
        assert_eq!(skipped["skipped_by"], "eve");
        assert_eq!(skipped["reason"], "a test order");
        let out = hands.run(&["skipped"]).await.with(0);
        assert!(out.contains("a test order") && out.contains("eve"), "{out}");
        let event = hands.run(&["events", id]).await.with(0);
        assert!(event.contains("skipped"), "{event}");
        hands.correct().await;
        // A skipped event is no difference.
        let out = hands.run(&["reconcile"]).await.with(0);
        assert!(out.contains("No difference"), "{out}");
    }
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
            replayed.err.contains("No instance is running"),
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
                    resumed.err.contains("No instance is running"),
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
    assert!(out.starts_with("No instance runs: "), "{out}");
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
