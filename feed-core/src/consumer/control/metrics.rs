//! What a subscription shows at `/metrics`: how far it is behind, and what became of polls and events.

use chrono::Utc;
use futures_util::future::BoxFuture;

use super::handle::Handle;
use crate::http::metrics::{Labels, Measured, Metric};
use crate::store::Backend;
use crate::store::operate::Progress;

impl<B: Backend> Measured for Handle<B> {
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
        Box::pin(async {
            let subscription = ("subscription", self.subscription.name.as_str());
            let mut metrics = Vec::new();
            if let Some(progress) = progress(self).await {
                metrics.extend(shared(subscription, &progress));
                metrics.push(Metric::gauge(
                    "subscription_lag_seconds",
                    "Age of the oldest event that is not taken; it grows while the feed is out of reach.",
                    &[subscription],
                    self.counts.lag(&progress, Utc::now()),
                ));
            }
            metrics.extend(self.counts.metrics(subscription));
            metrics
        })
    }
}

/// How far all instances have got, by what they have written, and by what this one knows.
pub(super) async fn progress<B: Backend>(handle: &Handle<B>) -> Option<Progress> {
    let pool = handle.database.reader().clone();
    let name = handle.subscription.name.clone();
    let progress = async move { B::progress(&pool, &name).await };
    let mut progress = handle
        .counts
        .metrics_queries
        .run(handle.database.health(), progress)
        .await?;
    // What we know ourselves is newer than what we wrote with the last renewal.
    if let Some(leases) = &handle.leases {
        leases.heartbeat(|own| progress.reported.add(own));
    }
    Some(progress)
}

/// What all instances know together.
fn shared(subscription: (&'static str, &str), progress: &Progress) -> Vec<Metric> {
    let labels: &Labels<'_> = &[subscription];
    let mut metrics = Vec::new();
    let mut gauge = |name, help, value| metrics.push(Metric::gauge(name, help, labels, value));
    // A feed that does not number its events does not say how many there are.
    if let Some(head) = progress.reported.head {
        gauge(
            "subscription_lag_events",
            "Events that the feed has shown and that are not taken yet.",
            (head - progress.sequence).max(0) as f64,
        );
    }
    gauge(
        "subscription_halted",
        "1: nothing moves until an operator decides.",
        f64::from(u8::from(progress.halted)),
    );
    gauge(
        "subscription_paused",
        "1: an operator has paused it, and nothing is taken until it is resumed.",
        f64::from(u8::from(progress.paused)),
    );
    gauge(
        "subscription_parked_events",
        "Events that failed and wait for a retry or an operator, up to 10,000.",
        progress.parked as f64,
    );
    gauge(
        "subscription_waiting_events",
        "Later events of their subjects, which wait for them; up to 10,000.",
        progress.waiting as f64,
    );
    gauge(
        "subscription_last_contact_timestamp_seconds",
        "When the feed last answered any instance, or an answer of it was still fresh; 0: never.",
        progress
            .reported
            .last_contact
            .map_or(0.0, |at| at.timestamp_millis() as f64 / 1000.0),
    );
    gauge(
        "subscription_instances",
        "Instances that work on it: those that are alive and not retired.",
        progress.reported.instances as f64,
    );
    metrics
}
