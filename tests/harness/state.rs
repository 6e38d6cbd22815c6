//! What a consumer has stored, for a comparison with another consumer of the same feed.

use crate::checker::difference;
use crate::cluster::Cluster;
use crate::tables::rows;

impl Cluster {
    pub(crate) fn service_table(&self) -> &'static str {
        match self.service {
            "invoice" => "invoice",
            _ => "shipment",
        }
    }

    /// All that it has stored and shows on pages, except what depends on the order of arrival or
    /// the time.
    pub async fn state(&self) -> Vec<String> {
        let url = self.database.url();
        let mut tables = vec![
            ("feed_claim", &["claimed"][..]),
            (
                "feed_parked",
                &["position", "attempts", "parked_at", "retry_at"],
            ),
            ("feed_skip", &["skipped_at"]),
        ];
        match self.service {
            "invoice" => tables.extend([
                ("invoice", &["serial"][..]),
                ("invoice_line", &[]),
                ("invoice_counter", &[]),
            ]),
            _ => tables.extend([("shipment", &[][..]), ("shipment_line", &[])]),
        }
        let mut state = Vec::new();
        for (table, without) in tables {
            let rows = rows(url, table, without).await;
            state.extend(rows.into_iter().map(|row| format!("{table} {row}")));
        }
        state
    }

    /// Fails unless this has stored what `other` has.
    ///
    /// # Panics
    ///
    /// It has not.
    pub async fn assert_like(&self, other: &Self) {
        let [ours, theirs] = [self.state().await, other.state().await];
        let [theirs, ours] = [theirs, ours].map(|state| state.into_iter().collect());
        let difference = difference(&theirs, &ours).unwrap_or_default();
        assert_eq!(difference, "", "the state of an undisturbed run");
    }
}
