//! The invoice service in a process of its own, or a command about what it follows.

use std::process::ExitCode;

use feed_chassis::run;
use invoice::{CommandLine, Config};

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { config, command } = CommandLine::parse();
    if let Some(command) = command {
        return invoice::execute(&config, command).await;
    }
    run(
        config.settings.clone(),
        async |settings, shutdown| -> Result<_, feed_console::StartError> {
            let (base, feed) = (settings.base_url(), config.follow.way()?);
            let service = invoice::start(Config { settings, ..config }, shutdown).await?;
            tracing::info!("invoice: {base} (following {feed})");
            Ok(service)
        },
    )
    .await
}
