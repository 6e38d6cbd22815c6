//! The program `feed`: a feed and its consumers for teams without Rust.
//!
//! It adds no mechanism to the libraries, only a command line: [`serve`] publishes the outbox of an application as a
//! feed, [`deliver`] follows a feed and applies its events by SQL of the team's own, [`tail`] shows a feed in the
//! terminal, [`check`] says whether a feed keeps the rules, and [`status`] shows several consumers at once.

mod check;
mod command_line;
mod deliver;
mod printable;
mod serve;
mod status;
mod tail;
mod types;

use std::process::ExitCode;

use command_line::{Command, Program};

fn main() -> ExitCode {
    feed_chassis::block_on(async {
        match Program::parse().command {
            Command::Serve(serve) => serve::main(*serve).await,
            Command::Deliver(deliver) => deliver::main(*deliver).await,
            Command::Tail(tail) => tail::main(tail).await,
            Command::Check(check) => check::main(check).await,
            Command::Status(status) => status::main(status).await,
        }
    })
}
