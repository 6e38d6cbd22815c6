//! The order service as its clients see it: the router is called in process, on a fresh database
//! of either kind for each test.

mod app;
mod contract;
mod erase;
mod feed;
mod form;
mod lists;
mod master_data;
mod orders;
mod reconcile;
mod rivals;
mod wire;
