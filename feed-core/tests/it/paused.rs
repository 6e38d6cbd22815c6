//! A subscription that an operator has paused takes no event, and an instance that is retired takes none.

use feed_core::consumer::{DecideError, Decision, Handle, Polled};
use feed_core::{Consumer, Database, Subscription};
use futures_util::future::join;
use sqlx::Postgres;

use crate::support::{Fail, Recorder, Scene, Testable, consumer, effects, until, urns};

harness::on_both_databases! {
    nothing_is_taken_from_the_moment_of_a_pause
    a_transaction_that_has_begun_is_finished
    what_is_parked_is_not_retried_before_the_end_of_a_pause
    a_paused_subscription_knows_how_far_the_feed_is
    the_second_to_pause_gets_the_name_of_the_first
    a_retired_instance_leaves_its_share_to_the_others
    the_last_instance_is_not_retired
    an_instance_that_has_been_silent_is_retired
    an_instance_of_an_older_version_is_not_retired
}

impl<B: Testable> Scene<B> {
    async fn consumer(&self, effect: Recorder) -> Consumer<B, Recorder> {
        consumer(&self.database, &self.feed, effect).await
    }

    async fn taken(&self) -> usize {
        effects(&self.database).await.len()
    }
}

/// Also of an instance that has not heard of it: it holds its partitions and their cursors in memory.
async fn nothing_is_taken_from_the_moment_of_a_pause<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let mut consumer = scene.consumer(Recorder::default()).await;
    let mut ids = scene.publisher.publish(5).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(5));
    ids.extend(scene.publisher.publish(5).await);
    scene
        .operator
        .pause("the ledger moves", "eve")
        .await
        .unwrap();
    for _ in 0..5 {
        let polled = consumer.poll_once().await.unwrap();
        assert!(!matches!(polled, Polled::Applied(_)), "{polled:?}");
    }
    // Nor by one that starts now.
    let mut next = scene.consumer(Recorder::default()).await;
    assert_eq!(next.poll_once().await.unwrap(), Polled::Paused);
    assert_eq!(scene.taken().await, 5);
    let stop = next.shutdown();
    stop.cancel();
    next.run().await;

    scene.operator.unpause("jo").await.unwrap();
    let running = tokio::spawn(consumer.run());
    until("the rest is taken", async || scene.taken().await == 10).await;
    assert_eq!(effects(&scene.database).await, urns(&ids));
    let decisions = scene.operator.decisions(10).await.unwrap();
    let said: Vec<_> = decisions
        .iter()
        .map(|it| {
            (
                it.decision.as_str(),
                it.decided_by.as_str(),
                it.reason.as_deref(),
            )
        })
        .collect();
    let expected = [
        ("resume", "jo", None),
        ("pause", "eve", Some("the ledger moves")),
    ];
    assert_eq!(said, expected);
    running.abort();
}

/// An operator who pauses since an effect hangs does not wait for it.
async fn a_transaction_that_has_begun_is_finished<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    // One writer: there the pause is recorded once the transaction has ended.
    if B::DIALECT == 1 {
        return;
    }
    let effect = Recorder::failing("order/0", Fail::Hang);
    let consumer = scene.consumer(effect.clone()).await;
    let handle = consumer.handle();
    scene.publisher.publish(1).await;
    let running = tokio::spawn(consumer.run());
    effect.tried.notified().await;
    scene.operator.pause("it hangs", "eve").await.unwrap();
    effect.go.notify_one();
    let status = async || scene.operator.status().await.unwrap();
    until("it is finished", async || scene.taken().await == 1).await;
    scene.publisher.publish(1).await;
    until("the news is seen", async || {
        handle.poll_now();
        status().await.head == 2
    })
    .await;
    assert_eq!((status().await.sequence, scene.taken().await), (1, 1));
    running.abort();
}

