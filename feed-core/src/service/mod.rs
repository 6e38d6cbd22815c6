//! What every service needs around its own business: settings, logs, a listening address, links
//! that survive a path prefix, a clean stop; and what is alike in all requests and answers.

mod answer;
mod base_url;
pub mod conditional;
mod connections;
mod follow;
mod health;
pub mod html;
pub mod list;
pub mod metrics;
mod negotiate;
mod origin;
mod path;
mod requests;
mod run;
mod serve;
mod settings;
mod telemetry;

pub use answer::{Json, Wanted, keep_private};
pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use follow::Follow;
pub use health::{health, not_halted};
pub use negotiate::negotiate;
pub use origin::same_origin;
pub use path::Number;
pub(crate) use requests::HeldBack;
pub use run::run;
pub(crate) use run::with_causes;
pub use serve::{Mounted, ServeError, listen, serve, stop_signal};
pub use settings::{Settings, parse_duration};
pub(crate) use telemetry::start_logging_from;
pub use telemetry::{LogFormat, start_logging};

pub use crate::trace::{Tracing, start_tracing};
