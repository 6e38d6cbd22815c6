//! Programs of other projects.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where they are looked up before `PATH`: the feedparser of the system belongs to the system's
/// Python, and only root's `PATH` has the directories of servers.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/sbin"];

/// True if all these programs are installed.
///
/// # Panics
///
/// One is missing, and `tests/run` has not reported that it cannot install any, and why.
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

/// A command of a program, without arguments.
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

/// The directory where `tests/run` has installed the libraries of an example; `None` if it could not.
///
/// # Panics
///
/// It is missing, and `tests/run` has not reported why.
#[must_use]
pub fn installed(language: &str) -> Option<PathBuf> {
    let environment = environment();
    let tools = environment.ancestors().nth(2).expect("target/tools");
    let directory = tools.join(language);
    if directory.join("installed").exists() {
        return Some(directory);
    }
    match std::env::var(format!("TEST_WITHOUT_{}", language.to_uppercase())) {
        Ok(reason) => {
            println!("skipped, without {language}: {reason}");
            None
        }
        Err(_) => panic!(
            "{} is not there: `tests/run` installs it",
            directory.display()
        ),
    }
}

/// A program from `PyPI`, in the virtual environment that `tests/run` makes.
///
/// # Panics
///
/// It is missing, and `tests/run` has not reported that it cannot install any, and why.
#[must_use]
pub fn tool(name: &str) -> Option<Command> {
    let path = environment().join(name);
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

/// Beside cargo's output: tests are in `target/debug/deps`.
fn environment() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test.ancestors().nth(3).expect("a target directory");
    target.join("tools/python/bin")
}

/// Runs a command until it has finished; returns what it has printed.
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

/// Runs a command until it has succeeded; returns what it has printed.
///
/// # Panics
///
/// It does not start, or fails.
pub async fn succeed(command: Command) -> String {
    let what = format!("{command:?}");
    let output = run(command).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}\n{said}\n{complained}");
    said
}
