//! `feed status`: the state of several consumers as a table, with an exit code.
//!
//! What needs an operator is decided by [`feed_console::subscription::concern`], as for the command `status` of a
//! consumer. Everything that a service answers may be hostile: it is bounded, and reaches the terminal without control
//! characters.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::ValueParser;
use feed_chassis::{grouped, moment, parse_duration, parse_url, read_once};
use feed_console::command::table as aligned;
use feed_console::subscription::concern::{Behind, Concern, Kind, ReportedStatus};
use feed_console::subscription::status_of;
use feed_core::http::credentials::operator_authorization;
use feed_core::http::{escape_json, tls, with_causes};
use futures_util::future::join_all;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::printable::one_line;

/// The most bytes that are read of an answer: the differences of a comparison are in it.
const LARGEST: usize = 1024 * 1024;

/// The longest text of a service that is shown, in characters.
const LONGEST: usize = 300;

/// The most concerns of a consumer that are shown: more than there are kinds.
const CONCERNS: usize = 10;

/// Why a consumer without a concern is not well.
const NO_CONTACT: &str = "its feed has not answered yet, so what it has to take is not known";

/// Consumers that are asked at once, at most.
const MOST: usize = 100;

const EXAMPLES: &str = "\
Example: status http://127.0.0.1:8082 http://127.0.0.1:8083
Example: status https://shop.example/invoice https://shop.example/shipping --status-credentials-file operator
Example: status http://127.0.0.1:8082 --json | jq -r '.[] | select(.state != \"well\") | .consumer'

A consumer is `well` if nothing keeps it from following its feed: no halt, no pause, no parked event, no failed poll, at \
least one instance, a feed that has answered, and does, no lag that it does not catch up with, and no record that a \
comparison (`reconcile`) has found to differ. Exit codes: 0 if all are well; 1 if one is not, does not answer, or answers \
with something else; 2 if the command line is wrong.";

/// Show how several consumers are, in a table
///
/// Asks all of them at once, by HTTP. It changes nothing, follows no redirect, and ignores `HTTP_PROXY` and similar
/// variables.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// The address of each consumer, or of its status; a hundred at most
    #[arg(value_name = "URL", value_parser = parse_url, required = true, num_args = 1..=MOST)]
    urls: Vec<Url>,

    /// Print an array of JSON
    #[arg(long)]
    json: bool,

    /// Credentials to show to each of the consumers: a file with a line `NAME:PASSWORD` or a token; one that may
    /// operate. A URL with a name and a password has its own
    #[arg(long, env, value_name = "FILE", value_parser = ValueParser::new(read_once(operator_authorization)))]
    status_credentials_file: Option<HeaderValue>,

    /// How long a consumer may take to answer
    #[arg(long, env = "STATUS_TIMEOUT", value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    timeout: Duration,
}

/// Why nothing is known of a consumer.
#[derive(Debug)]
enum Unknown {
    /// There was no answer.
    Unreachable(String),
    /// It is no status.
    Other(String),
}

/// A consumer, and what it answered.
struct Row {
    /// Its address, without credentials.
    consumer: String,
    answer: Result<ReportedStatus, Unknown>,
}

/// Asks all consumers, and prints what they answer.
pub(crate) async fn main(status: Status) -> ExitCode {
    let uses_tls = status.urls.iter().any(|url| url.scheme() == "https");
    let builder = Client::builder()
        .user_agent(concat!("feed-status/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy();
    let client = match tls::configure(builder, uses_tls).map(|builder| builder.build()) {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return failed(&with_causes(&error)),
        Err(error) => return failed(&with_causes(&error)),
    };
    let asked = status.urls.iter().map(|url| ask(&client, url, &status));
    let rows = join_all(asked).await;
    let text = match status.json {
        true => json(&rows),
        false => table(&rows),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return failed(&format!("cannot print: {error}"));
        }
        _ => {}
    }
    match rows.iter().all(Row::is_well) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(2)
}

async fn ask(client: &Client, url: &Url, status: &Status) -> Row {
    let address = status_of(url);
    let mut request = client.get(address).header(ACCEPT, "application/json");
    if let Some(credentials) = &status.status_credentials_file
        && url.username().is_empty()
    {
        request = request.header(AUTHORIZATION, credentials.clone());
    }
    let answer = async {
        let response = request.send().await.map_err(unreachable)?;
        read(response).await
    };
    let timeout = status.timeout;
    let late = || Unknown::Unreachable(format!("no complete answer within {timeout:?}"));
    let answer = tokio::time::timeout(timeout, answer).await;
    Row {
        consumer: shown(url),
        answer: answer.unwrap_or_else(|_| Err(late())),
    }
}

/// Returns the address without credentials.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail for URLs without a host alone, which are refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    one_line(url.as_str().trim_end_matches('/'))
}

fn unreachable(error: reqwest::Error) -> Unknown {
    // The address is in the row.
    let error = error.without_url();
    if error.is_connect() {
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        return Unknown::Unreachable(format!("no connection: {cause}"));
    }
    Unknown::Unreachable(with_causes(&error))
}

