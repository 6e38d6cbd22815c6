//! The invoice service as a process, or one of its commands.

use std::process::ExitCode;

use feed_console::service;
use invoice::InvoiceService;

#[tokio::main]
async fn main() -> ExitCode {
    service::main::<InvoiceService>().await
}
