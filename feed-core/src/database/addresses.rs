//! The addresses of a pooler and of sessions may come to lead to different databases, as while one of them follows a
//! failover and the other does not. What is committed by one would not be seen by the other.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info};

use super::options::DatabaseOptions;
use super::{Database, redact_url};
use crate::http::with_causes;
use crate::store::{Backend, DatabaseError};

/// How long a comparison is believed.
const BELIEVED: Duration = Duration::from_secs(3);

/// Two addresses that have to lead to the same database.
#[derive(Debug)]
pub(super) struct Addresses {
    /// What is wrong while they do not.
    pub(super) different: String,
    compared: Mutex<Compared>,
}

#[derive(Debug)]
struct Compared {
    at: Instant,
    differ: bool,
}

impl Addresses {
    /// Those that were compared when the pools were opened, if there are two.
    pub(super) fn of(options: &DatabaseOptions) -> Option<Self> {
        let direct = options.direct_url.as_deref()?;
        let (pooler, direct) = (redact_url(&options.url), redact_url(direct));
        let different = DatabaseError::Different(pooler, direct, options.names.direct_url);
        Some(Self {
            different: different.to_string(),
            compared: Mutex::new(Compared {
                at: Instant::now(),
                differ: false,
            }),
        })
    }

    fn compared(&self) -> MutexGuard<'_, Compared> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true to one caller when they have to be compared again.
    fn are_due(&self) -> bool {
        let mut compared = self.compared();
        let due = compared.at.elapsed() >= BELIEVED;
        if due {
            compared.at = Instant::now();
        }
        due
    }

    fn record(&self, differ: bool) {
        let before = std::mem::replace(&mut self.compared().differ, differ);
        match (before, differ) {
            (false, true) => error!("{}: until they do, nothing is written", self.different),
            (true, false) => info!("both addresses lead to the same database again"),
            _ => {}
        }
    }
}

impl<B: Backend> Database<B> {
    /// Fails while the addresses lead to different databases. Starts the next comparison when that is due, and does not wait for
    /// it: the pooler may be away where the database is not.
    pub(crate) fn check_addresses(&self) -> sqlx::Result<()> {
        let Some(addresses) = &self.shared.addresses else {
            return Ok(());
        };
        if addresses.are_due() {
            let database = self.clone();
            tokio::spawn(async move {
                if let Err(error) = database.compare_addresses().await {
                    debug!(error = with_causes(&error), "cannot compare the addresses");
                }
            });
        }
        match addresses.compared().differ {
            true => Err(io::Error::other(addresses.different.clone()).into()),
            false => Ok(()),
        }
    }

    /// Returns what is wrong if the addresses lead to different databases now.
    pub(super) async fn compare_addresses(&self) -> sqlx::Result<Option<&str>> {
        let Some(addresses) = &self.shared.addresses else {
            return Ok(None);
        };
        // It is open from before the other one is asked until after it: a server that has restarted meanwhile has another
        // identity, and has ended it.
        let mut tx = self.begin_anywhere().await?;
        let sessions = self.statement(async {
            let mut session = self.shared.pools.reader.acquire().await?;
            B::identity(&mut session).await
        });
        let sessions = sessions.await?;
        let transactions = self.statement(B::identity(&mut tx)).await?;
        let differ = sessions != transactions;
        addresses.record(differ);
        if differ {
            // New ones may lead to the same database again.
            self.suspect_connections();
        }
        Ok(differ.then_some(&*addresses.different))
    }
}
