//! The invoice service in a process of its own, or a command about what it follows.

use std::process::ExitCode;

use feed_console::service;
use invoice::InvoiceService;

#[tokio::main]
async fn main() -> ExitCode {
    service::main::<InvoiceService>().await
}
