//! `feed tail`: follows any feed in the terminal.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::SecondsFormat;
use feed_chassis::{LogFormat, parse_duration, read_once, start_logging_from};
use feed_console::parse_feed_url;
use feed_core::consumer::{
    FeedCredentials, FeedOptionNames, FetchError, PollError, Subscription, Tail as Follow,
    TailError, TailFrom,
};
use feed_core::http::{escape_json, with_causes};
use feed_core::{Cursor, Received};
use url::Url;

use crate::deliver::as_json;
use crate::printable::{compact, one_line};
use crate::types::{self, parse_type};

/// The longest pause before a request that follows a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Example: tail http://127.0.0.1:8081/feed
Example: tail http://127.0.0.1:8081/feed --after start --until-now --json | jq -r .subject
Example: tail http://127.0.0.1:8081/feed --type order.placed --data

A line has the sequence, the time, the type and the subject of an event. Exit codes: 0 at the end; 1 if the feed does not \
continue from where it was read last; 2 if it cannot be read.";

/// Show the events of a feed as they come
///
/// Begins with the newest ten. Reads any Atom feed; one that was not made by feed-core has no sequences. Waits at the
/// server for new events, and asks again after an interruption: each event is shown once.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tail {
    /// The address of the feed
    #[arg(value_name = "URL", env = "FEED_URL", value_parser = parse_feed_url)]
    url: Url,

    /// Begin after this cursor of the feed; `start` begins with the first event
    #[arg(long, value_name = "CURSOR", value_parser = parse_begin, conflicts_with = "last")]
    after: Option<Begin>,

    /// Begin with the newest so many events that it shows, as far as the first document of the feed has them
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    last: usize,

    /// Show only events of this type; repeat it for more types
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    types: Vec<String>,

    /// Show only events of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// Show the data of each event at the end of its line
    #[arg(long)]
    data: bool,

    /// Print each event as a line of JSON, with its data
    #[arg(long, conflicts_with = "data")]
    json: bool,

    /// Stop at the newest event, and do not wait for more
    #[arg(long)]
    until_now: bool,

    /// Credentials for the feed: a file with one line, `NAME:PASSWORD` or a token
    #[arg(long, env, value_name = "FILE", value_parser = read_once(FeedCredentials::from_setting))]
    feed_credentials_file: Option<FeedCredentials>,

    /// The pause between two requests where the server does not hold them back
    #[arg(long, env, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    poll_interval: Duration,
}

/// Where to begin, as it is written.
#[derive(Debug, Clone)]
enum Begin {
    Start,
    After(Cursor),
}

fn parse_begin(text: &str) -> Result<Begin, String> {
    match text {
        "start" => Ok(Begin::Start),
        text => text
            .parse()
            .map(Begin::After)
            .map_err(|error: feed_core::InvalidCursor| error.to_string()),
    }
}

/// Shows events until there are no more, or Ctrl-C.
pub(crate) async fn main(tail: Tail) -> ExitCode {
    start_logging_from(LogFormat::Text, "warn");
    match follow(&tail).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Ended::Output(error)) => {
            eprintln!("cannot print: {error}");
            ExitCode::from(2)
        }
        Err(Ended::Feed(error @ TailError::Lost(_))) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
        Err(Ended::Feed(error)) => {
            eprintln!("{}", with_causes(&error));
            ExitCode::from(2)
        }
    }
}

/// Why it ends before its end.
enum Ended {
    Feed(TailError),
    Output(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

async fn follow(tail: &Tail) -> Result<(), Ended> {
    let subscription = Subscription {
        credentials: tail.feed_credentials_file.clone(),
        poll_interval: tail.poll_interval,
        names: FeedOptionNames {
            feed_url: "URL",
            credentials: "--feed-credentials-file",
            ..FeedOptionNames::default()
        },
        ..Subscription::new("tail", tail.url.clone())
    };
    let from = match &tail.after {
        Some(Begin::Start) => TailFrom::Start,
        Some(Begin::After(cursor)) => TailFrom::After(cursor.clone()),
        None if tail.is_filtered() => TailFrom::Newest(usize::MAX),
        None => TailFrom::Newest(tail.last),
    };
    let mut feed = Follow::new(&subscription, from);
    let out = io::stdout();
    let coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mut failures, mut read) = (0_u32, false);
    loop {
        let next = match feed.next().await {
            Ok(next) => next,
            Err(TailError::Poll(error)) if !tail.until_now && (read || passes(&error)) => {
                if failures == 0 {
                    eprintln!("{}; asks again until it works", with_causes(&error));
                }
                failures += 1;
                let pause = Duration::from_millis(250 << failures.min(6));
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
                continue;
            }
            Err(error) => return Err(Ended::Feed(error)),
        };
        if failures > 0 {
            eprintln!("the feed answers again");
        }
        let shown: Vec<&Received> = next
            .events
            .iter()
            .filter(|event| tail.shows(event))
            .collect();
        let first = match read || tail.after.is_some() {
            true => 0,
            false => shown.len().saturating_sub(tail.last),
        };
        (failures, read) = (0, true);
        let mut lines = String::new();
        for event in shown.into_iter().skip(first) {
            match tail.json {
                true => lines.push_str(&escape_json(&compact(&as_json(event)))),
                false => write_line(&mut lines, event, tail.data, coloured),
            }
            lines.push('\n');
        }
        let mut out = out.lock();
        out.write_all(lines.as_bytes())?;
        out.flush()?;
        if tail.until_now && next.is_newest {
            return Ok(());
        }
    }
}

/// Returns true for an error that a later request may not meet, before the feed has ever answered.
fn passes(error: &PollError) -> bool {
    matches!(
        error,
        PollError::Fetch(
            FetchError::Unreachable { .. }
                | FetchError::Late { .. }
                | FetchError::Slow { .. }
                | FetchError::Status { status: 500.., .. }
        )
    )
}

impl Tail {
    fn is_filtered(&self) -> bool {
        !self.types.is_empty() || self.subject.is_some()
    }

    fn shows(&self, event: &Received) -> bool {
        types::include(&self.types, event)
            && self
                .subject
                .as_ref()
                .is_none_or(|wanted| *wanted == event.subject)
    }
}

/// Writes an event on one line, without characters that a terminal would obey.
fn write_line(line: &mut String, event: &Received, data: bool, coloured: bool) {
    let paint = |code: &'static str| if coloured { code } else { "" };
    let (dim, bold, plain) = (paint("\u{1b}[2m"), paint("\u{1b}[1m"), paint("\u{1b}[0m"));
    let sequence = event
        .sequence
        .map_or("-".to_owned(), |sequence| sequence.to_string());
    let time = event.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let event_type = event.event_type.as_deref().unwrap_or("-");
    // A failing write to a String cannot be.
    let _ = write!(
        line,
        "{dim}{sequence:>6}  {time}{plain}  {}  {bold}{}{plain}",
        one_line(event_type),
        one_line(&event.subject)
    );
    if data {
        let _ = write!(line, "  {}", one_line(&event.data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_obeys_no_event() {
        let event = Received {
            subject: "order/1\u{1b}[2J\n2\u{202e}".to_owned(),
            data: "{\n}".to_owned(),
            ..Received::default()
        };
        let mut line = String::new();
        write_line(&mut line, &event, true, false);
        assert_eq!(
            line,
            "     -  1970-01-01T00:00:00.000Z  -  order/1\u{fffd}[2J 2\u{fffd}  { }"
        );
    }
}
