//! Parked events, by the commands of the services and beside a running one: what an operator finds out about them, and
//! decides.

use harness::{Backend, System, tables, until};
use serde_json::Value;

use crate::commands::{Commands, cancel};

crate::on_both! {
    a_poison_event_is_retried_beside_a_running_service
    everything_about_a_subject_is_found
    what_failed_for_one_cause_is_decided_together
    many_are_previewed_decided_and_undone
    a_mistake_in_an_effect_stops_no_other_order
    a_poison_event_is_skipped_while_the_service_is_stopped
}

/// Both consumers have taken an order, and refuse the next one of that customer.
async fn poisoned(backend: Backend) -> System {
    let system = System::started(backend).await;
    let well = system.place().await;
    system.invoice(well).await;
    system.shipment(well).await;
    for hands in Commands::both(&system) {
        hands.poison().await;
    }
    system
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

/// By command, by HTTP and on a page; by the subject, and by each form of an event's id.
async fn everything_about_a_subject_is_found(backend: Backend) {
    let system = poisoned(backend).await;
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
    let system = poisoned(backend).await;
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
            none.err
                .contains("is not parked any more: eve decided at 20"),
            "{none:?}"
        );
        none.with(1);
        let none = hands.run(&["retry", "--cause", "another"]).await;
        assert!(
            none.err.contains("nothing is parked that is selected"),
            "{none:?}"
        );
        none.with(1);
    }
}

/// By command, as an operator would who is not sure: look first, decide about what was seen, and take it back.
async fn many_are_previewed_decided_and_undone(backend: Backend) {
    let mut system = poisoned(backend).await;
    let orders = [
        system.place().await,
        system.place().await,
        system.place().await,
    ];
    for hands in Commands::both(&system) {
        hands.parked(3, 0).await;
        let preview = ["retry", "--type", "order.placed", "--preview"];
        let out = hands.run(&preview).await.with(0);
        let first = format!("order/{}", orders[0]);
        for part in [
            "3 events would be tried again.",
            "Events  Since",
            "3       order.placed",
            &first,
            "Nothing is changed.",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        let (_, as_of) = out.trim_end().rsplit_once("--as-of ").unwrap();
        let none = [
            "skip",
            "--type",
            "order.placed",
            "--until",
            "2026-01-01",
            "--preview",
        ];
        let out = hands.run(&none).await.with(1);
        assert!(out.contains("Nothing is parked that is selected."), "{out}");
        let decisions = hands.run(&["decisions", "--json"]).await.json(0);
        assert_eq!(decisions["decisions"].as_array().unwrap().len(), 0);

        // A selection is never empty by mistake.
        for wrong in [
            &["retry"][..],
            &["retry", "--as-of", as_of],
            &["retry", "--cause", ""],
            &["retry", "--from", "yesterday"],
            &["retry", "--all", "--type", "order.placed"],
            &["retry", "order/1", "--type", "order.placed"],
            &["skip", "--reason", "a test"],
            &["skip", "--type", "", "--reason", "a test"],
            &["skip", "--type", "order.placed"],
            &["skip", "--all", "--reason", "a test"],
            &["undo", "0"],
        ] {
            hands.run(wrong).await.with(2);
        }
        // What is recorded cannot forge lines.
        let forged = [
            "skip",
            "--type",
            "order.placed",
            "--reason",
            "a\nb",
            "--by",
            "eve",
        ];
        let refused = hands.run(&forged).await;
        assert!(
            refused.err.contains("the reason has control characters"),
            "{refused:?}"
        );
        refused.with(2);

        let skip = [
            "skip",
            "--type",
            "order.placed",
            "--as-of",
            as_of,
            "--reason",
            "a mistake",
        ];
        let out = hands.run(&skip).await.with(0);
        assert!(out.starts_with("Skipped 3 events."), "{out}");
        hands.parked(0, 0).await;
        let second = hands.run(&skip).await;
        assert!(second.err.contains("eve decided at 20"), "{second:?}");
        second.with(1);
        let decisions = hands.run(&["decisions", "--json"]).await.json(0);
        let position = decisions["decisions"][0]["position"].to_string();
        let undo = ["undo", &position, "--by", "ada"];
        let out = hands.run(&undo).await.with(0);
        let expected = format!("Decision {position} is taken back: 3 parked again.\n");
        assert_eq!(out, expected);
        hands.parked(3, 0).await;
        let again = hands.run(&undo).await;
        assert!(again.err.contains("ada has done so at 20"), "{again:?}");
        again.with(1);
        let out = hands.run(&["decisions"]).await.with(0);
        assert!(out.contains("3 skipped; undone by ada"), "{out}");
        let known = hands.run(&["events", &first, "--json"]).await.json(0);
        assert_eq!(known["events"][0]["outcome"], "parked");
        assert_eq!(known["decisions"][1]["undone_by"], "ada");

        // All but one are applied; that one is skipped, and then its cancellation has been taken.
        hands.correct().await;
        let skip = ["skip", &first, "--reason", "a test order"];
        hands.run(&skip).await.with(0);
        let out = hands.run(&["retry", "--type", "order.placed"]).await;
        assert!(out.with(0).starts_with("2 events are tried again"));
        hands.parked(0, 0).await;
    }
    cancel(&system, orders[0]).await;
    for hands in Commands::both(&system) {
        until("the cancellation is taken", async || {
            let about = format!("order/{}", orders[0]);
            let known = hands.run(&["events", &about, "--json"]).await.json(0);
            (known["events"].as_array().unwrap().len() == 2).then_some(())
        })
        .await;
        let decisions = hands.run(&["decisions", "--json"]).await.json(0);
        let position = decisions["decisions"][1]["position"].to_string();
        let late = hands.run(&["undo", &position]).await;
        assert!(
            late.err
                .contains("a later event of the subject has taken effect"),
            "{late:?}"
        );
        late.with(1);
        let none = hands.run(&["undo", "4711"]).await;
        assert!(none.err.contains("there is no decision 4711"), "{none:?}");
        none.with(1);
    }
    // A replay that no instance has executed.
    system.shipping.stop().await;
    let [_, shipping] = Commands::both(&system);
    let replay = "INSERT INTO feed_decision (subscription, decision, decided_by)
                  SELECT name, 'replay 1', 'eve' FROM feed_subscription";
    shipping.service.database.execute(replay).await;
    let decisions = shipping.run(&["decisions", "--json"]).await.json(0);
    let position = decisions["decisions"][0]["position"].to_string();
    let out = shipping.run(&["undo", &position]).await.with(0);
    assert!(
        out.contains("taken back before it was carried out"),
        "{out}"
    );
    let status = shipping.run(&["status", "--json"]).await.json(1);
    assert_eq!(status["decision"], Value::Null);
}

/// A missing column on PostgreSQL; on SQLite an error that ends the transaction.
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
    let mut system = poisoned(backend).await;
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
        assert!(out.starts_with("No instance reports: "), "{out}");
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
