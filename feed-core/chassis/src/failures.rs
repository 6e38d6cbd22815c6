//! Reports the failures of requests to listeners that can use them, such as a database that does
//! not answer.

use std::fmt;
use std::sync::Arc;

use feed_http::Failure;

/// A request exceeded its timeout. It may have waited for something that no longer answers.
#[derive(Debug, thiserror::Error)]
#[error("the request took too long")]
pub struct TimedOut;

/// The listeners for failures.
#[derive(Clone, Default)]
pub(super) struct Failures(Vec<Arc<Hear>>);

type Hear = dyn Fn(&Failure) + Send + Sync;

impl Failures {
    pub(super) fn add(&mut self, hear: impl Fn(&Failure) + Send + Sync + 'static) {
        self.0.push(Arc::new(hear));
    }

    pub(super) fn join(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(super) fn heard(&self, failure: &Failure) {
        for hear in &self.0 {
            hear(failure);
        }
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failures({})", self.0.len())
    }
}
