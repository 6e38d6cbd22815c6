//! The rules: requests, and what their answers must be.

use std::collections::HashSet;
use std::time::Duration;

use chrono::DateTime;
use feed_core::consumer::{FeedCredentials, decode, redact_url};
use feed_core::http::{tls, with_causes};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Method, StatusCode};
use url::Url;

use super::document::{Document, Entry};
use super::{Finding, Verdict};

/// The longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes that are read of an answer.
const LARGEST: usize = 32 * 1024 * 1024;

/// The media type of problem details (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// Why no page was read twice.
const ONE_PAGE: &str =
    "no page was read twice: the newest one may still get a link to its successor";

/// Parameters that select events, and why rules about all events do not apply then.
const FILTERS: [&str; 2] = ["type", "subject"];
const FILTERED: &str = "the address selects events, and others have the sequences between them";

/// A cursor in the form of feed-core's that no feed has given out.
const FOREIGN: &str = "zzzzzzzz.1.00000000000070008000000000000001";

/// A complete answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// Where it was in the end.
    url: Url,
    body: Vec<u8>,
}

impl Answer {
    /// Reads it as a feed, by the charset that it declares; its links are relative to where it was in the end.
    fn document(&self) -> Result<Document, String> {
        let text = decode(&self.body, self.header(&CONTENT_TYPE));
        let text = text.map_err(|error| error.to_string())?;
        Document::read(&text, &self.url)
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn is_of_type(&self, wanted: &str) -> bool {
        let found = self.header(&CONTENT_TYPE).unwrap_or_default();
        found
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(wanted)
    }
}

/// Checks one feed.
pub(super) struct Checker {
    client: Client,
    url: Url,
    credentials: Option<FeedCredentials>,
    /// Documents of the archive to read, at most.
    documents: usize,
    findings: Vec<Finding>,
}

type Checked<T> = Result<T, String>;

/// What came of a rule.
enum Outcome {
    Kept,
    /// It is broken, with what was found.
    Broken(String),
    /// Too little was read to say so, with the reason.
    Unknown(String),
}

impl From<Option<String>> for Outcome {
    fn from(found: Option<String>) -> Self {
        found.map_or(Self::Kept, Self::Broken)
    }
}

impl Outcome {
    /// Says that nothing is known where nothing was found, for a reason.
    fn unless(self, unknown: Option<String>) -> Self {
        match (self, unknown) {
            (Self::Kept, Some(why)) => Self::Unknown(why),
            (outcome, _) => outcome,
        }
    }
}

impl Checker {
    pub(super) fn new(url: Url, credentials: Option<FeedCredentials>, documents: usize) -> Self {
        let builder = Client::builder()
            .user_agent(concat!("feed-check/", env!("CARGO_PKG_VERSION")))
            // A proxy of the environment would see the credentials.
            .no_proxy()
            .timeout(TIMEOUT);
        let built = tls::configure(builder, url.scheme() == "https").map(|builder| builder.build());
        Self {
            client: built
                .expect("certificates of authorities")
                .expect("constant settings"),
            url,
            credentials,
            documents,
            findings: Vec::new(),
        }
    }

    /// Checks all rules, in the order of a reader.
    pub(super) async fn run(mut self) -> Checked<Vec<Finding>> {
        let head = self.get(&self.url, &[]).await?;
        self.finds(
            "RFC 9110, 15.3.1",
            "the address answers 200",
            (head.status != StatusCode::OK).then(|| format!("it answers {}", head.status)),
        );
        if head.status != StatusCode::OK {
            return Ok(self.findings);
        }
        self.finds(
            "RFC 4287, 7",
            "its media type is application/atom+xml",
            (!head.is_of_type("application/atom+xml"))
                .then(|| format!("it is {:?}", head.header(&CONTENT_TYPE).unwrap_or_default())),
        );
        let document = match head.document() {
            Ok(document) => document,
            Err(found) => {
                self.finds("RFC 4287, 4.1.1", "it is an Atom feed", Some(found));
                return Ok(self.findings);
            }
        };
        self.finds(
            "RFC 4287, 4",
            "feed and entries have what they must have",
            document.faults.first().cloned(),
        );
        self.finds(
            "RFC 4287, 4.1.1",
            "the feed links to itself",
            document
                .link("self")
                .is_none()
                .then(|| "it has no link self".to_owned()),
        );
        self.validators(&head).await?;
        self.archive(&document).await?;
        self.sequences(&document).await?;
        self.content(&document).await?;
        Ok(self.findings)
    }

