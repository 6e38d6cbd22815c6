//! What an auditor proves by command: the books of a period, and that the orders are those of the feed.

use harness::{Backend, Service, System};
use serde_json::Value;

use crate::program::{Finished, program};

crate::on_both! {
    a_period_is_proved_with_totals
    an_order_that_was_deleted_or_altered_is_found
}

/// Runs a command of the service `name`.
async fn run(name: &str, service: &Service, system: &System, arguments: &[&str]) -> Finished {
    let mut command = program(name);
    command
        .args(arguments)
        .env("DATABASE_URL", service.database.url())
        .env("FEED_URL", system.order.client.url("feed"))
        .env_remove("RUST_LOG");
    let said = tokio::task::spawn_blocking(move || Finished::by(&mut command));
    said.await.unwrap()
}

async fn a_period_is_proved_with_totals(backend: Backend) {
    let system = System::started(backend).await;
    for _ in 0..3 {
        let id = system.place().await;
        system.invoice(id).await;
        system.shipment(id).await;
    }
    let invoice = async |arguments: &[&str]| {
        let all = [&["reconcile"], arguments].concat();
        run("invoice", &system.invoice, &system, &all).await
    };
    let out = invoice(&["--from", "2020-01-01", "--until", "2199-12-31"]).await;
    let out = out.with(0);
    for said in [
        "No difference in events 1 to 3.\n",
        "3 events compared; records: 3 equal, 0 different, 0 missing, 0 unexplained.\n",
        "The period has not ended",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let (_, sums) = out.split_once("invoiced EUR: ").expect(&out);
    let (events, rest) = sums.split_once(" by the events, ").expect(&out);
    assert!(rest.starts_with(&format!("{events} here.\n")), "{out}");
    let before = invoice(&["--until", "2020-12-31"]).await.with(0);
    assert!(
        before.contains("no event of this period was taken yet"),
        "{before}"
    );
    let by_number = invoice(&["--from", "2", "--until", "2", "--json"]).await;
    let by_number: Value = by_number.json(0);
    assert_eq!(
        (&by_number["from"], &by_number["to"]),
        (&2.into(), &2.into())
    );
    assert_eq!(by_number["totals"]["equal"], 1);
    for (arguments, said) in [
        (
            ["--from", "2026-11-30", "--until", "2026-11-01"],
            "--until lies before --from",
        ),
        (["--from", "1", "--until", "4"], "event 4 was not taken yet"),
        (
            ["--from", "1", "--until", "November"],
            "neither the number of an event nor a date",
        ),
    ] {
        let failed = invoice(&arguments).await;
        assert!(failed.err.contains(said), "{failed:?}");
        failed.with(2);
    }
    let lost =
        "DELETE FROM invoice_line WHERE order_id = 2; DELETE FROM invoice WHERE order_id = 2";
    system.invoice.database.execute(lost).await;
    let out = invoice(&["--from", "2020-01-01", "--until", "3"])
        .await
        .with(1);
    for said in [
        "order/2: the order has no invoice",
        "1 difference in events 1 to 3.\n",
        "records: 2 equal, 0 different, 1 missing, 0 unexplained.\n",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
}

async fn an_order_that_was_deleted_or_altered_is_found(backend: Backend) {
    let mut system = System::started(backend).await;
    for _ in 0..3 {
        system.place().await;
    }
    for stopped in [false, true] {
        if stopped {
            system.order.stop().await;
        }
        let out = run("order", &system.order, &system, &["reconcile"]).await;
        let out = out.with(0);
        assert!(
            out.starts_with("No difference between 3 orders and 3 events.\n"),
            "{out}"
        );
    }
    let tamper = "DELETE FROM order_line WHERE order_id = 1; DELETE FROM orders WHERE id = 1;
                  UPDATE orders SET total_cents = total_cents + 1 WHERE id = 3";
    system.order.database.execute(tamper).await;
    let out = run("order", &system.order, &system, &["reconcile"]).await;
    let out = out.with(1);
    for said in [
        "order/1: there is no such order, but event 1 is about it\n",
        "order/3: event 3 (order.placed) has another order: total\n",
        "2 differences between 2 orders and 3 events.\n",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let json = run("order", &system.order, &system, &["reconcile", "--json"]).await;
    let json: Value = json.json(1);
    assert_eq!((&json["found"], &json["orders"]), (&2.into(), &2.into()));
    assert_eq!(json["differences"][0]["id"], "order/3");
}