async fn read(mut response: Response) -> Result<ReportedStatus, Unknown> {
    let status = response.status();
    let location = response.headers().get(LOCATION);
    if let Some(location) = location.filter(|_| status.is_redirection()) {
        let location = String::from_utf8_lossy(location.as_bytes());
        return Err(Unknown::Other(format!(
            "it redirects to {location}: give that address"
        )));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(Unknown::Other(
                "its answer is larger than that of a consumer".to_owned(),
            ));
        }
    }
    if status != StatusCode::OK {
        return Err(Unknown::Other(refusal(status, &body)));
    }
    match serde_json::from_slice::<ReportedStatus>(&body) {
        Ok(standing) if standing.sequence.is_some() && standing.head.is_some() => Ok(standing),
        _ => Err(Unknown::Other(
            "it answers with something else than a consumer's status".to_owned(),
        )),
    }
}

/// Describes an answer that is an error.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    /// The part of a problem document that says more.
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
    }
    let what_to_do = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "credentials that may operate are needed: give --status-credentials-file".to_owned()
        }
        StatusCode::NOT_FOUND => "it is not the address of a consumer".to_owned(),
        _ => match serde_json::from_slice(body) {
            Ok(Problem {
                detail: Some(detail),
            }) => detail,
            _ => return format!("it answers {status}"),
        },
    };
    format!("it answers {status}: {what_to_do}")
}

impl Row {
    fn concerns(&self) -> Vec<Concern> {
        let mut concerns = match &self.answer {
            Ok(standing) => standing.concerns(),
            Err(_) => Vec::new(),
        };
        concerns.truncate(CONCERNS);
        concerns
    }

    /// Returns true if its feed has never answered: nobody knows how far behind it is. That needs no operator in its first
    /// seconds, but it is not well either.
    fn has_no_contact(&self) -> bool {
        let standing = self.answer.as_ref().ok();
        standing.is_some_and(|standing| {
            standing.last_contact.is_none() && standing.instances.is_some_and(|count| count > 0)
        })
    }

    fn is_well(&self) -> bool {
        self.answer.is_ok() && self.concerns().is_empty() && !self.has_no_contact()
    }

    /// Returns the cells of its line.
    fn cells(&self) -> [String; 7] {
        const NOTHING: &str = "-";
        let consumer = self.consumer.clone();
        let none = || NOTHING.to_owned();
        let known = |number: Option<i64>| number.map_or_else(none, grouped);
        let standing = match &self.answer {
            Ok(standing) => standing,
            Err(unknown) => {
                let state = match unknown {
                    Unknown::Unreachable(_) => "unreachable",
                    Unknown::Other(_) => "no status",
                };
                let [a, b, c, d, e] = [(); 5].map(|()| none());
                return [consumer, state.to_owned(), a, b, c, d, e];
            }
        };
        let concerns = self.concerns();
        let concerns: Vec<&str> = concerns
            .iter()
            .map(|concern| concern.text.as_str())
            .collect();
        let no_contact = self.has_no_contact();
        let state = match (concerns.is_empty(), no_contact) {
            (true, true) => "no contact yet".to_owned(),
            (true, false) => "well".to_owned(),
            (false, _) => short(&concerns.join(", ")),
        };
        let lag = standing.behind().filter(|_| !no_contact);
        let taken = format!("{} of {}", known(standing.sequence), known(standing.head));
        [
            consumer,
            state,
            taken,
            lag.unwrap_or_else(none),
            known(standing.parked),
            known(standing.instances),
            standing.last_contact.map_or_else(none, moment),
        ]
    }

    /// Returns the lines below it, which give the reasons.
    fn reasons(&self) -> Vec<String> {
        match &self.answer {
            Err(Unknown::Unreachable(why) | Unknown::Other(why)) => vec![short(why)],
            Ok(_) if self.concerns().is_empty() && self.has_no_contact() => {
                vec![NO_CONTACT.to_owned()]
            }
            Ok(_) => {
                let with_reason = |concern: Concern| {
                    let why = concern.why?;
                    Some(short(&format!("{}: {why}", concern.text)))
                };
                self.concerns()
                    .into_iter()
                    .filter_map(with_reason)
                    .collect()
            }
        }
    }
}

