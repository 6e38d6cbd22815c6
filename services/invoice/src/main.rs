//! The invoice service as a process, or one of its commands.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    invoice::main().await
}
