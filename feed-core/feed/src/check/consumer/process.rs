//! The consumer under test: a command of a shell, and what it prints.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use url::Url;

use super::Checked;

/// Lines that are kept of what it says.
const KEPT: usize = 100;

/// Lines that are shown of it.
const SHOWN: usize = 3;

/// The longest time for a command that prints the effects.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time that it may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// What it has printed.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The lines on its standard output, if they are its effects.
    pub(super) effects: Vec<String>,
    /// The newest of its other lines.
    said: VecDeque<String>,
    /// How many these were.
    pub(super) lines: usize,
}

impl Printed {
    /// Returns what it said last: a few lines, if it has said anything.
    pub(super) fn last(&self) -> Option<String> {
        let lines = self.said.iter().filter(|line| !line.trim().is_empty());
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        (!last.is_empty()).then(|| last.join("\n       "))
    }
}

/// A command with its environment.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    pub(super) command: String,
    pub(super) url: Url,
    pub(super) fault: &'static str,
}

impl Shell {
    /// Another command in the same environment.
    pub(super) fn of(&self, command: &str) -> Self {
        Self {
            command: command.to_owned(),
            ..self.clone()
        }
    }

    /// A process group of its own: the command may start others.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command])
            .env("FEED_URL", self.url.as_str())
            .env("FEED_FAULT", self.fault)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }
}

/// The processes of a command. They are killed when it is dropped, all but those that have left their group.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn start(shell: &Shell) -> Checked<Self> {
        let child = (shell.command().spawn())
            .map_err(|error| format!("cannot start `{}`: {error}", shell.command))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            id: id.and_then(Pid::from_raw),
            child,
        })
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // All of them may have ended.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Shell {
    /// Runs it until it ends; returns whether it succeeded, and what it printed on both outputs.
    pub(super) async fn output(&self) -> Checked<(ExitStatus, String, String)> {
        let mut group = Group::start(self)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
        let read = async {
            if let (Some(mut stdout), Some(mut stderr)) = (stdout, stderr) {
                tokio::try_join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err))?;
            }
            group.child.wait().await
        };
        let status = timeout(PATIENCE, read).await;
        let status = status.map_err(|_| format!("`{}` takes too long", self.command))?;
        let status = status.map_err(|error| format!("`{}`: {error}", self.command))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((status, text(out), text(err)))
    }
}

/// A consumer that runs.
pub(super) struct Consumer {
    shell: Shell,
    /// Its standard output has its effects.
    prints_effects: bool,
    group: Group,
    printed: Arc<Mutex<Printed>>,
}

impl Consumer {
    pub(super) fn start(shell: Shell, prints_effects: bool) -> Checked<Self> {
        let printed = Arc::default();
        Ok(Self {
            group: start(&shell, prints_effects, &printed)?,
            shell,
            prints_effects,
            printed,
        })
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }

    pub(super) fn printed<T>(&self, look: impl FnOnce(&Printed) -> T) -> T {
        look(&self.printed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how it has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.group.child.try_wait().ok()?
    }

    /// Asks all its processes to stop, and starts it again.
    pub(super) async fn restart(&mut self) -> Checked<()> {
        self.group.signal(Signal::TERM);
        let _ = timeout(STOP, self.group.child.wait()).await;
        self.kill().await
    }

    /// Kills all its processes, and starts it again.
    pub(super) async fn kill(&mut self) -> Checked<()> {
        self.group.signal(Signal::KILL);
        let _ = self.group.child.wait().await;
        self.group = start(&self.shell, self.prints_effects, &self.printed)?;
        Ok(())
    }
}

fn start(shell: &Shell, prints_effects: bool, printed: &Arc<Mutex<Printed>>) -> Checked<Group> {
    let mut group = Group::start(shell)?;
    if let Some(output) = group.child.stdout.take() {
        tokio::spawn(keep(output, Arc::clone(printed), prints_effects));
    }
    if let Some(output) = group.child.stderr.take() {
        tokio::spawn(keep(output, Arc::clone(printed), false));
    }
    Ok(group)
}

async fn keep(output: impl AsyncRead + Unpin, printed: Arc<Mutex<Printed>>, are_effects: bool) {
    let mut lines = BufReader::new(output).split(b'\n');
    // Read invalid UTF-8 too: if its output is not read, the consumer is killed at its next line.
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line).to_owned();
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        match are_effects {
            true => printed.effects.push(line),
            false => {
                printed.lines += 1;
                printed.said.push_back(line);
                if printed.said.len() > KEPT {
                    printed.said.pop_front();
                }
            }
        }
    }
}
