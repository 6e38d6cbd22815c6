//! A real process of ours: started, stopped, killed.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Client, until};

/// A running process. It is killed when it goes out of scope, and its log is printed if the
/// test has failed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts one of the workspace's binaries. The log goes to a file in `directory`.
    ///
    /// # Panics
    ///
    /// The binary has not been built, or does not start.
    #[must_use]
    pub fn start(name: &str, settings: &[(&str, &str)], directory: &Path) -> Self {
        Self::start_command(name, &mut built(name), settings, directory)
    }

    /// Starts any command.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    pub fn start_command(
        name: &str,
        command: &mut Command,
        settings: &[(&str, &str)],
        directory: &Path,
    ) -> Self {
        let log = directory.join(format!("{name}.log"));
        let open = || -> File {
            let options = OpenOptions::new().create(true).append(true).open(&log);
            options.expect("a log file")
        };
        let child = command
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{name} does not start: {error}")),
            name: name.to_owned(),
            log,
        }
    }

    /// Waits until the service answers.
    ///
    /// # Panics
    ///
    /// It ends, or does not answer in time.
    pub async fn ready(&mut self, client: &Client) {
        until(&format!("{} answers", self.name), async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            let answer = client.try_send("GET", "", &[], "").await?;
            // Its first page may be at another address.
            matches!(answer.status, 200 | 303).then_some(())
        })
        .await;
    }

    /// `kill -9`: it finishes and releases nothing.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Panics
    ///
    /// There is no `kill` command.
    pub fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}"))
            .arg(self.child.id().to_string());
        assert!(kill.status().expect("a kill command").success());
    }

    /// Asks it to stop, and waits until it has; returns its exit code.
    ///
    /// # Panics
    ///
    /// It does not stop in time.
    pub async fn stop(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.ended().await
    }

    /// True if it has ended.
    ///
    /// # Panics
    ///
    /// The system does not say.
    pub fn is_gone(&mut self) -> bool {
        let status = self.child.try_wait().expect("a child of ours");
        status.is_some()
    }

    /// Waits until it has ended by itself; returns its exit code.
    ///
    /// # Panics
    ///
    /// It does not end in time.
    pub async fn ended(&mut self) -> Option<i32> {
        let what = format!("{} ends", self.name);
        let status = until(&what, async || {
            self.child.try_wait().expect("a child of ours")
        });
        status.await.code()
    }

    /// The number that the system knows it by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.name, self.log());
        }
    }
}

/// One of the workspace's binaries, or of its examples: `examples/sales`. The tests are in `deps`,
/// beside the binaries of the same build. A whole path is another program.
///
/// # Panics
///
/// It has not been built.
#[must_use]
pub fn built(name: &str) -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("a target directory");
    let binary = target.join(name);
    assert!(
        binary.exists(),
        "{} is not built: `tests/run` does, or `cargo build --workspace --bins --examples`",
        binary.display()
    );
    let mut command = Command::new(binary);
    // A setting of ours, of OpenTelemetry or a proxy in the environment of the tests is not for what they start.
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| is_of_the_system(name)));
    command
}

/// True for what a program needs to run at all, and to say how it has run.
fn is_of_the_system(name: &OsStr) -> bool {
    const NAMES: [&str; 8] = [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "TZ",
        "TMPDIR",
        "RUST_BACKTRACE",
        "LLVM_PROFILE_FILE",
    ];
    let is_locale = name.to_str().is_some_and(|name| name.starts_with("LC_"));
    is_locale || NAMES.iter().any(|known| name == *known)
}
