//! What every service needs around its own business: settings, logs, a listening address, links
//! that survive a path prefix, and a clean stop.

mod base_url;
pub mod conditional;
pub mod html;
mod negotiate;
mod serve;
mod settings;
mod telemetry;

pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use negotiate::negotiate;
pub use serve::{Mounted, ServeError, listen, serve, stop_signal};
pub use settings::{Settings, parse_duration};
pub use telemetry::{LogFormat, start_logging};
