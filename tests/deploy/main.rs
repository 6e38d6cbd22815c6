//! The deployment, as far as it runs without a container: the real proxy with its own configuration
//! before real services, the roles on a real PostgreSQL, the alerts in Prometheus's own checker, the dashboard in Prometheus,
//! and the files of Compose and Kubernetes as their tools read them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod checks;
mod compose;
mod dashboard;
mod hosted;
mod image;
mod kubernetes;
mod names;
mod network;
mod pages;
mod poolers;
mod prefixes;
mod proxy;
mod redbot;
mod roles;
mod scaled;
mod site;
mod start;
mod start_page;