async fn what_is_parked_is_not_retried_before_the_end_of_a_pause<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let effect = Recorder::failing("order/0", Fail::Park);
    let consumer = scene.consumer(effect.clone()).await;
    let handle = consumer.handle();
    scene.publisher.publish(1).await;
    let running = tokio::spawn(consumer.run());
    until("it is parked", async || {
        handle.status().await.unwrap().parked == 1
    })
    .await;
    effect.repair();
    handle.pause("why", "eve").await.unwrap();
    handle.retry("order/0", "eve").await.unwrap();
    scene.publisher.publish(1).await;
    until("the feed was asked while paused", async || {
        handle.poll_now();
        handle.status().await.unwrap().head == 2
    })
    .await;
    assert_eq!(
        (
            scene.taken().await,
            handle.parked(9).await.unwrap()[0].attempts
        ),
        (0, 1)
    );
    handle.unpause("eve").await.unwrap();
    until("both are applied", async || scene.taken().await == 2).await;
    running.abort();
}

async fn a_paused_subscription_knows_how_far_the_feed_is<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    scene.operator.pause("not yet", "eve").await.unwrap();
    let mut consumer = scene.consumer(Recorder::default()).await;
    scene.publisher.publish(7).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Paused);
    let status = consumer.handle().status().await.unwrap();
    assert_eq!((status.sequence, status.head, status.lag.events), (0, 7, 7));
    assert!(status.last_contact.is_some() && status.is_stopped());
    let paused = status.paused.unwrap();
    assert_eq!(
        (paused.by.as_str(), paused.reason.as_str()),
        ("eve", "not yet")
    );
}

async fn the_second_to_pause_gets_the_name_of_the_first<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let operator = &scene.operator;
    assert!(matches!(
        operator.unpause("eve").await,
        Err(DecideError::NotPaused)
    ));
    let (one, other) = join(operator.pause("a", "eve"), operator.pause("b", "jo")).await;
    let (first, refused) = match (one, other) {
        (Ok(()), Err(refused)) => ("eve", refused),
        (Err(refused), Ok(())) => ("jo", refused),
        both => panic!("{both:?}"),
    };
    assert!(
        refused.to_string().contains(&format!("by {first} since")),
        "{refused}"
    );
    let (one, other) = join(operator.unpause("eve"), operator.unpause("jo")).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(matches!(
        operator.pause(" ", "eve").await,
        Err(DecideError::Reason(_))
    ));
    assert!(operator.status().await.unwrap().paused.is_none());
}

async fn a_retired_instance_leaves_its_share_to_the_others<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let running: Vec<_> = [
        scene.consumer(Recorder::default()).await,
        scene.consumer(Recorder::default()).await,
    ]
    .map(|consumer| tokio::spawn(consumer.run()))
    .into();
    let instances = async || scene.operator.instances(10).await.unwrap();
    until("both have a share", async || {
        let instances = instances().await;
        instances.len() == 2 && instances.iter().all(|it| it.partitions == 8)
    })
    .await;
    let first = instances().await.remove(0);
    assert_eq!(first.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert!(first.alive && first.started_at.is_some());
    let retire = scene.operator.retire(&first.instance, "slow", "eve").await;
    retire.unwrap();
    until("the other has all", async || {
        let shares = instances().await;
        let of = |name: &str| {
            shares
                .iter()
                .find(|it| it.instance == name)
                .unwrap()
                .partitions
        };
        of(&first.instance) == 0 && shares.iter().map(|it| it.partitions).sum::<i64>() == 16
    })
    .await;
    let ids = scene.publisher.publish(40).await;
    until("all is taken", async || scene.taken().await == 40).await;
    let mut taken = effects(&scene.database).await;
    taken.sort();
    assert_eq!(taken, urns(&ids));
    let status = scene.operator.status().await.unwrap();
    assert_eq!(status.instances, 1, "a retired one does not count");
    assert_eq!(status.retired, 1);
    until("it no longer says how far the feed is", async || {
        let says = "SELECT count(*) FROM feed_instance WHERE head_sequence IS NOT NULL AND retired_at IS NOT NULL";
        B::numbers(&scene.database, says).await == [0]
    })
    .await;
    let again = scene.operator.retire(&first.instance, "slow", "jo").await;
    let again = again.unwrap_err().to_string();
    assert!(again.contains("already, by eve"), "{again}");
    running.into_iter().for_each(|task| task.abort());
}

