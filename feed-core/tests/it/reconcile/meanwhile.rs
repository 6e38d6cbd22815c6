//! Nothing stands still while we compare, and yet nothing is a difference that is none.

use feed_core::consumer::{Decision, Period, Reconcile, ReconcileError, Reconciliation, reconcile};
use tokio::runtime::Handle as Runtime;
use tokio::task::block_in_place;

use super::{Ledger, Shop, catch_up, whats};
use crate::support::{Fail, Recorder, Testable, consumer, until};

harness::on_both_databases! {
    what_is_applied_meanwhile_is_no_difference
    what_lies_beyond_the_lowest_cursor_is_no_difference
    a_parked_event_that_is_applied_meanwhile_is_no_difference
    nothing_differs_under_traffic
    a_replay_meanwhile_is_an_error
}

impl<B: Testable> Shop<B>
where
    Ledger: Reconcile<B>,
{
    /// Compares, and does something else after the first document was read.
    async fn while_comparing(
        &mut self,
        meanwhile: impl AsyncFnOnce(&mut Self) + Send,
    ) -> Result<Reconciliation, ReconcileError> {
        let handle = self.consumer.handle();
        let mut meanwhile = Some((self, meanwhile));
        let progress = |_, _| {
            if let Some((shop, meanwhile)) = meanwhile.take() {
                block_in_place(|| Runtime::current().block_on(meanwhile(shop)));
            }
        };
        reconcile::<B, Ledger>(&handle, Period::default(), progress).await
    }
}

/// The effect is there, and the event was not read: it came too late.
async fn what_is_applied_meanwhile_is_no_difference<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    shop.take(12).await;
    let result = shop
        .while_comparing(async |shop| {
            shop.take(30).await;
        })
        .await
        .unwrap();
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!((result.to, result.events), (12, 12));
    // And what differs is still found.
    shop.run("DELETE FROM effect WHERE subject = 'order/5'")
        .await;
    shop.run("UPDATE effect SET event_id = 'x' WHERE position = 1")
        .await;
    let result = shop.while_comparing(async |shop| {
        let id = shop.publisher.commit("order/5").await;
        shop.publisher.feed.publish().await.unwrap();
        catch_up(&mut shop.consumer, shop.publisher.feed.cursor().sequence).await;
        assert_eq!(id.urn().len(), 45);
    });
    let result = result.await.unwrap();
    // Order 5 is not certain any more; the next comparison finds it.
    assert_eq!(result.found, 2, "{result:?}");
    assert_eq!(shop.reconcile().await.found, 6);
}

/// Another instance is ahead with its partitions.
async fn what_lies_beyond_the_lowest_cursor_is_no_difference<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    shop.take(47).await;
    shop.run("UPDATE feed_partition SET sequence = 33 WHERE partition = 4")
        .await;
    let result = shop.reconcile().await;
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!((result.to, result.events), (33, 33));
    // One that has not begun does not even know which feed it is.
    shop.run("UPDATE feed_partition SET sequence = 0, epoch = NULL WHERE partition = 4")
        .await;
    let result = shop.reconcile().await;
    assert_eq!(whats(&result), [""; 0]);
    assert_eq!((result.to, result.events), (0, 0));
}

async fn a_parked_event_that_is_applied_meanwhile_is_no_difference<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let fail = ("order/7".to_owned(), Fail::Park);
    shop.recorder.fails.lock().unwrap().push(fail);
    shop.take(30).await;
    let result = shop.while_comparing(async |shop| {
        // The first page is read, with one of them; the others are on later pages.
        shop.recorder.repair();
        let handle = shop.consumer.handle();
        until("all are applied", async || {
            handle
                .retry_selected(&feed_core::consumer::Selection::default(), "Ann")
                .await
                .unwrap();
            shop.consumer.poll_once().await.unwrap();
            handle.parked(1).await.unwrap().is_empty()
        })
        .await;
    });
    assert_eq!(whats(&result.await.unwrap()), [""; 0]);
    assert_eq!(shop.reconcile().await.events, 30);
}

async fn nothing_differs_under_traffic<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let Shop {
        publisher,
        consumer: first,
        database,
        _source: source,
        ..
    } = Shop::<B>::open(url).await;
    let handle = first.handle();
    let second = consumer(&database, handle.feed_url().as_str(), Recorder::default()).await;
    let stop = [first.shutdown(), second.shutdown()];
    let running = [tokio::spawn(first.run()), tokio::spawn(second.run())];
    let publishing = tokio::spawn(async move {
        for n in 0..150 {
            publisher.publish(1 + n % 3).await;
        }
        publisher
    });
    let mut compared = 0;
    loop {
        let done = publishing.is_finished();
        let result = reconcile::<B, Ledger>(&handle, Period::default(), |_, _| ()).await;
        let result = result.unwrap();
        assert_eq!(whats(&result), [""; 0]);
        compared = compared.max(result.events);
        if done && result.to == 300 {
            break;
        }
    }
    assert_eq!(compared, 300);
    stop.iter().for_each(|stop| stop.cancel());
    for task in running {
        task.await.unwrap();
    }
    drop(source);
}

async fn a_replay_meanwhile_is_an_error<B: Testable>(url: &str)
where
    Ledger: Reconcile<B>,
{
    let mut shop = Shop::<B>::open(url).await;
    let fail = ("order/9".to_owned(), Fail::Park);
    shop.recorder.fails.lock().unwrap().push(fail);
    shop.take(20).await;
    let result = shop.while_comparing(async |shop| {
        // What was parked is taken again, and for a moment not parked. All cursors are back where
        // they were before we look again.
        shop.run("DELETE FROM effect").await;
        shop.recorder.repair();
        let handle = shop.consumer.handle();
        handle.decide(Decision::Replay(11), "Ann").await.unwrap();
        until("it is carried out", async || {
            shop.consumer.poll_once().await.unwrap();
            let decision = handle.status().await.unwrap().decision;
            decision.is_none()
        })
        .await;
        catch_up(&mut shop.consumer, 20).await;
    });
    let error = result.await.unwrap_err();
    assert!(matches!(error, ReconcileError::Moved), "{error}");
}
