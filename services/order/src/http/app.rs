//! What the handlers work with.

use std::sync::Arc;

use super::pages::Pages;
use crate::orders::Orders;
use crate::store::Store;

/// The orders, and how their pages look.
pub(super) struct App<S: Store> {
    pub(super) orders: Orders<S>,
    pub(super) pages: Arc<Pages>,
}

impl<S: Store> Clone for App<S> {
    fn clone(&self) -> Self {
        Self {
            orders: self.orders.clone(),
            pages: Arc::clone(&self.pages),
        }
    }
}
