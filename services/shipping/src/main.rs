//! The shipping service as a process, or one of its commands.

use std::process::ExitCode;

use feed_console::service;
use shipping::ShippingService;

#[tokio::main]
async fn main() -> ExitCode {
    service::main::<ShippingService>().await
}
