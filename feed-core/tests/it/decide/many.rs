//! Decisions about what failed events have in common, and about what operators have decided before.

use feed_core::Database;
use feed_core::consumer::{DecideError, Decision, Selection, TextError};

use super::Scene;
use crate::support::{Fail, Testable, event, until};

harness::on_both_databases! {
    many_are_selected_by_what_they_have_in_common
    what_failed_after_a_preview_is_not_touched
    a_decision_about_one_event_is_recorded_with_its_id
    the_second_of_two_operators_gets_the_name_of_the_first
    what_cannot_be_recorded_is_refused
    what_an_instance_has_locked_is_left_out_alone
}

/// Parks `count` events without a consumer: of `event_type`, with `cause`, at an instant.
async fn park<B: Testable>(
    database: &Database<B>,
    name: &str,
    count: usize,
    event_type: Option<&str>,
    cause: &str,
    at: &str,
) {
    let event_type = event_type.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, reason, attempts,
                                  event_type, parked_at)
         SELECT 'order', '{name}/' || i, i % 16, '{name}/' || i, i, '{{}}', '{cause}', 1, {event_type}, '{at}'
         FROM n"
    );
    B::run(database, &sql).await;
}

async fn many_are_selected_by_what_they_have_in_common<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let (handle, database) = (&scene.handle, &scene.database);
    let (placed, cancelled) = (Some("order.placed"), Some("order.cancelled"));
    let (january, february) = ("2026-01-15T00:00:00.000Z", "2026-02-15T00:00:00.000Z");
    park(database, "a", 3000, placed, "no customer", january).await;
    park(database, "b", 300, cancelled, "no customer", january).await;
    park(database, "c", 20, placed, "no customer ", february).await;
    park(database, "d", 7, None, "no customer", february).await;
    let at = |text: &str| Some(text.parse().unwrap());
    let of_type = Selection {
        event_type: placed.map(str::to_owned),
        ..Selection::default()
    };
    let late = Selection {
        from: at("2026-02-01T00:00:00Z"),
        ..Selection::of_cause("no customer")
    };
    let early = Selection {
        until: at(january),
        ..Selection::default()
    };
    let of_january = Selection {
        from: at(january),
        until: at(february),
        ..of_type.clone()
    };
    for (selection, expected) in [
        (&Selection::default(), 3327),
        (&of_type, 3020),
        (&Selection::of_cause("no customer"), 3307),
        (&Selection::of_cause("customer"), 0),
        (&late, 7),
        (&early, 0),
        (&of_january, 3000),
    ] {
        let preview = handle.preview(selection, 5).await.unwrap();
        assert_eq!(preview.events, expected, "{selection}");
        assert_eq!(preview.first.len(), expected.min(5) as usize);
    }
    let preview = handle.preview(&of_type, 3).await.unwrap();
    let causes = preview.causes.iter().map(|of| (&*of.cause, of.events));
    let causes: Vec<_> = causes.collect();
    assert_eq!(causes, [("no customer", 3000), ("no customer ", 20)]);
    let types = handle
        .preview(&Selection::default(), 1)
        .await
        .unwrap()
        .types;
    let types: Vec<_> = types
        .iter()
        .map(|of| (of.event_type.as_deref(), of.events))
        .collect();
    assert_eq!(types, [(placed, 3020), (cancelled, 300), (None, 7)]);

    // Nothing else is touched, and one decision says what was.
    assert_eq!(handle.retry_selected(&late, "eve").await.unwrap(), 7);
    let due = "SELECT count(*) FROM feed_parked WHERE retry_at IS NOT NULL";
    assert_eq!(B::numbers(database, due).await, [7]);
    let skipped = handle.skip_selected(&of_january, "a test", "eve").await;
    assert_eq!(skipped.unwrap(), 3000);
    let status = handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (327, 3000));
    let decisions = handle.decisions(10).await.unwrap();
    let [skip, retry] = decisions.as_slice() else {
        panic!("{decisions:?}")
    };
    assert_eq!(skip.decision, format!("skip {of_january}"));
    assert_eq!(skip.outcome.as_deref(), Some("3000 skipped"));
    assert_eq!(retry.decision, format!("retry {late}"));
    assert_eq!(
        (retry.outcome.as_deref(), retry.still_parked),
        (Some("7 to be tried again"), 7)
    );
    // It is found at each event that it has touched.
    for (about, expected) in [("a/2999", &skip.decision), ("d/3", &retry.decision)] {
        let events = handle.events(Some(about), 10).await.unwrap();
        let about = handle.decisions_about(&events).await.unwrap();
        assert_eq!(about.len(), 1);
        assert_eq!(&about[0].decision, expected);
    }
    // All of it is taken back, but for what is too late.
    B::run(
        database,
        "DELETE FROM feed_undo WHERE subject IN ('a/1', 'a/2')",
    )
    .await;
    let undone = handle.undo(skip.position, "ada").await.unwrap();
    let expected = "2998 parked again; 2 stay skipped, for which it is too late";
    assert_eq!(undone.outcome, expected);
    let status = handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (3325, 2));
    let of = handle.preview(&of_january, 1).await.unwrap();
    assert_eq!(of.events, 2998);

    // A selection of nothing is a mistake.
    let none = handle.retry_selected(&early, "eve").await;
    assert!(
        matches!(none, Err(DecideError::NoneSelected(_))),
        "{none:?}"
    );
    let bounded = Selection {
        as_of: at(february),
        ..Selection::default()
    };
    for everything in [&Selection::default(), &bounded] {
        let all = handle.skip_selected(everything, "a test", "eve").await;
        assert!(matches!(all, Err(DecideError::Everything)), "{all:?}");
    }
    assert_eq!(handle.decisions(10).await.unwrap().len(), 3);
}

