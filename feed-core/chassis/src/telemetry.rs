//! Logs `tracing` events on standard error, as text for people or as JSON for machines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env::{VarError, var};
use std::error::Error;
use std::io::{self, Write};

use tracing::{Level, enabled, error};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use feed_http::{escape_json, with_causes};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line for people
    Text,
    /// One JSON object a line
    Json,
}

/// Targets that are never logged: sqlx warns about parts of a database's URL there, which may be a
/// password under a mistyped name.
const SILENCED: [&str; 1] = ["sqlx_postgres::options=off"];

/// Starts logging for this process. `RUST_LOG` selects what is logged; the default is `info`, also for what it does not
/// mention. If it is malformed, the process ends with a message.
pub fn start_logging(format: LogFormat) {
    start_logging_from(format, "info");
}

/// Starts logging with another default, in the syntax of `RUST_LOG`.
pub fn start_logging_from(format: LogFormat, default: &str) {
    let filter = filter(var("RUST_LOG"), default).unwrap_or_else(|error| {
        eprintln!(
            "error: the value of RUST_LOG in the environment is no filter for the log: {}; write a level, and others \
             for some targets, such as info,feed_core=debug",
            with_causes(&*error)
        );
        std::process::exit(2)
    });
    let filter = SILENCED.iter().fold(filter, |filter, silent| {
        filter.add_directive(silent.parse().expect("a directive"))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would report to standard error what cannot be written there, and panic: a full disk would end the process.
        .log_internal_errors(false);
    // Fails if logging has started before, as in a test: that one stays.
    let started = match format {
        LogFormat::Text => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_writer(|| Escaping(std::io::stderr()))
            .try_init(),
    };
    if started.is_ok() {
        log_panics();
    }
}

/// Writes lines of JSON with escapes in place of characters that a terminal would obey: a field may have a text of a feed, such
/// as the id of an event.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    /// Takes a whole line, as the log writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => {
                let json = text.trim_end_matches('\n');
                let end = &text[json.len()..];
                self.0
                    .write_all(format!("{}{end}", escape_json(json)).as_bytes())?;
            }
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns the filter that is `set`; `default` is for what it does not mention.
fn filter(
    set: Result<String, VarError>,
    default: &str,
) -> Result<EnvFilter, Box<dyn Error + Send + Sync>> {
    let set = match set {
        Ok(set) => set,
        Err(VarError::NotPresent) => String::new(),
        Err(error) => return Err(error.into()),
    };
    let directives = set.split(',').map(str::trim);
    let mut directives: Vec<&str> = directives.filter(|one| !one.is_empty()).collect();
    let is_for_all = |directive: &&str| directive.parse::<LevelFilter>().is_ok();
    if !directives.iter().any(is_for_all) {
        // Otherwise a mistyped level would be a target, and nothing would be logged, not even an error.
        directives.insert(0, default);
    }
    Ok(EnvFilter::builder().parse(directives.join(","))?)
}

/// Logs a panic in the form of everything else.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !enabled!(Level::ERROR) {
            return usual(panic);
        }
        let at = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::capture();
        let backtrace =
            (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        error!(
            at,
            backtrace,
            "panicked: {}",
            panic.payload_as_str().unwrap_or("without a text")
        );
    }));
}

/// Logs the error that ends the process; prints it if the log is off.
pub(super) fn report(error: &(dyn Error + 'static)) {
    match enabled!(Level::ERROR) {
        true => error!("{}", with_causes(error)),
        false => eprintln!("error: {}", with_causes(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rust_log_does_not_mention_is_logged_by_default() {
        for (set, expected) in [
            ("", "info"),
            (" , ", "info"),
            ("debug", "debug"),
            ("off", "off"),
            ("wrong", "wrong=trace,info"),
            ("a=debug", "a=debug,info"),
            ("a=debug,warn", "a=debug,warn"),
            ("a=debug, warn", "a=debug,warn"),
        ] {
            let filter = filter(Ok(set.to_owned()), "info").expect(set);
            assert_eq!(filter.to_string(), expected, "{set}");
        }
        let unset = filter(Err(VarError::NotPresent), "warn,a=error").expect("a filter");
        assert_eq!(unset.to_string(), "a=error,warn");
        for wrong in ["info,a=nonsense", "a=b=c"] {
            filter(Ok(wrong.to_owned()), "info").expect_err(wrong);
        }
        filter(Err(VarError::NotUnicode("\u{fffd}".into())), "info").expect_err("no text");
    }

    #[test]
    fn a_line_of_json_obeys_no_text_of_a_feed() {
        let mut written = Vec::new();
        let mut writer = Escaping(&mut written);
        let line = "{\"event.ids\":\"urn:x\u{9b}31m\u{202e}ä\"}\n";
        writer.write_all(line.as_bytes()).expect("memory");
        let shown = r#"{"event.ids":"urn:x\u009b31m\u202eä"}"#.to_owned() + "\n";
        assert_eq!(String::from_utf8(written).expect("a text"), shown);
    }

    /// In another process, since the hook is one for all tests.
    #[test]
    fn a_panic_is_logged_in_the_form_of_the_log() {
        const CHILD: &str = "LOG_A_PANIC";
        if std::env::var_os(CHILD).is_some() {
            start_logging(LogFormat::Json);
            std::panic::catch_unwind(|| panic!("attempt to divide by {}", 0))
                .expect_err("it panics");
            return;
        }
        let this = std::env::current_exe().expect("a test");
        let name = "telemetry::tests::a_panic_is_logged_in_the_form_of_the_log";
        let ended = std::process::Command::new(this)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .env_remove("RUST_LOG")
            .output();
        let logged = ended.expect("it runs").stderr;
        let line: serde_json::Value = serde_json::from_slice(&logged).expect("one object");
        assert_eq!(line["message"], "panicked: attempt to divide by 0");
        assert!(
            line["at"]
                .as_str()
                .is_some_and(|at| at.contains("telemetry.rs:")),
            "{line}"
        );
    }
}
