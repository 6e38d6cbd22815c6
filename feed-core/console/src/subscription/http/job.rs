//! Compares the feed with the stored data in the background: no request waits for another service
//! (I9).

use std::sync::{Arc, Mutex, PoisonError};

use feed_core::Backend;
use feed_core::Sequence;
use feed_core::consumer::{Handle, Period, Reconcile, reconcile};
use feed_core::http::with_causes;

/// The state of the comparison in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum State {
    /// None is running; the database has the result of the last one.
    #[default]
    Idle,
    /// It is running, at the first of the two events.
    Running(Sequence, Sequence),
    /// It failed.
    Failed(String),
}

/// The one comparison that runs in this process.
#[derive(Debug, Default)]
pub(super) struct Job(Mutex<State>);

impl Job {
    pub(super) fn state(&self) -> State {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Starts one; returns false if one is running.
    pub(super) fn start<B: Backend, R: Reconcile<B>>(self: &Arc<Self>, handle: &Handle<B>) -> bool {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Running(..)) {
                return false;
            }
            *state = State::Running(0, 0);
        }
        let (job, handle) = (Arc::clone(self), handle.clone());
        tokio::spawn(async move {
            let progress = Arc::clone(&job);
            let comparing = tokio::spawn(async move {
                let at = |done, all| progress.set(State::Running(done, all));
                reconcile::<B, R>(&handle, Period::default(), at).await
            });
            job.set(match comparing.await {
                Ok(Ok(_)) => State::Idle,
                Ok(Err(error)) => State::Failed(with_causes(&error)),
                Err(_) => State::Failed("it ended by an internal error, see the log".to_owned()),
            });
        });
        true
    }
}
