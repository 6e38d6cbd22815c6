//! Caches written pages, for consumers that catch up at the same time.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::body::Body;
use super::document::LinkHeaders;
use super::form::Form;
use super::page::State;
use crate::cursor::Epoch;
use crate::http::conditional::Validators;
use crate::http::metrics::Counter;

/// Pages kept in memory: some 6 MiB, for consumers that catch up at the same time. Rarely requested
/// pages are read again from the database.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Written pages, in each state that was requested.
#[derive(Debug)]
pub(super) struct PageCache {
    pages: Mutex<LruCache<Key, Written>>,
    hits: Counter,
    misses: Counter,
}

/// The entries of a page change only with the epoch or a [rewrite](crate::sequencer::Sequencer::rewrites), and
/// its links follow from its state.
pub(super) type Key = (Epoch, u64, i64, State, Form);

/// A written page.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) body: Arc<Body>,
    pub(super) validators: Validators,
    pub(super) links: LinkHeaders,
}

impl Default for PageCache {
    fn default() -> Self {
        Self {
            pages: Mutex::new(LruCache::new(KEPT)),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }
}

impl PageCache {
    pub(super) fn get(&self, key: &Key) -> Option<Written> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.get(key).cloned();
        match page {
            Some(_) => self.hits.increment(),
            None => self.misses.increment(),
        }
        page
    }

    pub(super) fn put(&self, key: Key, page: Written) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.put(key, page);
    }

    /// Returns the numbers of cache hits and of misses.
    pub(super) fn asked(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}