    /// Conditional requests, and HEAD.
    async fn validators(&mut self, head: &Answer) -> Checked<()> {
        let (tag, date) = (head.header(&ETAG), head.header(&LAST_MODIFIED));
        self.finds(
            "RFC 9110, 8.8",
            "the answer has an ETag or a Last-Modified",
            (tag.is_none() && date.is_none())
                .then(|| "readers fetch all of it each time".to_owned()),
        );
        let dates = [&LAST_MODIFIED, &DATE].map(|name| {
            let text = head.header(name)?;
            DateTime::parse_from_rfc2822(text).ok()
        });
        match dates {
            [Some(modified), Some(now)] => self.finds(
                "RFC 9110, 8.8.2.1",
                "Last-Modified is not later than Date",
                (modified > now).then(|| format!("{modified} is later than {now}")),
            ),
            _ => self.has_none("RFC 9110, 8.8.2.1", "Last-Modified is not later than Date"),
        }
        let only_head = self.ask(Method::HEAD, &self.url, &[]).await?;
        let same = only_head.status == StatusCode::OK && only_head.body.is_empty();
        self.finds(
            "RFC 9110, 9.3.2",
            "HEAD is answered as GET, without a body",
            (!same).then(|| format!("it is {}", only_head.status)),
        );
        let unchanged = "a request with its ETag is answered 304, without a body";
        let other = "a request with another ETag is answered 200";
        let Some(tag) = tag else {
            self.has_none("RFC 9110, 13.1.2", unchanged);
            self.has_none("RFC 9110, 13.1.2", other);
            return Ok(());
        };
        let again = self.get(&self.url, &[(IF_NONE_MATCH, tag)]).await?;
        // A new event may have come meanwhile.
        let is_new = again.status == StatusCode::OK && again.header(&ETAG) != Some(tag);
        let is_unchanged = again.status == StatusCode::NOT_MODIFIED && again.body.is_empty();
        let found = (!is_new && !is_unchanged).then(|| format!("it is {}", again.status));
        let moved = is_new.then(|| "the feed has changed meanwhile: check it again".to_owned());
        self.finds(
            "RFC 9110, 13.1.2",
            unchanged,
            Outcome::from(found).unless(moved),
        );
        let another = self
            .get(&self.url, &[(IF_NONE_MATCH, "\"another\"")])
            .await?;
        self.finds(
            "RFC 9110, 13.1.2",
            other,
            (another.status != StatusCode::OK).then(|| format!("it is {}", another.status)),
        );
        Ok(())
    }

