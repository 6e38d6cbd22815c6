//! The invoice service in a process of its own.

use std::process::ExitCode;

use feed_core::service::run;
use invoice::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::from_command_line();
    run(config.settings.clone(), async |settings, shutdown| {
        let (base, feed) = (settings.base_url(), config.follow.feed_url.clone());
        let service = invoice::start(Config { settings, ..config }, shutdown).await?;
        tracing::info!("invoice: {base} (following {feed})");
        Ok(service)
    })
    .await
}
