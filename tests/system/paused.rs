//! A pause by command, beside running services and without one: it outlives a kill, and is shown everywhere.

use harness::{Backend, Service, System, tables, until};
use serde_json::Value;

use crate::commands::Commands;

crate::on_both! {
    a_pause_lasts_until_it_is_ended
    instances_are_listed_with_what_an_operator_needs
}

async fn paused(service: &Service) -> Value {
    service.client.json("status").await.unwrap()["paused"].clone()
}

async fn a_pause_lasts_until_it_is_ended(backend: Backend) {
    let mut system = System::started(backend).await;
    let first = system.place().await;
    system.invoice(first).await;
    let [invoice, _] = Commands::both(&system);
    let reason = [
        "pause",
        "--reason",
        "the printer is out of paper",
        "--by",
        "jo",
    ];
    let out = invoice.run(&reason).await.with(0);
    assert!(out.contains("until `resume`"), "{out}");
    let second = system.place().await;
    // The other service does not wait.
    system.shipment(second).await;
    let knows = async |system: &System| {
        until("the news is known", async || {
            let status = system.invoice.client.json("status").await?;
            (status["head"] == 2 && status["sequence"] == 1).then_some(())
        })
        .await;
    };
    system.invoice.client.post_form("poll", &[]).await;
    knows(&system).await;
    let out = invoice.run(&["status"]).await.with(1);
    assert!(out.starts_with("Paused by jo since "), "{out}");
    assert!(
        out.contains(": the printer is out of paper.\nNo event is taken until `resume`."),
        "{out}"
    );
    assert!(!out.contains("Nothing is stuck"), "{out}");
    let again = invoice.run(&["pause", "--reason", "x"]).await;
    assert!(
        again.err.contains("is paused already, by jo since "),
        "{again:?}"
    );
    again.with(2);
    let metrics = system.invoice.client.get("metrics", &[]).await.body;
    assert!(
        metrics.contains("subscription_paused{subscription=\"order\"} 1"),
        "{metrics}"
    );

    system.invoice.kill();
    system.invoice.start().await;
    knows(&system).await;
    assert_eq!(paused(&system.invoice).await["by"], "jo");
    let log = system.invoice.process().unwrap().log();
    assert!(
        log.contains("is paused by jo: the printer is out of paper; `resume` ends it"),
        "{log}"
    );
    let count = "SELECT count(*) FROM invoice";
    assert_eq!(
        tables::number(system.invoice.database.url(), count).await,
        1
    );

    let [invoice, _] = Commands::both(&system);
    let out = invoice.run(&["resume"]).await.with(0);
    assert!(
        out.contains("Resumed: events are taken again within seconds."),
        "{out}"
    );
    system.invoice(second).await;
    let out = invoice.run(&["status"]).await.with(0);
    assert!(out.contains("Nothing is stuck."), "{out}");
    let again = invoice.run(&["resume"]).await;
    assert!(again.err.contains("not paused"), "{again:?}");
    again.with(2);
    let out = invoice.run(&["decisions"]).await.with(0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[1].contains("eve") && lines[1].ends_with("resume"),
        "{out}"
    );
    assert!(
        lines[2].contains("jo") && lines[2].ends_with("pause"),
        "{out}"
    );

    // Without an instance.
    system.invoice.stop().await;
    let [invoice, _] = Commands::both(&system);
    invoice.run(&["pause", "--reason", "a stop"]).await.with(0);
    let out = invoice.run(&["status"]).await.with(1);
    assert!(
        out.contains("Paused by eve") && out.contains("No instance reports"),
        "{out}"
    );
    let out = invoice.run(&["resume"]).await.with(0);
    assert!(out.contains("when the service starts"), "{out}");

    // One that knows nothing of pauses.
    let older = "INSERT INTO feed_instance (subscription, instance, alive_until)
                 VALUES ('order', 'invoice-old', '2100-01-01T00:00:00.000Z')";
    tables::run(system.invoice.database.url(), older).await;
    let out = invoice.run(&["pause", "--reason", "x"]).await.with(0);
    assert!(out.contains("stop the process of invoice-old."), "{out}");
}

async fn instances_are_listed_with_what_an_operator_needs(backend: Backend) {
    let mut system = System::started(backend).await;
    let order = system.place().await;
    system.invoice(order).await;
    let [invoice, _] = Commands::both(&system);
    let all = invoice.run(&["instances", "--json"]).await.json(0);
    let one = &all["instances"][0];
    assert_eq!(
        (&one["partitions"], &one["alive"]),
        (&16.into(), &true.into())
    );
    assert_eq!(one["version"], env!("CARGO_PKG_VERSION"));
    let out = invoice.run(&["instances"]).await.with(0);
    for shown in ["Share", "16 of 16", "works"] {
        assert!(out.contains(shown), "{out}");
    }
    // Ten seconds without an order.
    let out = invoice.run(&["status", "--pace"]).await.with(0);
    assert!(
        out.contains("Pace            No event over the last 10 s"),
        "{out}"
    );

    system.invoice.kill();
    let [invoice, _] = Commands::both(&system);
    until("its leases have ended", async || {
        (invoice.run(&["instances"]).await.code == 1).then_some(())
    })
    .await;
    let out = invoice.run(&["instances"]).await.with(1);
    assert!(out.contains("ended, by 20"), "{out}");
}