async fn what_failed_after_a_preview_is_not_touched<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    scene.effect.recorder.fail("order/2", Fail::Retry);
    scene.take(&[event("order/2")]).await;
    let cause = Selection::of_cause("no such customer");
    let preview = scene.handle.preview(&cause, 10).await.unwrap();
    assert_eq!(preview.events, 1);
    // One more is parked for that cause, and one that had failed for another one fails for it.
    scene.effect.recorder.fail("order/3", Fail::Park);
    scene.take(&[event("order/3")]).await;
    scene.effect.recorder.fail("order/2", Fail::Park);
    scene.handle.retry("order/2", "eve").await.unwrap();
    let (consumer, handle) = (&mut scene.consumer, &scene.handle);
    until("it has failed for the same cause", async || {
        consumer.poll_once().await.unwrap();
        handle.preview(&cause, 10).await.unwrap().events == 3
    })
    .await;
    let seen = Selection {
        as_of: Some(preview.as_of),
        ..cause.clone()
    };
    let again = scene.handle.preview(&seen, 10).await.unwrap();
    assert_eq!((again.events, again.as_of), (1, preview.as_of));
    let skipped = scene.handle.skip_selected(&seen, "a test", "eve").await;
    assert_eq!(skipped.unwrap(), 1);
    let skipped = scene.handle.skipped(10).await.unwrap();
    assert_eq!(skipped[0].subject, "order/1");
    assert_eq!(skipped[0].event_type.as_deref(), Some("order.placed"));
    // The second operator with that preview does not read that none is parked.
    let again = scene.handle.retry_selected(&seen, "bob").await;
    assert!(
        matches!(again, Err(DecideError::FailedSince { events: 2, .. })),
        "{again:?}"
    );
}

async fn a_decision_about_one_event_is_recorded_with_its_id<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let id = scene.about_order_1(1).await.remove(0);
    scene.effect.recorder.fail("order/2", Fail::Park);
    scene.take(&[event("order/2")]).await;
    let (handle, database) = (&scene.handle, &scene.database);
    let one = Selection::of_event(&id);
    let preview = handle.preview(&one, 10).await.unwrap();
    assert_eq!((preview.events, &preview.first[0].id), (1, &id));

    // On PostgreSQL a retry does not wait for what the owner of the partition is doing.
    let mut busy = None;
    if B::DIALECT == 0 {
        let mut tx = database.begin().await.unwrap();
        let lock = "SELECT FROM feed_partition FOR UPDATE";
        B::execute(&mut tx, lock).await.unwrap();
        busy = Some(tx);
    }
    handle.retry("order/1", "eve").await.unwrap();
    drop(busy);
    let due = "SELECT subject FROM feed_parked WHERE retry_at IS NOT NULL";
    assert_eq!(B::texts(database, due).await, ["order/1"]);
    handle.skip(&id, "a test", "ada").await.unwrap();
    let left = handle.parked(10).await.unwrap();
    assert_eq!((left.len(), left[0].subject.as_str()), (1, "order/2"));
    let decisions = handle.decisions(10).await.unwrap();
    let [skip, retry] = decisions.as_slice() else {
        panic!("{decisions:?}")
    };
    assert_eq!(
        (&skip.decision, skip.outcome.as_deref()),
        (&format!("skip {id}"), Some("skipped"))
    );
    assert_eq!(skip.reason.as_deref(), Some("a test"));
    assert_eq!(
        (&retry.decision, retry.outcome.as_deref()),
        (&format!("retry {id}"), Some("1 to be tried again"))
    );

    // As a selection it is that event and no other one.
    let gone = handle.retry_selected(&one, "eve").await;
    assert!(
        matches!(&gone, Err(DecideError::AlreadyDecided { by, .. }) if by == "ada"),
        "{gone:?}"
    );
    let other = Selection::of_event(&left[0].id);
    let skipped = handle.skip_selected(&other, "a test", "ada").await;
    assert_eq!(skipped.unwrap(), 1);
}

