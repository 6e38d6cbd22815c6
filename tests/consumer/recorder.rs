//! An effect that can be counted.

use feed_core::{Batch, Effect, EffectError, Received};
use harness::Sql;
use sqlx::{Postgres, Sqlite, Transaction};

/// A database in which effects can be recorded.
pub(crate) trait Recording: Sql {
    /// The type of a column that counts up.
    const COUNTER: &'static str;

    /// Writes one effect.
    fn record(
        tx: &mut Transaction<'_, Self>,
        recorder: &Recorder,
        event: &Received,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

macro_rules! recording {
    ($($backend:ty: $counter:literal)*) => {$(
        impl Recording for $backend {
            const COUNTER: &'static str = $counter;

            async fn record(
                tx: &mut Transaction<'_, Self>,
                recorder: &Recorder,
                event: &Received,
            ) -> sqlx::Result<()> {
                let sql = "INSERT INTO effect \
                           (subscription, instance, event_id, subject, data, trace) \
                           VALUES ($1, $2, $3, $4, $5, $6)";
                sqlx::query(sql)
                    .bind(&recorder.subscription)
                    .bind(&recorder.instance)
                    .bind(&event.id)
                    .bind(&event.subject)
                    .bind(&event.data)
                    .bind(event.traceparent.as_deref().unwrap_or_default())
                    .execute(&mut **tx)
                    .await?;
                Ok(())
            }
        }
    )*};
}

recording! {
    Postgres: "BIGINT GENERATED ALWAYS AS IDENTITY"
    Sqlite: "INTEGER PRIMARY KEY AUTOINCREMENT"
}

/// An effect that inserts one row for each event. Only the claims prevent a second row.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) subscription: String,
    pub(crate) instance: String,
}

impl<B: Recording> Effect<B> for Recorder {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            B::record(tx, self, event).await?;
        }
        Ok(())
    }
}
