//! `feed check`: reads a feed as a strict client, and says what its producer does wrong, rule by rule.
//!
//! [`document`] reads a document by its XML alone, without the tolerance of a consumer. [`rules`] are requests and
//! what their answers must be.

mod document;
mod rules;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use feed_chassis::parse_url;
use serde::Serialize;
use url::Url;

use rules::{Checker, Finding};

const EXAMPLES: &str = "\
Example: check http://127.0.0.1:8081/feed
Example: check http://127.0.0.1:8081/feed --json | jq '.[] | select(.verdict == \"fault\")'

Each line has the verdict, the source of the rule, and the rule; a fault says what was found. Exit codes: 0 without a \
fault, 1 with one, 2 if the feed cannot be read at all.";

/// Check whether a feed keeps the rules of Atom, of archives and of HTTP
///
/// Reads the feed as a strict client: its head, its archive, and from the first event to the newest where it has sequences.
/// It sends GET and HEAD alone.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The address of the feed
    #[arg(value_name = "URL", env = "FEED_URL", value_parser = parse_url)]
    url: Url,

    /// Documents to read of an archive, at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    documents: usize,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Whether a rule is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Fault,
    /// The feed has nothing that the rule applies to.
    None,
}

/// Checks the feed, and prints what was found.
pub(crate) async fn main(check: Check) -> ExitCode {
    let findings = match Checker::new(check.url, check.documents).run().await {
        Ok(findings) => findings,
        Err(error) => {
            eprintln!("the feed cannot be read: {error}");
            return ExitCode::from(2);
        }
    };
    let text = match check.json {
        true => serde_json::to_string(&findings).unwrap_or_default() + "\n",
        false => findings.iter().map(Finding::line).collect(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("cannot print: {error}");
            return ExitCode::from(2);
        }
        _ => {}
    }
    let is_fault = |finding: &Finding| finding.verdict == Verdict::Fault;
    match findings.iter().any(is_fault) {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    }
}
