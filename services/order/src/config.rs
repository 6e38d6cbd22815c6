//! Every setting of the service.

use feed_core::service::Settings;
use url::Url;

/// The order service: takes orders, and publishes what happens to them as a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub settings: Settings,

    /// Where people find invoices; an order's page then links to `URL/{order}`
    #[arg(long, env, value_name = "URL")]
    pub invoice_url: Option<Url>,

    /// Where people find shipments; an order's page then links to `URL/{order}`
    #[arg(long, env, value_name = "URL")]
    pub shipping_url: Option<Url>,
}

impl Config {
    /// What holds where nothing else is said, by the name of the field.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8081"),
        ("database_url", "sqlite:data/order.db"),
    ];

    /// The settings from the command line and the environment. Ends the process with a clear
    /// message where they are wrong.
    #[must_use]
    pub fn from_command_line() -> Self {
        Settings::parse(Self::DEFAULTS)
    }
}
