//! What a database shows at `/metrics`: does it answer, can this program work on it, and are there connections left?

use futures_util::future::BoxFuture;
use sqlx::Pool;

use super::{Database, Shared};
use crate::http::metrics::{Measured, Metric};
use crate::store::Backend;

impl<B: Backend> Measured for Database<B> {
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
        Box::pin(async {
            let pool = self.shared.pools.reader.clone();
            let Shared {
                pools,
                metrics_queries,
                health,
                ..
            } = &*self.shared;
            let pools = match pools.ours.is_empty() {
                true => vec![("host", &pools.reader)],
                false => vec![("write", &pools.transactions), ("read", &pools.reader)],
            };
            // Before the questions, which take one.
            let connections: Vec<Metric> = pools
                .into_iter()
                .flat_map(|(name, pool)| connections::<B>(name, pool))
                .collect();
            let ping = metrics_queries.run(health, async move { B::ping(&pool).await });
            let is_up = ping.await.is_some() && self.is_there();
            let gauge =
                |name, help, is: bool| Metric::gauge(name, help, &[], f64::from(u8::from(is)));
            let up = gauge(
                "database_up",
                "1: the database has answered just now; 0: it has not, and what is read from it is missing.",
                is_up,
            );
            let ready = match is_up {
                true => {
                    let database = self.clone();
                    let ready = async move { Ok(database.ready().await.is_ok()) };
                    let ready = metrics_queries.run(health, ready).await;
                    Some(gauge(
                        "database_ready",
                        "1: this program can work on the database; 0: it answers, and has the schema of another \
                         version, or its pooler is away: /health/ready says which.",
                        ready == Some(true),
                    ))
                }
                false => None,
            };
            let writable = is_up.then(|| {
                gauge(
                    "database_writable",
                    "0: the last write failed, since the database has no space, or its disk fails; 1: it did not.",
                    !health.is_full(),
                )
            });
            let known = [Some(up), ready, writable].into_iter().flatten();
            known.chain(connections).collect()
        })
    }
}

fn connections<B: Backend>(pool_name: &str, pool: &Pool<B>) -> [Metric; 3] {
    let idle = pool.num_idle() as f64;
    let used = (f64::from(pool.size()) - idle).max(0.0);
    let connections = |state, count| {
        Metric::gauge(
            "database_connections",
            "Connections to the database, in use and free: some to read, some to write; one to write on SQLite.",
            &[("pool", pool_name), ("state", state)],
            count,
        )
    };
    [
        connections("used", used),
        connections("idle", idle),
        Metric::gauge(
            "database_connections_max",
            "The most connections; a further request waits.",
            &[("pool", pool_name)],
            f64::from(pool.options().get_max_connections()),
        ),
    ]
}