    /// The archive, from the newest page back.
    async fn archive(&mut self, head: &Document) -> Checked<()> {
        const SOURCE: &str = "RFC 5005, 4";
        let rules = [
            "pages of the archive can be read, and are marked",
            "each entry is in one document",
            "a page has the same bytes each time",
        ];
        let Some(first) = head.link("prev-archive").cloned() else {
            for rule in rules {
                self.has_none(SOURCE, rule);
            }
            return Ok(());
        };
        // Another version of an entry may be in the document of its own date.
        let version = |entry: &Entry| (entry.id.clone(), entry.updated.clone());
        let mut known: HashSet<_> = head.entries.iter().map(version).collect();
        let (mut unmarked, mut doubled, mut changed) = (None, None, None);
        let (mut next, mut read) = (Some(first), HashSet::new());
        // Why no more was read, and why no page was read twice.
        let (mut unread, mut once) = (None, Some(ONE_PAGE.to_owned()));
        while let Some(url) = next.take() {
            let shown = redact_url(&url);
            if read.len() == self.documents {
                unread = Some(self.more(&format!("pages from {shown} on were not read")));
                break;
            }
            if !read.insert(url.clone()) {
                unmarked.get_or_insert(format!("the archive comes back to {shown}"));
                break;
            }
            let page = self.get(&url, &[]).await?;
            let document = match page.document() {
                Ok(document) if page.status == StatusCode::OK => document,
                _ => {
                    unmarked.get_or_insert(format!("{shown} answers {}, or no feed", page.status));
                    unread = Some(format!("{shown} cannot be read, nor the pages before it"));
                    break;
                }
            };
            if !document.is_archive {
                unmarked.get_or_insert(format!("{shown} has no fh:archive"));
            }
            for entry in &document.entries {
                if !known.insert(version(entry)) {
                    doubled.get_or_insert(format!("{} is also in {shown}", entry.id));
                }
            }
            // The newest page may still get a link to its successor.
            if read.len() == 2 {
                once = None;
                if self.get(&url, &[]).await?.body != page.body {
                    changed.get_or_insert(format!("{shown} has changed"));
                }
            }
            next = document.link("prev-archive").cloned();
        }
        let once = once.map(|why| unread.clone().unwrap_or(why));
        let outcomes = [
            (unmarked, unread.clone()),
            (doubled, unread),
            (changed, once),
        ];
        for (rule, (found, unknown)) in rules.into_iter().zip(outcomes) {
            self.finds(SOURCE, rule, Outcome::from(found).unless(unknown));
        }
        Ok(())
    }

    /// Says that the limit of documents was met.
    fn more(&self, what: &str) -> String {
        format!("{what}: give --documents more than {}", self.documents)
    }

    /// What feeds of feed-core promise beyond Atom.
    async fn sequences(&mut self, head: &Document) -> Checked<()> {
        const SOURCE: &str = "feed-core";
        let rules = [
            "sequences have no gap",
            "reading forward from the start comes to the newest event",
            "after the newest event there is nothing",
            "an unknown cursor is answered 410",
        ];
        let Some(cursor) = &head.cursor else {
            for rule in rules {
                self.has_none(SOURCE, rule);
            }
            return Ok(());
        };
        let mut parameters = self.url.query_pairs();
        if parameters.any(|(name, _)| FILTERS.contains(&&*name)) {
            for rule in &rules[..2] {
                self.finds(SOURCE, rule, Outcome::Unknown(FILTERED.to_owned()));
            }
        } else {
            self.finds(SOURCE, rules[0], gap(head));
            let forward = self.forward(head).await?;
            self.finds(SOURCE, rules[1], forward);
        }
        let (end, url) = self.after(cursor).await?;
        let shown = redact_url(&url);
        let repeated = match end.document() {
            Ok(document) if end.status == StatusCode::OK => {
                // New ones may have come meanwhile.
                let known = |id: &String| head.entries.iter().any(|entry| entry.id == *id);
                let mut ids = document.entries.into_iter().map(|entry| entry.id);
                ids.find(known)
                    .map(|id| format!("{shown} has {id}, which the head has"))
            }
            _ => Some(format!("{shown} answers {}", end.status)),
        };
        self.finds(SOURCE, rules[2], repeated);
        let (foreign, url) = self.after(FOREIGN).await?;
        let shown = redact_url(&url);
        let found = match foreign.status {
            StatusCode::GONE if foreign.is_of_type(PROBLEM) => None,
            StatusCode::GONE => {
                let found = foreign.header(&CONTENT_TYPE).unwrap_or("no media type");
                Some(format!(
                    "{shown} answers 410 with {found}, and must with {PROBLEM}"
                ))
            }
            other => Some(format!("{shown} answers {other}")),
        };
        self.finds(SOURCE, rules[3], found);
        Ok(())
    }

