//! Programs from PyPI, in the virtual environment that `tests/run` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of the virtual environment. A missing one fails the test, unless `tests/run` has said
/// that it cannot install any, and why.
pub(crate) fn tool(name: &str) -> Option<Command> {
    let path = directory().join(name);
    if path.exists() {
        return Some(Command::new(path));
    }
    match std::env::var("TEST_WITHOUT_PROGRAMS") {
        Ok(reason) => {
            println!("skipped, without {name}: {reason}");
            None
        }
        Err(_) => panic!("{} is not installed: `tests/run` does that", path.display()),
    }
}

/// Beside what cargo has built: this test lies in `target/debug/deps`.
fn directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).map(Path::to_owned);
    target.unwrap().join("tools/python/bin")
}

/// Runs it to its end, which is a good one; returns what it has printed.
pub(crate) async fn run(mut command: Command) -> String {
    let run = tokio::task::spawn_blocking(move || {
        let output = command.output();
        (format!("{command:?}"), output.unwrap())
    });
    let (what, output) = run.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}\n{said}\n{complained}");
    said
}
