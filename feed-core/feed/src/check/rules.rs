//! The rules: requests, and what their answers must be.

use std::collections::HashSet;
use std::time::Duration;

use chrono::DateTime;
use feed_core::consumer::FeedCredentials;
use feed_core::http::{tls, with_causes};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Method, StatusCode};
use url::Url;

use super::document::Document;
use super::{Finding, Verdict};

/// The longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes that are read of an answer.
const LARGEST: usize = 32 * 1024 * 1024;

/// A cursor in the form of feed-core's that no feed has given out.
const FOREIGN: &str = "zzzzzzzz.1.00000000000070008000000000000001";

/// A complete answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
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

impl Checker {
    pub(super) fn new(url: Url, credentials: Option<FeedCredentials>, documents: usize) -> Self {
        let builder = Client::builder()
            .user_agent(concat!("feed-check/", env!("CARGO_PKG_VERSION")))
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
        let document = match Document::read(&head.body, &self.url) {
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
        self.finds(
            "RFC 9110, 13.1.2",
            unchanged,
            (!is_new && !is_unchanged).then(|| format!("it is {}", again.status)),
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
        let mut known: HashSet<String> =
            head.entries.iter().map(|entry| entry.id.clone()).collect();
        let (mut unmarked, mut doubled, mut changed) = (None, None, None);
        let (mut next, mut read) = (Some(first), HashSet::new());
        while let Some(url) = next.take().filter(|_| read.len() < self.documents) {
            if !read.insert(url.clone()) {
                unmarked.get_or_insert(format!("the archive comes back to {url}"));
                break;
            }
            let page = self.get(&url, &[]).await?;
            let document = match Document::read(&page.body, &url) {
                Ok(document) if page.status == StatusCode::OK => document,
                _ => {
                    unmarked.get_or_insert(format!("{url} answers {}, or no feed", page.status));
                    break;
                }
            };
            if !document.is_archive {
                unmarked.get_or_insert(format!("{url} has no fh:archive"));
            }
            for entry in &document.entries {
                if !known.insert(entry.id.clone()) {
                    doubled.get_or_insert(format!("{} is also in {url}", entry.id));
                }
            }
            // The newest page may still get a link to its successor.
            if read.len() == 2 && self.get(&url, &[]).await?.body != page.body {
                changed.get_or_insert(format!("{url} has changed"));
            }
            next = document.link("prev-archive").cloned();
        }
        for (rule, found) in rules.into_iter().zip([unmarked, doubled, changed]) {
            self.finds(SOURCE, rule, found);
        }
        Ok(())
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
        self.finds(SOURCE, rules[0], gap(head));
        let forward = self.forward(head).await?;
        self.finds(SOURCE, rules[1], forward);
        let (end, url) = self.after(cursor).await?;
        let repeated = match Document::read(&end.body, &url) {
            Ok(document) if end.status == StatusCode::OK => {
                // New ones may have come meanwhile.
                let known = |id: &String| head.entries.iter().any(|entry| entry.id == *id);
                let mut ids = document.entries.into_iter().map(|entry| entry.id);
                ids.find(known)
                    .map(|id| format!("{url} has {id}, which the head has"))
            }
            _ => Some(format!("{url} answers {}", end.status)),
        };
        self.finds(SOURCE, rules[2], repeated);
        let (foreign, url) = self.after(FOREIGN).await?;
        let is_lost =
            foreign.status == StatusCode::GONE && foreign.is_of_type("application/problem+json");
        self.finds(
            SOURCE,
            rules[3],
            (!is_lost).then(|| format!("{url} answers {}", foreign.status)),
        );
        Ok(())
    }

    /// Returns what is wrong on the way from the first event to the newest one in `head`.
    async fn forward(&self, head: &Document) -> Checked<Option<String>> {
        let newest = head.entries.iter().filter_map(|entry| entry.sequence).max();
        let (mut at, mut cursor) = (0, "start".to_owned());
        for _ in 0..self.documents {
            let (answer, url) = self.after(&cursor).await?;
            let document = match Document::read(&answer.body, &url) {
                Ok(document) => document,
                Err(found) => return Ok(Some(format!("{url}: {found}"))),
            };
            if let Some(found) = gap(&document) {
                return Ok(Some(format!("{url}: {found}")));
            }
            let sequences = document.entries.iter().filter_map(|entry| entry.sequence);
            let (first, last) = (sequences.clone().min(), sequences.max());
            if first.is_some_and(|first| first > at + 1) {
                return Ok(Some(format!("{url}: after {at} comes {first:?}")));
            }
            let Some(next) = document.cursor else {
                return Ok(Some(format!("{url} has no cursor")));
            };
            at = last.unwrap_or(at).max(at);
            if Some(at) >= newest {
                return Ok(None);
            }
            if next == cursor {
                return Ok(Some(format!(
                    "{url} ends there, and {newest:?} is the newest"
                )));
            }
            cursor = next;
        }
        Ok(None)
    }

    /// The data of the newest event.
    async fn content(&mut self, head: &Document) -> Checked<()> {
        let rule = "content that is elsewhere can be read";
        let Some(src) = head.entries.first().and_then(|entry| entry.src.as_ref()) else {
            self.has_none("RFC 4287, 4.1.3.2", rule);
            return Ok(());
        };
        let content = self.get(src, &[]).await?;
        let found =
            (content.status != StatusCode::OK).then(|| format!("{src} answers {}", content.status));
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
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LARGEST {
                    break;
                }
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(Answer {
                status,
                headers,
                body,
            })
        };
        answer
            .await
            .map_err(|error: reqwest::Error| with_causes(&error))
    }

    /// Adds a rule that is kept, or what was found in its place.
    fn finds(&mut self, source: &'static str, rule: &'static str, found: Option<String>) {
        let verdict = match found {
            None => Verdict::Good,
            Some(_) => Verdict::Fault,
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
        [Some(newer), Some(older)] => *newer != older + 1,
        _ => true,
    });
    broken.map(|two| format!("{:?} is followed by {:?}", two[0], two[1]))
}
