//! The shipping service as a process, or one of its commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    feed_chassis::block_on(shipping::main())
}
