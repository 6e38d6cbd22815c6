//! Programs that are not ours.

use std::path::Path;
use std::process::{Command, Output};

/// Where to look for them, before `PATH`: the feedparser of the system is that of the system's
/// Python, and servers lie where only root has a `PATH` to.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/sbin"];

/// True if all these programs are here.
///
/// # Panics
///
/// One is missing, and `tests/run` has not said that it cannot install any, and why.
#[must_use]
pub fn available(names: &[&str]) -> bool {
    for name in names {
        if Command::new(path(name)).arg("--version").output().is_ok() {
            continue;
        }
        match std::env::var("TEST_WITHOUT_PROGRAMS") {
            Ok(reason) => {
                println!("skipped, without {name}: {reason}");
                return false;
            }
            Err(_) => panic!("{name} is not installed: `tests/run` does that"),
        }
    }
    true
}

/// Starts to make a command of a program.
#[must_use]
pub fn program(name: &str) -> Command {
    Command::new(path(name))
}

fn path(name: &str) -> String {
    DIRECTORIES
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| name.to_owned())
}

/// Runs it to its end; returns what it has printed.
///
/// # Panics
///
/// It does not start.
pub async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || {
        let output = command.output();
        output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
    });
    output.await.expect("a command that was started")
}

/// Runs it to its end, which is a good one; returns what it has printed.
///
/// # Panics
///
/// It does not start, or fails.
pub async fn succeed(command: Command) -> String {
    let what = format!("{command:?}");
    let output = run(command).await;
    assert!(output.status.success(), "{what}: {output:#?}");
    String::from_utf8(output.stdout).expect("text")
}
