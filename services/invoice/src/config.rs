//! Every setting of the service.

use feed_core::service::{Follow, Settings};

/// The invoice service: writes an invoice for each order that it reads of in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub settings: Settings,

    #[command(flatten)]
    pub follow: Follow,
}

impl Config {
    /// What holds where nothing else is said, by the name of the field.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8082"),
        ("database_url", "sqlite:data/invoice.db"),
        ("instance", "invoice"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];

    /// The settings from the command line and the environment. Ends the process with a clear
    /// message where they are wrong.
    #[must_use]
    pub fn from_command_line() -> Self {
        Settings::parse(Self::DEFAULTS)
    }
}
