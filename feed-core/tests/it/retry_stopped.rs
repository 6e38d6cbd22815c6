//! A parked event at whose retry the database fails each time delays no other event.

use feed_core::consumer::Selection;

use crate::faulty_effect::Mistake::{self, Run};
use crate::faulty_effect::{FaultyEffect, Scene};
use crate::support::{Testable, effects, urns};

harness::on_both_databases! {
    a_retry_at_which_the_server_fails_stops_no_round
}

/// By its own words, or since it has ended the session.
fn of_the_server<B: Testable>() -> Vec<Mistake> {
    match B::DIALECT {
        0 => vec![
            Run(["DO $$ BEGIN RAISE 'deadlock' USING ERRCODE = '40P01'; END $$"; 2]),
            Run(["SELECT pg_terminate_backend(pg_backend_pid())"; 2]),
        ],
        _ => vec![Run(["ATTACH '/nowhere/at/all' AS away"; 2])],
    }
}

async fn a_retry_at_which_the_server_fails_stops_no_round<B: Testable>(url: &str) {
    for mistake in of_the_server::<B>() {
        let wrong = Run(["SELECT 1 FROM nowhere"; 2]);
        let mut scene = Scene::<B>::of(url, FaultyEffect::making(wrong)).await;
        scene.drain().await;
        scene.only_its_event_is_parked().await;
        *scene.effect.mistake.lock().unwrap() = Some(mistake);
        let retry = async |scene: &Scene<B>| {
            let handle = scene.consumer.handle();
            handle.retry_selected(&Selection::default(), "me").await
        };
        retry(&scene).await.unwrap();
        let new = scene.publisher.commit("order/1").await;
        scene.publisher.feed.publish().await.unwrap();
        // The round is not stopped: the attempt is recorded, and the next event is applied.
        let mut rounds = 0;
        while effects(&scene.database).await.last() != Some(&new.urn()) {
            let round = scene.consumer.poll_once().await;
            assert!(round.is_ok(), "{mistake:?}: {round:?}");
            rounds += 1;
            assert!(rounds < 100, "{mistake:?}");
        }
        let parked = scene.parked().await;
        assert_eq!(parked.len(), 3, "{mistake:?}: {parked:?}");
        assert_eq!(parked[0].attempts, 2, "{mistake:?}");
        assert!(parked[0].retry_at.is_some(), "{mistake:?}");
        scene.effect.repair();
        retry(&scene).await.unwrap();
        scene.publisher.publish(1).await;
        scene.drain().await;
        assert_eq!(scene.parked().await.len(), 0, "{mistake:?}");
        let of_subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
        let expected = urns(&[scene.ids[3], scene.ids[13], scene.ids[23]]);
        assert_eq!(B::texts(&scene.database, of_subject).await, expected);
    }
}
