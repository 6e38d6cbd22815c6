//! The invoice service in a process of its own.

use std::process::ExitCode;

use anyhow::Context;
use feed_core::service::{listen, serve, start_logging, stop_signal};
use invoice::Config;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::from_command_line();
    start_logging(config.settings.log_format);
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut config: Config) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone()).context("cannot listen for signals")?;
    let listener = listen(config.settings.listen, config.settings.allow_anonymous).await?;
    // With port 0 only the listener knows where it is, and links need to.
    config.settings.listen = listener.local_addr()?;
    let (base, feed) = (config.settings.base_url(), config.feed_url.clone());
    let service = invoice::start(config, shutdown.clone()).await?;
    info!("invoice: {base} (following {feed})");
    Ok(serve(listener, service, shutdown).await?)
}
