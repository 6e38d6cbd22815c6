//! The order service as a process, or one of its commands.

use std::process::ExitCode;

use feed_chassis::{block_on, run};
use order::{CommandLine, Config};

fn main() -> ExitCode {
    block_on(run_order())
}

async fn run_order() -> ExitCode {
    let CommandLine { config, command } = CommandLine::parse();
    if let Some(command) = command {
        return order::execute(config, command).await;
    }
    run(
        config.settings.clone(),
        async |settings, shutdown| -> Result<_, feed_console::StartError> {
            let base = settings.base_url();
            let config = Config {
                settings,
                ..config.clone()
            };
            let service = order::start(config, shutdown).await?;
            tracing::info!("order: {base} (feed: {})", base.join("feed"));
            Ok(service)
        },
    )
    .await
}