    /// Returns what comes of the way from the first event to the newest one in `head`.
    async fn forward(&self, head: &Document) -> Checked<Outcome> {
        let broken = |found| Ok(Outcome::Broken(found));
        let newest = head.entries.iter().filter_map(|entry| entry.sequence).max();
        let (mut at, mut cursor) = (0_i64, "start".to_owned());
        for _ in 0..self.documents {
            let (answer, url) = self.after(&cursor).await?;
            let shown = redact_url(&url);
            let document = match answer.document() {
                Ok(document) => document,
                Err(found) => return broken(format!("{shown}: {found}")),
            };
            if let Some(found) = gap(&document) {
                return broken(format!("{shown}: {found}"));
            }
            let sequences = document.entries.iter().filter_map(|entry| entry.sequence);
            let (first, last) = (sequences.clone().min(), sequences.max());
            if let Some(first) = first.filter(|first| *first > at.saturating_add(1)) {
                return broken(format!("{shown}: after {at} comes {first}"));
            }
            let Some(next) = document.cursor else {
                return broken(format!("{shown} has no cursor"));
            };
            at = last.unwrap_or(at).max(at);
            let Some(newest) = newest.filter(|newest| *newest > at) else {
                return Ok(Outcome::Kept);
            };
            if next == cursor {
                return broken(format!("{shown} ends there, and {newest} is the newest"));
            }
            cursor = next;
        }
        Ok(Outcome::Unknown(
            self.more(&format!("events after {at} were not read")),
        ))
    }

    /// The data of the newest event.
    async fn content(&mut self, head: &Document) -> Checked<()> {
        let rule = "content that is elsewhere can be read";
        let Some(src) = head.entries.first().and_then(|entry| entry.src.as_ref()) else {
            self.has_none("RFC 4287, 4.1.3.2", rule);
            return Ok(());
        };
        let content = self.get(src, &[]).await?;
        let found = (content.status != StatusCode::OK)
            .then(|| format!("{} answers {}", redact_url(src), content.status));
        self.finds("RFC 4287, 4.1.3.2", rule, found);
        Ok(())
    }

    async fn after(&self, cursor: &str) -> Checked<(Answer, Url)> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("after", cursor);
        Ok((self.get(&url, &[]).await?, url))
    }

    async fn get(&self, url: &Url, headers: &[(HeaderName, &str)]) -> Checked<Answer> {
        self.ask(Method::GET, url, headers).await
    }

    /// Sends a request, and follows redirects.
    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, &str)],
    ) -> Checked<Answer> {
        let mut request = self.client.request(method, url.clone());
        // A document may be at another origin, for which they are not.
        if let Some(credentials) = &self.credentials
            && url.origin() == self.url.origin()
        {
            request = request.header(AUTHORIZATION, credentials.authorization());
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let answer = async {
            let mut response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let url = response.url().clone();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LARGEST {
                    return Ok(None);
                }
            }
            Ok(Some(Answer {
                status,
                headers,
                url,
                body,
            }))
        };
        let answer = answer.await;
        let shown = redact_url(url);
        let answer = answer.map_err(|error: reqwest::Error| {
            format!("{shown}: {}", with_causes(&error.without_url()))
        })?;
        answer.ok_or_else(|| format!("{shown} has more than {LARGEST} bytes"))
    }

    /// Adds what came of a rule.
    fn finds(&mut self, source: &'static str, rule: &'static str, outcome: impl Into<Outcome>) {
        let (verdict, found) = match outcome.into() {
            Outcome::Kept => (Verdict::Good, None),
            Outcome::Broken(found) => (Verdict::Fault, Some(found)),
            Outcome::Unknown(why) => (Verdict::None, Some(why)),
        };
        self.findings.push(Finding {
            name: None,
            verdict,
            source,
            rule,
            found,
        });
    }

    fn has_none(&mut self, source: &'static str, rule: &'static str) {
        self.findings.push(Finding {
            name: None,
            verdict: Verdict::None,
            source,
            rule,
            found: None,
        });
    }
}

/// Returns where the sequences of a document have a gap. They are newest first.
fn gap(document: &Document) -> Option<String> {
    let sequences: Vec<Option<i64>> = document
        .entries
        .iter()
        .map(|entry| entry.sequence)
        .collect();
    let broken = sequences.windows(2).find(|two| match two {
        [Some(newer), Some(older)] => older.checked_add(1) != Some(*newer),
        _ => true,
    });
    broken.map(|two| {
        let [newer, older] = [two[0], two[1]].map(|sequence| match sequence {
            Some(sequence) => sequence.to_string(),
            None => "an entry without a sequence".to_owned(),
        });
        format!("{newer} is followed by {older}")
    })
}