/// Returns a text of a service as it is printed.
fn short(text: &str) -> String {
    let text = one_line(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn table(rows: &[Row]) -> String {
    let titles = [
        "Consumer",
        "State",
        "Taken up to",
        "Lag",
        "Parked",
        "Instances",
        "Last contact",
    ];
    let rows = rows.iter().map(|row| (row.cells(), row.reasons()));
    aligned(titles, rows, "")
}

/// A consumer in the JSON that is printed.
#[derive(Serialize)]
struct Document<'a> {
    consumer: &'a str,
    /// `well`, `no-contact` (yet), `unreachable`, `unknown`, or its worst concern
    state: State,
    why: Option<&'a str>,
    concerns: Vec<Concern>,
    sequence: Option<i64>,
    head: Option<i64>,
    lag: Option<Behind>,
    parked: Option<i64>,
    waiting: Option<i64>,
    instances: Option<i64>,
    last_contact: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Well,
    #[serde(rename = "no-contact")]
    NoContact,
    Unreachable,
    Unknown,
    #[serde(untagged)]
    Concern(Kind),
}

fn json(rows: &[Row]) -> String {
    let nothing = ReportedStatus::default();
    let document = |row: &'_ Row| {
        let concerns = row.concerns();
        let (state, why) = match (&row.answer, concerns.first()) {
            (Err(Unknown::Unreachable(why)), _) => (State::Unreachable, Some(why.as_str())),
            (Err(Unknown::Other(why)), _) => (State::Unknown, Some(why.as_str())),
            (Ok(_), Some(worst)) => (State::Concern(worst.kind), None),
            (Ok(_), None) if row.has_no_contact() => (State::NoContact, Some(NO_CONTACT)),
            (Ok(_), None) => (State::Well, None),
        };
        let known = row.answer.as_ref().unwrap_or(&nothing);
        let document = Document {
            consumer: &row.consumer,
            state,
            why,
            concerns,
            sequence: known.sequence,
            head: known.head,
            lag: known.lag.filter(|_| !row.has_no_contact()),
            parked: known.parked,
            waiting: known.waiting,
            instances: known.instances,
            last_contact: known.last_contact,
        };
        serde_json::to_string(&document).unwrap_or_default()
    };
    let documents: Vec<String> = rows.iter().map(document).collect();
    format!("[{}]\n", escape_json(&documents.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str) -> Row {
        Row {
            consumer: "http://127.0.0.1:8082".to_owned(),
            answer: Ok(serde_json::from_str(status).expect("a status")),
        }
    }

    #[test]
    fn an_address_is_shown_without_credentials() {
        let url: Url = "https://eve:secret@shop.example/invoice/?token=secret#secret"
            .parse()
            .expect("a URL");
        assert_eq!(shown(&url), "https://shop.example/invoice");
    }

    #[test]
    fn a_table_obeys_no_service() {
        let hostile = r#"{"sequence": 9223372036854775807, "head": -9223372036854775808,
            "halted": "\u001b[2J\u009b31m\n\u202egnp", "parked": -1, "lag": {"events": -1, "seconds": -9},
            "last_contact": "0000-01-01T00:00:00Z"}"#;
        let rows = [row(hostile), row(r#"{"sequence": 1, "head": 1}"#)];
        let table = table(&rows);
        assert!(
            table
                .lines()
                .all(|line| !line.chars().any(char::is_control)),
            "{table}"
        );
        assert_eq!(table.lines().count(), 4, "{table}");
        assert!(table.contains("halted: \u{fffd}[2J"), "{table}");
        let json = json(&rows);
        assert!(!json.trim_end().chars().any(char::is_control), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).expect("an array");
        assert_eq!(read[0]["state"], "halted");
        assert_eq!(read[1]["state"], "well");
        assert_eq!(
            read[0]["concerns"][0]["why"],
            "\u{1b}[2J\u{9b}31m\n\u{202e}gnp"
        );
    }

    #[test]
    fn one_whose_feed_has_never_answered_is_not_well() {
        let new = r#"{"sequence": 0, "head": 0, "instances": 1, "lag": {"events": 0, "seconds": 0}, "parked": 0,
            "last_contact": null, "concerns": []}"#;
        let well = new.replace("null", "\"2026-01-01T00:00:00Z\"");
        let failing = new.replace(
            "[]",
            r#"[{"kind": "failing", "text": "the last poll failed", "why": "500"}]"#,
        );
        let rows = [row(new), row(&well), row(&failing)];
        assert_eq!(rows.each_ref().map(Row::is_well), [false, true, false]);
        let lines = rows.each_ref().map(Row::cells);
        let states = lines
            .each_ref()
            .map(|line| (line[1].as_str(), line[3].as_str()));
        let expected = [
            ("no contact yet", "-"),
            ("well", "none"),
            ("the last poll failed", "-"),
        ];
        assert_eq!(states, expected);
        let printed = table(&rows[..1]);
        assert!(printed.contains(NO_CONTACT), "{printed}");
        let read: serde_json::Value = serde_json::from_str(&json(&rows)).expect("an array");
        assert_eq!(read[0]["state"], "no-contact");
        assert!(
            read[0]["lag"].is_null() && read[0]["why"] == NO_CONTACT,
            "{read}"
        );
        assert_eq!(read[1]["state"], "well");
        assert_eq!(read[2]["state"], "failing");
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "ä".repeat(LONGEST + 1);
        assert_eq!(short(&long).chars().count(), LONGEST + 1);
        assert!(short(&long).ends_with('…'));
    }
}