async fn the_second_of_two_operators_gets_the_name_of_the_first<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let (one, other) = tokio::join!(
        one.skip("order/1", "a test", "ada"),
        other.skip("order/1", "a mistake", "bob")
    );
    let (first, second) = match (one, other) {
        (Ok(_), Err(error)) => ("ada", error),
        (Err(error), Ok(_)) => ("bob", error),
        both => panic!("{both:?}"),
    };
    let told = |error: DecideError, first: &str| match error {
        // The second may look before or after the first has decided.
        DecideError::AlreadyDecided { by, at, .. } | DecideError::SkippedBefore { by, at, .. } => {
            assert_eq!(by, first);
            assert!(chrono::Utc::now() - at < chrono::TimeDelta::minutes(10));
        }
        other => panic!("{other:?}"),
    };
    told(second, first);
    told(
        scene.handle.retry("order/1", "cy").await.unwrap_err(),
        first,
    );
    assert_eq!(scene.handle.decisions(10).await.unwrap().len(), 1);

    // Of many each is skipped once.
    let cause = "no customer";
    let at = "2026-01-15T00:00:00.000Z";
    park(&scene.database, "a", 2500, None, cause, at).await;
    let selection = Selection::of_cause(cause);
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let (one, other) = tokio::join!(
        one.skip_selected(&selection, "a test", "ada"),
        other.skip_selected(&selection, "a mistake", "bob")
    );
    let events = |skipped: &Result<u64, DecideError>| match skipped {
        Ok(events) => *events,
        Err(DecideError::AlreadyDecided { .. }) => 0,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(events(&one) + events(&other), 2500);
    let late = scene.handle.skip_selected(&selection, "so", "cy").await;
    let text = late.unwrap_err().to_string();
    assert!(text.contains("ada") || text.contains("bob"), "{text}");
}

async fn what_cannot_be_recorded_is_refused<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    let handle = &scene.handle;
    let name = handle.retry("order/1", "eve\u{1b}[2J").await;
    assert!(
        matches!(name, Err(DecideError::Name(TextError::Control))),
        "{name:?}"
    );
    let long = "x".repeat(1001);
    for (reason, expected) in [
        ("a\nb", TextError::Control),
        (long.as_str(), TextError::TooLong(1000)),
        (" ", TextError::Missing),
    ] {
        let skip = handle.skip("order/1", reason, "eve").await;
        assert!(
            matches!(&skip, Err(DecideError::Reason(found)) if *found == expected),
            "{skip:?}"
        );
        let of_cause = Selection::of_cause("no such customer");
        let skip = handle.skip_selected(&of_cause, reason, "eve").await;
        assert!(matches!(&skip, Err(DecideError::Reason(_))), "{skip:?}");
    }
    let decide = handle.decide(Decision::Replay(1), &"x".repeat(201)).await;
    assert!(
        matches!(decide, Err(DecideError::Name(TextError::TooLong(200)))),
        "{decide:?}"
    );
    let undo = handle.undo(1, "").await;
    assert!(
        matches!(undo, Err(DecideError::Name(TextError::Missing))),
        "{undo:?}"
    );
    assert_eq!(handle.decisions(10).await.unwrap().len(), 0);
}

/// On PostgreSQL, an instance that tries an event locks its partition. SQLite has one writer, whatever it does.
async fn what_an_instance_has_locked_is_left_out_alone<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let (handle, database) = (&scene.handle, &scene.database);
    let at = "2026-01-15T00:00:00.000Z";
    park(database, "a", 32, None, "no customer", at).await;
    let selection = Selection::of_cause("no customer");
    if B::DIALECT == 0 {
        let mut tx = database.begin().await.unwrap();
        let lock = "SELECT FROM feed_partition WHERE partition = 3 FOR UPDATE";
        B::execute(&mut tx, lock).await.unwrap();
        for (retries, done) in [(true, "30 to be tried again"), (false, "30 skipped")] {
            let decided = match retries {
                true => handle.retry_selected(&selection, "eve").await,
                false => handle.skip_selected(&selection, "a test", "eve").await,
            };
            let error = decided.unwrap_err();
            let text = error.to_string();
            let expected = format!("{done}; the others are as they were: an instance is trying");
            assert!(text.starts_with(&expected), "{text}");
            let DecideError::Partly { error, .. } = error else {
                panic!("{error:?}")
            };
            assert!(matches!(*error, DecideError::BeingTried), "{error:?}");
            let outcome = handle.decisions(1).await.unwrap().remove(0).outcome;
            assert_eq!(outcome.as_deref(), Some(done));
        }
        let left = "SELECT DISTINCT partition FROM feed_parked";
        assert_eq!(B::numbers(database, left).await, [3]);
        drop(tx);
        let rest = handle.skip_selected(&selection, "a test", "eve").await;
        assert_eq!(rest.unwrap(), 2);
        return;
    }
    let skipped = handle.skip_selected(&selection, "a test", "eve").await;
    assert_eq!(skipped.unwrap(), 32);
}
