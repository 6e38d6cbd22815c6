//! A microservice chassis: what any web service needs around its own business.
//!
//! In reading order: [`Settings`] come from the command line and the environment. [`fn@run`] is a
//! service's `main` except its own part. A [`Mounted`] service has its routes and background tasks,
//! alone on a listening address or joined with others. Every request to it passes limits,
//! credentials and counters. [`html`] is the layout of the pages of all services, [`list`] pages
//! through lists, [`text`] checks what people type, [`routing`] makes routes, and [`openapi`] describes them for programs.
//! [`fn@health`] and `/metrics` are for operators.
//!
//! It depends on HTTP, and on neither feeds nor databases.
#![warn(missing_docs)]

mod answer;
mod body;
mod command_line;
mod connections;
mod credentials;
mod failures;
mod files;
mod guard;
mod health;
mod host;
pub mod html;
mod large;
pub mod list;
mod log_throttle;
mod man_page;
mod metrics;
mod misspelt;
pub mod openapi;
mod origin;
mod path;
mod probe;
mod problems;
mod program;
mod progress;
mod read_once;
mod requests;
pub mod routing;
mod run;
mod sender;
mod serve;
mod service_description;
mod settings;
mod starting;
mod telemetry;
pub mod text;
mod words;

pub use answer::{Wanted, keep_private};
pub use body::{FORM, is_of_type, read_body};
pub use command_line::parse_command_line;
pub use credentials::Credentials;
pub use failures::TimedOut;
pub use feed_http::trace::{Tracing, start_tracing};
pub use health::{describe_health, health};
pub use origin::same_origin;
pub use path::Number;
pub use probe::reachable;
pub use problems::ProblemsAsPages;
pub use program::{block_on, stop_signal};
pub use progress::Progress;
pub use read_once::read_once;
pub use run::run;
pub use serve::{Mounted, ServeError, listen, serve};
pub use service_description::ServiceDescription;
pub use settings::{
    ServerSettings, Settings, parse_address, parse_duration, parse_url, with_defaults,
};
pub use telemetry::{LogFormat, start_logging, start_logging_from};
pub use words::{counted, grouped, moment};
