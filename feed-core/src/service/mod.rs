//! What every service needs around its own business: settings, logs, a listening address, links
//! that survive a path prefix, a clean stop; and what is alike in all requests and answers.

mod answer;
mod base_url;
pub mod command;
mod command_line;
pub mod conditional;
mod connections;
mod credentials;
mod files;
mod follow;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod health;
pub mod html;
pub mod list;
pub mod metrics;
mod negotiate;
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

pub use answer::{Json, Wanted, keep_private};
pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use command_line::parse_command_line;
pub use credentials::Credentials;
pub use follow::{Follow, parse_poll_interval};
pub use health::{describe_health, health, not_halted};
pub use negotiate::negotiate;
pub(crate) use negotiate::weight;
pub use origin::same_origin;
pub use path::Number;
pub use progress::Progress;
pub(crate) use requests::HeldBack;
pub use run::{run, with_causes};
pub use serve::{Mounted, ServeError, listen, serve, stop_signal};
pub use settings::{Settings, parse_address, parse_duration, parse_url};
pub(crate) use telemetry::start_logging_from;
pub use telemetry::{LogFormat, start_logging};
pub use words::{counted, grouped};

pub use crate::credentials::operator_authorization;
pub use crate::trace::{Tracing, start_tracing};
