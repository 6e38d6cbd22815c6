//! Conditional requests against the running service: no 304 hides an event (I4).

use harness::{Backend, System, until};

crate::on_both! {
    nothing_new_is_a_304_by_tag_and_by_date
    two_orders_in_one_second_reach_a_reader_that_knows_dates_alone
    a_waiting_reader_gets_the_new_event_alone
}

async fn nothing_new_is_a_304_by_tag_and_by_date(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    system.place().await;
    let head = until("the order is in the feed", async || {
        let head = system.order.client.get("feed", &[]).await;
        (head.elements("event:sequence") == ["1"]).then_some(head)
    })
    .await;
    let tag = [("if-none-match", head.header("etag"))];
    let again = system.order.client.get("feed", &tag).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), head.header("etag"));

    // By date alone the answer is repeated until the second of the event is closed.
    until("a date says so too", async || {
        let head = system.order.client.get("feed", &[]).await;
        let date = [("if-modified-since", head.header("last-modified"))];
        let again = system.order.client.get("feed", &date).await;
        (again.status == 304).then_some(())
    })
    .await;
    system.place().await;
    until("the next order changes it", async || {
        let changed = system.order.client.get("feed", &tag).await;
        (changed.status == 200).then_some(())
    })
    .await;
}

/// As the original's pollers: one `GET`, later with the last `Last-Modified`. At times nothing happens until a second is closed, so
/// that there is a date to send.
async fn two_orders_in_one_second_reach_a_reader_that_knows_dates_alone(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    let client = &system.order.client;
    let mut seen: Vec<i64> = Vec::new();
    let (mut date, mut conditional) = (String::new(), 0);
    for round in 0..20 {
        if round % 5 == 4 {
            date = until("a date is announced", async || {
                let date = client
                    .get("feed", &[])
                    .await
                    .header("last-modified")
                    .to_owned();
                (!date.is_empty()).then_some(date)
            })
            .await;
        }
        if !date.is_empty() {
            let since = [("if-modified-since", date.as_str())];
            assert_eq!(client.get("feed", &since).await.status, 304);
            conditional += 1;
        }
        let placed = [system.place().await, system.place().await];
        until("both orders are seen", async || {
            let mut conditions = Vec::new();
            if !date.is_empty() {
                conditions.push(("if-modified-since", date.as_str()));
            }
            let answer = client.get("feed", &conditions).await;
            if answer.status == 200 {
                seen = answer
                    .elements("event:subject")
                    .iter()
                    .map(|subject| subject["order/".len()..].parse().unwrap())
                    .collect();
                answer.header("last-modified").clone_into(&mut date);
            }
            placed.iter().all(|id| seen.contains(id)).then_some(())
        })
        .await;
    }
    assert_eq!(seen.len(), 40);
    assert!(conditional >= 4, "a date was sent {conditional} times");
}

async fn a_waiting_reader_gets_the_new_event_alone(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    system.place().await;
    let client = &system.order.client;
    let tag = until("the order is in the feed", async || {
        let head = client.get("feed", &[]).await;
        (head.elements("event:sequence") == ["1"]).then(|| head.header("etag").to_owned())
    })
    .await;
    let conditions = [
        ("if-none-match", tag.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=20"),
    ];
    let (answer, _) = tokio::join!(client.get("feed", &conditions), system.place());
    assert_eq!(answer.status, 226);
    assert_eq!(answer.elements("event:sequence"), ["2"]);
}
