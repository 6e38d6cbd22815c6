//! A program: its runtime, and the signals that stop it.

use std::io::{IsTerminal, stdin};
use std::panic::{set_hook, take_hook};
use std::process::{ExitCode, exit};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a program that has ended waits for threads that are blocked.
const BLOCKED: Duration = Duration::from_secs(1);

/// The exit codes of a shell for a process that a signal has ended.
const TERMINATED: i32 = 128 + 15;
const INTERRUPTED: i32 = 128 + 2;

/// Runs a program, as `#[tokio::main]` does, and returns within a second of its end. The system may block a thread for
/// longer: a look-up of a name takes half a minute where no name server answers.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     feed_chassis::block_on(async { ExitCode::SUCCESS })
/// }
/// ```
///
/// Where the system has too few threads for it, it prints that, and ends the process with 1.
pub fn block_on(program: impl Future<Output = ExitCode>) -> ExitCode {
    // If a thread is missing, tokio 1.54 panics, and would then wait for ever for those that it has begun.
    let usual = take_hook();
    set_hook(Box::new(|panic| {
        let why = panic.payload_as_str().unwrap_or("no runtime");
        eprintln!("the system has too few threads for this program: {why}");
        exit(1);
    }));
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    set_hook(usual);
    let code = runtime.block_on(program);
    runtime.shutdown_timeout(BLOCKED);
    code
}

/// The same on Linux and macOS, except on MIPS.
const SIGXFSZ: std::ffi::c_int = 25;

/// Cancels `shutdown` at `SIGTERM` or Ctrl-C, and when its terminal is closed. Any other `SIGHUP` ends nothing, also
/// before there are credentials to read again, and where there are none. A file that reaches the size limit (`ulimit -f`) no
/// longer ends the process: a write to it fails, as on a full disk.
///
/// After that, a second `SIGTERM` or Ctrl-C ends the process at once: the database rolls back what is under way.
///
/// # Errors
///
/// Returns an error if the process cannot receive signals.
pub fn stop_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let had_terminal = stdin().is_terminal();
    // By default it ends the process silently.
    let _listened_to = signal(SignalKind::from_raw(SIGXFSZ))?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // A closed terminal is none any more.
                _ = hangup.recv() => {
                    if had_terminal && !stdin().is_terminal() {
                        break;
                    }
                }
            }
        }
        info!("stopping");
        shutdown.cancel();
        let code = tokio::select! {
            _ = terminate.recv() => TERMINATED,
            _ = interrupt.recv() => INTERRUPTED,
        };
        warn!("ended by a second signal");
        exit(code);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::sync::mpsc;

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    #[test]
    fn a_blocked_thread_does_not_keep_the_program() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let (report, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let code = block_on(async {
                let (begun, begins) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    let _ = begun.send(());
                    let _ = blocked.recv();
                });
                begins.await.expect("it begins");
                ExitCode::from(7)
            });
            report.send(code)
        });
        let code = ended.recv_timeout(Duration::from_secs(20));
        drop(unblock);
        assert_eq!(code, Ok(ExitCode::from(7)));
    }

    /// In another process, which it ends.
    #[test]
    fn a_second_signal_ends_a_program_that_is_stopping() {
        const CHILD: &str = "STOP_TWICE";
        if std::env::var_os(CHILD).is_some() {
            block_on(async {
                let shutdown = CancellationToken::new();
                stop_signal(shutdown.clone()).expect("signals");
                println!("\nrunning");
                shutdown.cancelled().await;
                println!("\nstopping");
                tokio::time::sleep(Duration::from_secs(20)).await;
                ExitCode::SUCCESS
            });
            return;
        }
        let this = std::env::current_exe().expect("a test");
        let name = "program::tests::a_second_signal_ends_a_program_that_is_stopping";
        for (signal, code) in [(Signal::TERM, TERMINATED), (Signal::INT, INTERRUPTED)] {
            let mut child = Command::new(&this)
                .args(["--exact", name, "--nocapture"])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .spawn()
                .expect("it runs");
            let printed = child.stdout.take().expect("its output");
            let mut lines = BufReader::new(printed).lines();
            let id = Pid::from_child(&child);
            for awaited in ["running", "stopping"] {
                let line = lines.find(|line| line.as_ref().is_ok_and(|line| line == awaited));
                assert!(line.is_some(), "{awaited}");
                kill_process(id, signal).expect("a process");
            }
            let ended = child.wait().expect("a child");
            assert_eq!(ended.code(), Some(code), "{signal:?}");
        }
    }
}
