//! Shows the progress of an operation: a bar on a terminal, otherwise a line from time to time. It
//! writes to standard error, so that standard output has the result alone.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::words::grouped;

/// The pause between two lines without a terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// A progress display, which disappears when dropped.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    /// The last line, and when it was written.
    said: Option<(String, Instant)>,
}

impl Progress {
    /// Creates the display of `what`: "Replaying".
    #[must_use]
    pub fn of(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}");
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar.set_prefix(what);
            bar
        });
        Self {
            what,
            bar,
            said: None,
        }
    }

    /// Shows `done` of `all`.
    pub fn at(&mut self, done: i64, all: i64) {
        let done = done.clamp(0, all.max(0));
        if let Some(bar) = &self.bar {
            bar.set_length(all.unsigned_abs());
            bar.set_position(done.unsigned_abs());
        }
        self.say(&format!("{} of {}", grouped(done), grouped(all)));
    }

    /// Shows what the operation waits for.
    pub fn say(&mut self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
            bar.tick();
            return;
        }
        let again = |(text, at): &(String, Instant)| text != message && at.elapsed() > PAUSE;
        if self.said.as_ref().is_none_or(again) {
            eprintln!("{}: {message}", self.what);
            self.said = Some((message.to_owned(), Instant::now()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
