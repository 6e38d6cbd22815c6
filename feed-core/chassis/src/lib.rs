//! A microservice chassis: what any web service needs around its own business.
//!
//! In reading order. [`Settings`] are read from the command line and the environment; [`run`] is all of a
//! service's `main` but its own part. [`Mounted`] is a service that is ready: its routes and the work beside them,
//! alone on a listening address or joined with others. Every request passes limits, credentials and
//! counters there. [`html`] is one look for the pages of all services, [`list`] pages through lists, and
//! [`openapi`] describes routes for programs. [`health`] and `/metrics` are for whoever operates it.
//!
//! It knows HTTP, and nothing of feeds and databases.
#![warn(missing_docs)]

mod answer;
mod command_line;
mod connections;
mod credentials;
mod failures;
mod files;
mod guard;
mod health;
pub mod html;
pub mod list;
mod metrics;
pub mod openapi;
mod origin;
mod path;
mod patience;
mod probe;
mod progress;
mod requests;
mod run;
mod serve;
mod settings;
mod telemetry;
mod words;

pub use answer::{Wanted, keep_private};
pub use command_line::parse_command_line;
pub use credentials::Credentials;
pub use failures::TimedOut;
pub use feed_http::trace::{Tracing, start_tracing};
pub use health::{describe_health, health};
pub use origin::same_origin;
pub use path::Number;
pub use progress::Progress;
pub use run::run;
pub use serve::{Mounted, ServeError, listen, serve, stop_signal};
pub use settings::{Settings, parse_address, parse_duration, parse_url};
pub use telemetry::{LogFormat, start_logging, start_logging_from};
pub use words::{counted, grouped};