/// It may come back.
async fn an_instance_that_has_been_silent_is_retired<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let operator = &scene.operator;
    let _both = [
        scene.consumer(Recorder::default()).await,
        scene.consumer(Recorder::default()).await,
    ];
    let silent = operator.instances(10).await.unwrap().remove(0).instance;
    let ended =
        format!("UPDATE feed_instance SET alive_until = started_at WHERE instance = '{silent}'");
    B::run(&scene.database, &ended).await;
    operator.retire(&silent, "why", "eve").await.unwrap();
    let again = operator.retire(&silent, "why", "jo").await;
    assert!(matches!(again, Err(DecideError::Retired(..))), "{again:?}");
    // Without a live one, no other would take its events.
    B::run(
        &scene.database,
        "UPDATE feed_instance SET retired_at = NULL, retired_by = NULL, alive_until = started_at",
    )
    .await;
    let refused = operator
        .retire(&silent, "why", "eve")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        format!(
            "no instance but {silent} takes events: start another one first, or pause the subscription"
        )
    );
    // What ended longer ago than an hour is not listed, also before it is swept.
    let hours = "UPDATE feed_instance SET alive_until = '2026-01-01T00:00:00.000Z'";
    B::run(&scene.database, hours).await;
    assert_eq!(operator.instances(10).await.unwrap().len(), 0);
    let refused = operator
        .retire("other", "why", "eve")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "no instance is called other: `instances` lists those of the last hour"
    );
}

async fn the_last_instance_is_not_retired<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let operator = &scene.operator;
    let unknown = operator.retire("nobody", "why", "eve").await;
    assert!(matches!(unknown, Err(DecideError::NoSuchInstance(_))));
    let _both = [
        scene.consumer(Recorder::default()).await,
        scene.consumer(Recorder::default()).await,
    ];
    let names: Vec<_> = operator.instances(10).await.unwrap();
    let [one, other] = [&names[0].instance, &names[1].instance];
    let (a, b) = join(
        operator.retire(one, "why", "eve"),
        operator.retire(other, "why", "jo"),
    )
    .await;
    let refused = match (a, b) {
        (Ok(()), Err(refused)) | (Err(refused), Ok(())) => refused,
        both => panic!("{both:?}"),
    };
    assert!(matches!(refused, DecideError::LastInstance(_)), "{refused}");
    let working = operator.instances(10).await.unwrap();
    assert_eq!(working.iter().filter(|it| it.takes_events()).count(), 1);
}

/// PostgreSQL refuses notifications when too many wait to be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_made_although_no_instance_can_be_notified() {
    let fresh = harness::FreshDatabase::postgres().await;
    let scene = Scene::<Postgres>::new(fresh.url()).await;
    let mut consumer = scene
        .consumer(Recorder::failing("order/0", Fail::Park))
        .await;
    let ids = scene.publisher.publish(1).await;
    consumer.poll_once().await.unwrap();
    let full = "DO $$ BEGIN
            CREATE FUNCTION pg_notify(TEXT, TEXT) RETURNS VOID LANGUAGE plpgsql
                AS 'BEGIN RAISE ''too many notifications in the NOTIFY queue''; END';
            EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
        END $$";
    Postgres::run(&scene.database, full).await;
    let database = Database::<Postgres>::open(fresh.url()).await.unwrap();
    let notified = "SELECT pg_notify('any', '')";
    assert!(Postgres::try_run(&database, notified).await.is_err());
    let subscription = Subscription::new("order", scene.feed.parse().unwrap());
    let operator = Handle::to_read(database, subscription);
    operator.pause("the ledger moves", "eve").await.unwrap();
    operator.unpause("eve").await.unwrap();
    operator.retry(&ids[0].urn(), "eve").await.unwrap();
    operator.skip(&ids[0].urn(), "a test", "eve").await.unwrap();
    let replay = operator.decide(Decision::Replay(1), "eve").await.unwrap();
    operator.undo(replay, "eve").await.unwrap();
    assert_eq!(operator.decisions(10).await.unwrap().len(), 6);
}

/// It knows nothing of that, and would take events all the same.
async fn an_instance_of_an_older_version_is_not_retired<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let _other = scene.consumer(Recorder::default()).await;
    let older = "INSERT INTO feed_instance (subscription, instance, alive_until)
                 VALUES ('order', 'older', '2100-01-01T00:00:00.000Z')";
    B::run(&scene.database, older).await;
    let refused = scene.operator.retire("older", "why", "eve").await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, DecideError::Older(_)), "{refused:?}");
    assert_eq!(scene.operator.decisions(1).await.unwrap().len(), 0);
}
