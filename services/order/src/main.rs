//! The order service in a process of its own.

use std::process::ExitCode;

use feed_core::service::run;
use order::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::from_command_line();
    run(config.settings.clone(), async |settings, shutdown| {
        let base = settings.base_url();
        let service = order::start(Config { settings, ..config }, shutdown).await?;
        tracing::info!("order: {base} (feed: {})", base.join("feed"));
        Ok(service)
    })
    .await
}
