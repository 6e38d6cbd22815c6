//! Logs `tracing` events on standard error, as text for people or as JSON for machines.

use tracing_subscriber::EnvFilter;

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

/// Starts logging for this process. `RUST_LOG` selects what is logged; the default is `info`.
pub fn start_logging(format: LogFormat) {
    start_logging_from(format, "info");
}

/// Starts logging with another default, in the syntax of `RUST_LOG`.
pub fn start_logging_from(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let filter = SILENCED.iter().fold(filter, |filter, silent| {
        filter.add_directive(silent.parse().expect("a directive"))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would report to standard error what cannot be written there, and panic: a full disk would end the process.
        .log_internal_errors(false);
    // Fails if logging has started before, as in a test: that one stays.
    let _ = match format {
        LogFormat::Text => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
