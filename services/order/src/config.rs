//! Every setting of the service.

use feed_chassis::{Settings, parse_url};
use feed_console::DatabaseSettings;
use url::Url;

/// The order service: takes orders, and publishes their events as a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub settings: Settings,

    /// The public address of the invoices; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub invoice_url: Option<Url>,

    /// The public address of the shipments; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub shipping_url: Option<Url>,
}

impl Config {
    /// Defaults, by field name.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8081"),
        ("database_url", "sqlite:data/order.db"),
    ];
}
