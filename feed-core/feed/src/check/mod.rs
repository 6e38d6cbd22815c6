//! `feed check`: reads a feed as a strict client, and says what its producer does wrong, rule by rule; or plays a
//! producer, and says what a consumer does wrong.
//!
//! [`document`] reads a document by its XML alone, without the tolerance of a consumer. [`rules`] are requests and
//! what their answers must be. [`consumer`] plants faults.

mod consumer;
mod document;
mod rules;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use feed_chassis::{read_once, stop_signal};
use feed_console::parse_feed_url;
use feed_core::consumer::FeedCredentials;
use feed_core::http::escape_json;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::printable::one_line;
use rules::Checker;

const EXAMPLES: &str = "\
Example: check http://127.0.0.1:8081/feed
Example: check http://127.0.0.1:8081/feed --json | jq '.[] | select(.verdict == \"fault\")'
Example: check --consumer 'python3 consumer.py' --effects \"psql -Atc 'SELECT order_id FROM bill'\"
Example: check --consumer 'feed tail $FEED_URL --after start --json | jq --unbuffered -r .id'

Each line has the verdict, the name of the fault that was planted, the source of the rule, and the rule; a fault says what \
was found. A dash is before a rule that applies to nothing here, or of which too little was read; then the reason is \
below it. Exit codes: 0 without a fault, 1 with one, 2 if nothing can be checked.

A consumer follows a feed on this machine, anew for each fault, while the answers of that feed go wrong. Then each event \
must have had one effect. The command starts in a shell, and again when it has ended. Faults take seconds each, and as \
long as `--patience` says where the consumer gets them wrong.";

/// Check whether a feed, or a consumer, keeps the rules of Atom, of archives and of HTTP
///
/// Reads a feed as a strict client: its head, its archive, and from the first event to the newest where it has sequences.
/// It sends GET and HEAD alone. With `--consumer` it plays a producer with faults instead.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The address of the feed
    #[arg(value_name = "URL", env = "FEED_URL", value_parser = parse_feed_url, required_unless_present = "consumer")]
    url: Option<Url>,

    /// Credentials for the feed: a file with one line, `NAME:PASSWORD` or a token
    #[arg(long, env, value_name = "FILE", value_parser = read_once(FeedCredentials::from_setting))]
    feed_credentials_file: Option<FeedCredentials>,

    /// Documents to read of an archive, at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    documents: usize,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    plan: consumer::Plan,
}

/// Whether a rule is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Fault,
    /// There is nothing that the rule applies to, or too little was read.
    None,
}

/// What was found about a rule.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    /// The fault that was planted, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    verdict: Verdict,
    /// Where the rule comes from.
    source: &'static str,
    rule: &'static str,
    /// What was found, if it is a fault; or why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

impl Finding {
    /// Returns it as a line for people, with what was found below.
    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Good => "good ",
            Verdict::Fault => "FAULT",
            Verdict::None => "-    ",
        };
        let name = self.name.map(|name| format!("{name:<16}  "));
        let name = name.unwrap_or_default();
        let line = format!("{verdict}  {name}{:<19}  {}\n", self.source, self.rule);
        // A text of the feed may have lines of its own: none of them looks like a verdict.
        let found = self.found.iter().flat_map(|found| found.lines());
        found.fold(line, |text, found| {
            text + &format!("       {}\n", one_line(found.trim_start()))
        })
    }
}

/// Checks the feed or the consumer, and prints what was found.
pub(crate) async fn main(check: Check) -> ExitCode {
    // A consumer takes its time: each finding is shown at once.
    let show = |finding: &Finding| {
        if !check.json {
            print(&finding.line());
        }
    };
    let found = match (&check.plan.consumer, check.url) {
        (Some(command), _) => {
            // When it is stopped, it stops the consumer.
            let stopped = CancellationToken::new();
            if let Err(error) = stop_signal(stopped.clone()) {
                eprintln!("no signal can be received: {error}");
                return ExitCode::from(2);
            }
            tokio::select! {
                found = consumer::run(&check.plan, command, show) => found,
                () = stopped.cancelled() => Err("stopped".to_owned()),
            }
        }
        (None, Some(url)) => {
            let checker = Checker::new(url, check.feed_credentials_file, check.documents);
            let found = checker.run().await;
            let found = found.map_err(|error| format!("the feed cannot be read: {error}"));
            found.inspect(|findings| findings.iter().for_each(show))
        }
        (None, None) => Err("there is nothing to check".to_owned()),
    };
    let findings = match found {
        Ok(findings) => findings,
        Err(error) => {
            eprintln!("{}", one_line(&error));
            return ExitCode::from(2);
        }
    };
    if check.json {
        print(&(escape_json(&serde_json::to_string(&findings).unwrap_or_default()) + "\n"));
    }
    let is_fault = |finding: &Finding| finding.verdict == Verdict::Fault;
    match findings.iter().any(is_fault) {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    }
}

/// Prints to standard output, or ends the process. Nobody may be reading it any more.
fn print(text: &str) {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("cannot print: {error}");
            std::process::exit(2);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_obeys_no_feed() {
        let finding = Finding {
            name: None,
            verdict: Verdict::Fault,
            source: "RFC 4287, 4",
            rule: "a rule",
            found: Some("entry \u{1b}[2J\u{202e}\ngood   RFC 5005, 4".to_owned()),
        };
        assert_eq!(
            finding.line(),
            "FAULT  RFC 4287, 4          a rule\n       entry \u{fffd}[2J\u{fffd}\n       good   RFC 5005, 4\n"
        );
    }
}
