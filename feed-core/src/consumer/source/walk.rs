//! Walks through a feed, document by document: forward from a cursor if the feed has sequences, or
//! back from its head if it has none.

use std::collections::HashSet;

use tracing::warn;
use url::Url;

use super::document::Document;
use super::fetch::Source;
use super::fetch_error::FetchError;
use super::link::RefusedLink;
use super::persist::with_retries;
use crate::cursor::Cursor;
use crate::event::Sequence;
use crate::http::with_causes;
use crate::partition::Partitions;
use crate::reached::Mark;

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// A document could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// A document of a feed with sequences has no cursor.
    #[error("{0} has no cursor")]
    NotSequenced(Url),
    /// A link leads to a document that the walk has read.
    #[error("{0} comes twice")]
    Cycle(Url),
    /// The feed exceeds the limits of the walk.
    #[error("more than {documents} documents")]
    TooLong {
        /// Documents read.
        documents: usize,
        /// Bytes read.
        bytes: usize,
    },
}

impl WalkError {
    /// Returns true if a link leads to no document of the feed.
    fn leads_nowhere(&self) -> bool {
        matches!(
            self,
            Self::Fetch(
                FetchError::Link(_)
                    | FetchError::Status {
                        status: 404 | 410,
                        ..
                    }
            )
        )
    }
}

impl From<RefusedLink> for WalkError {
    fn from(error: RefusedLink) -> Self {
        Self::Fetch(error.into())
    }
}

/// The limits of a walk back (I11). The caller limits a walk forward; each of its steps comes
/// nearer to the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) documents: usize,
    pub(crate) bytes: usize,
}

/// The attempts per document of a walk back: it cannot continue where it has failed.
const ATTEMPTS_BACK: u32 = 4;

/// The next document.
#[derive(Debug)]
enum Next {
    /// It was read before the walk began.
    Here(Box<Document>),
    /// After a cursor; `None`: from the first event.
    After(Option<Cursor>),
    /// The link of the document before, if it may be followed.
    Linked(Result<Url, RefusedLink>),
}

#[derive(Debug)]
enum Direction {
    Forward {
        /// The end of the document before.
        at: Option<Cursor>,
    },
    Back {
        limits: Limits,
        /// The addresses of the documents read.
        seen: HashSet<Url>,
        /// True if the next document is a page of an archive. Any other page changes with each new entry: what a cache
        /// has kept of it may not continue the one before.
        archived: bool,
    },
}

/// A walk, which reads each document when the caller asks for it.
#[derive(Debug)]
pub(crate) struct Walk {
    source: Source,
    direction: Direction,
    /// `None`: the feed has ended.
    next: Option<Next>,
    /// Documents read, and their bytes.
    documents: usize,
    bytes: usize,
    /// The most attempts per document.
    attempts: u32,
    /// The partitions whose events are wanted; `None`: of all.
    share: Option<Partitions>,
}

impl Walk {
    /// Walks from `cursor`, or from the first event, to the newest event.
    pub(crate) fn forward(source: &Source, cursor: Option<Cursor>) -> Self {
        Self {
            source: source.clone(),
            direction: Direction::Forward { at: cursor.clone() },
            next: Some(Next::After(cursor)),
            documents: 0,
            bytes: 0,
            attempts: 1,
            share: None,
        }
    }

    /// Walks from `head`, the first document, to the oldest one.
    pub(crate) fn back(source: &Source, head: Document, limits: Limits) -> Self {
        Self {
            source: source.clone(),
            direction: Direction::Back {
                limits,
                seen: HashSet::new(),
                archived: false,
            },
            next: Some(Next::Here(Box::new(head))),
            documents: 0,
            bytes: 0,
            attempts: ATTEMPTS_BACK,
            share: None,
        }
    }

    /// Lets the feed leave out the events of other partitions.
    pub(crate) fn with_share(mut self, share: Option<Partitions>) -> Self {
        self.share = share;
        self
    }

    /// Sets the most attempts per document.
    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Returns the next document, which has a cursor on a walk forward; `None` at the end of the
    /// feed.
    pub(crate) async fn next(&mut self) -> Result<Option<Document>, WalkError> {
        let document = match self.next.take() {
            None => return Ok(None),
            Some(Next::Here(document)) => *document,
            Some(Next::After(cursor)) => self.after(cursor.as_ref()).await?,
            Some(Next::Linked(url)) => self.linked(url?).await?,
        };
        self.documents += 1;
        self.bytes += document.size;
        self.next = match &mut self.direction {
            Direction::Forward { at } => {
                let Some(end) = document.cursor.clone() else {
                    return Err(WalkError::NotSequenced(document.address().clone()));
                };
                // A document without newer events ends the walk, whatever links it has.
                let is_last = !document.is_part() || end.sequence <= sequence_of(at);
                let next = match document.link("next-archive", None).transpose() {
                    _ if is_last => None,
                    Some(link) => Some(Next::Linked(link)),
                    None => Some(Next::After(Some(end.clone()))),
                };
                *at = Some(end);
                next
            }
            Direction::Back { seen, archived, .. } => {
                *archived = document.has_archive();
                // A redirect may lead to another address.
                seen.insert(document.address().clone());
                document.older().transpose().map(Next::Linked)
            }
        };
        Ok(Some(document))
    }

    /// Returns the next document, as [`next`](Self::next) does; `None`, too, if it is not `needed` and its link leads nowhere.
    pub(crate) async fn next_if(&mut self, needed: bool) -> Result<Option<Document>, WalkError> {
        match self.next().await {
            Err(error) if !needed && error.leads_nowhere() => {
                warn!(
                    error = with_causes(&error),
                    "an older page cannot be read; the newer ones show that nothing on it is new"
                );
                Ok(None)
            }
            next => next,
        }
    }

    /// Reads a linked document. A link forward may be wrong; then `?after=` is used, which the feed
    /// itself answers.
    async fn linked(&mut self, url: Url) -> Result<Document, WalkError> {
        match &mut self.direction {
            Direction::Forward { at: Some(at) } => {
                let at = at.clone();
                let document = self.document(&url).await?;
                match continues_after(&at, &document) {
                    true => Ok(document),
                    false => {
                        Mark::WrongLink.reached();
                        self.after(Some(&at)).await
                    }
                }
            }
            Direction::Forward { at: None } => self.document(&url).await,
            Direction::Back { limits, seen, .. } => {
                if !seen.insert(url.clone()) {
                    return Err(WalkError::Cycle(url));
                }
                if self.documents >= limits.documents || self.bytes > limits.bytes {
                    return Err(WalkError::TooLong {
                        documents: self.documents,
                        bytes: self.bytes,
                    });
                }
                self.document(&url).await
            }
        }
    }

    async fn document(&self, url: &Url) -> Result<Document, WalkError> {
        let changes = matches!(
            self.direction,
            Direction::Back {
                archived: false,
                ..
            }
        );
        let ask = || async {
            match changes {
                true => self.source.current_document(url.clone()).await,
                false => self.source.document(url.clone()).await,
            }
        };
        Ok(with_retries(self.attempts, ask).await?)
    }

    async fn after(&self, cursor: Option<&Cursor>) -> Result<Document, WalkError> {
        let ask = || self.source.after(cursor, self.share);
        Ok(with_retries(self.attempts, ask).await?)
    }

    /// Returns an error if the next document's link must not be followed, before requesting it.
    pub(crate) fn check_link(&mut self) -> Result<(), WalkError> {
        match self.next.take() {
            Some(Next::Linked(Err(error))) => Err(error.into()),
            next => {
                self.next = next;
                Ok(())
            }
        }
    }

    /// Continues after `cursor` instead of following a link.
    pub(crate) fn continue_after(&mut self, cursor: Cursor) {
        self.next = Some(Next::After(Some(cursor.clone())));
        self.direction = Direction::Forward { at: Some(cursor) };
    }

    /// Continues after the last document of a walk forward instead of following a link, also if the
    /// feed had ended.
    pub(crate) fn continue_here(&mut self) {
        if let Direction::Forward { at } = &self.direction {
            self.next = Some(Next::After(at.clone()));
        }
    }

    /// Returns the position of a walk forward; `None` at the beginning.
    pub(crate) fn at(&self) -> Option<&Cursor> {
        match &self.direction {
            Direction::Forward { at } => at.as_ref(),
            Direction::Back { .. } => None,
        }
    }

    /// Returns the sequence of that position.
    pub(crate) fn sequence(&self) -> Sequence {
        self.at().map_or(0, |at| at.sequence)
    }

    /// Returns true if the feed had ended at the last request.
    pub(crate) fn has_ended(&self) -> bool {
        self.next.is_none()
    }

    /// What it asks.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

fn sequence_of(at: &Option<Cursor>) -> Sequence {
    at.as_ref().map_or(0, |at| at.sequence)
}

/// Returns true if `document` continues after `at`, without a gap, in the same feed.
fn continues_after(at: &Cursor, document: &Document) -> bool {
    let Some(end) = &document.cursor else {
        // The caller reports the missing cursor.
        return true;
    };
    let first = document.first().unwrap_or(end.sequence.saturating_add(1));
    let here = document.at(at.sequence);
    let is_here = here.is_none_or(|entry| entry.event_id() == at.anchor);
    let is_new = end.sequence > at.sequence || !document.is_part() && end.sequence == at.sequence;
    end.epoch == at.epoch && is_here && first <= at.sequence.saturating_add(1) && is_new
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::consumer::source::document::tests::{feed, numbered};
    use crate::consumer::subscription::Subscription;

    /// A feed that answers each path with one of these documents, and other paths with 404.
    pub(in crate::consumer::source) async fn serve(documents: &[(&'static str, String)]) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let documents: HashMap<&str, String> = documents.iter().cloned().collect();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match documents.get(path) {
                    Some(body) => ("200 OK", body.as_str()),
                    None => ("404 Not Found", ""),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let url = Url::parse(&format!("http://{address}/feed")).expect("a URL");
        Source::new(&Subscription::new("order", url))
    }

    pub(in crate::consumer::source) fn page(first: i64, last: i64, next: Option<&str>) -> String {
        let next = next.map(|href| format!("<link rel=\"next-archive\" href=\"{href}\"/>"));
        numbered(
            first,
            last,
            &format!("<fh:archive/>{}", next.unwrap_or_default()),
        )
    }

    const AFTER_2: &str = "/feed?after=abcdefgh.2.00000000000000000000000000000002";

    #[tokio::test]
    async fn a_walk_forward_goes_by_links_and_by_after_where_there_is_none() {
        let source = serve(&[
            ("/feed?after=start", page(1, 1, Some("/p2"))),
            ("/p2", page(2, 2, None)),
            (AFTER_2, numbered(3, 4, "")),
        ])
        .await;
        let mut walk = Walk::forward(&source, None);
        for sequence in [1, 2, 4] {
            let document = walk.next().await.expect("an answer");
            assert!(document.is_some(), "{sequence}");
            assert_eq!(walk.sequence(), sequence);
        }
        assert!(walk.has_ended());
        assert!(walk.next().await.expect("an end").is_none());
        walk.continue_here();
        let error = walk.next().await.expect_err("nobody has that");
        let missing = |error: &WalkError| {
            matches!(
                error,
                WalkError::Fetch(FetchError::Status { status: 404, .. })
            )
        };
        assert!(missing(&error), "{error:?}");
    }

    /// The links lead back, over a gap, to another event with the same sequence, and to nothing
    /// new.
    #[tokio::test]
    async fn a_link_that_leads_astray_is_replaced_by_after() {
        for astray in [
            page(1, 2, None),
            page(4, 4, None),
            page(2, 3, None).replace("0002<", "0009<"),
            page(3, 4, None).replace("abcdefgh", "bbcdefgh"),
        ] {
            let source = serve(&[
                ("/feed?after=start", page(1, 2, Some("/astray"))),
                ("/astray", astray),
                (AFTER_2, numbered(3, 3, "")),
            ])
            .await;
            let mut walk = Walk::forward(&source, None);
            walk.next().await.expect("a page");
            let document = walk.next().await.expect("an answer").expect("a document");
            assert_eq!((document.first(), walk.sequence()), (Some(3), 3));
        }
    }

    /// A cache may have kept what another instance asked for.
    #[tokio::test]
    async fn a_document_that_omits_what_is_wanted_is_refused() {
        let omitting = numbered(2, 3, "<ev:omitted partitions=\"0 4\">1</ev:omitted>");
        let source = serve(&[("/feed?after=start", omitting)]).await;
        for (share, taken) in [
            (Some("0"), true),
            (Some("0 4"), true),
            (Some("0 1"), false),
            (Some("1"), false),
            (None, false),
        ] {
            let partitions = share.map(|share| share.parse().expect("partitions"));
            let mut walk = Walk::forward(&source, None).with_share(partitions);
            assert_eq!(walk.next().await.is_ok(), taken, "{share:?}");
        }
    }

    /// The links promise more.
    #[tokio::test]
    async fn a_walk_forward_ends_where_nothing_is_newer() {
        let source = serve(&[(AFTER_2, page(1, 2, Some("/p2")))]).await;
        let at = AFTER_2.split('=').nth(1).expect("a cursor").parse();
        let mut walk = Walk::forward(&source, Some(at.expect("a cursor")));
        assert!(walk.next().await.expect("an answer").is_some());
        assert!(walk.next().await.expect("an end").is_none());
    }

    fn linking_to(id: u32, next: &str) -> String {
        feed(&format!(
            "<link rel=\"next\" href=\"{next}\"/><entry><id>{id}</id></entry>"
        ))
    }

    const LIMITS: Limits = Limits {
        documents: 3,
        bytes: 10_000,
    };

    #[tokio::test]
    async fn a_walk_back_ends_at_its_bounds_and_in_a_circle() {
        let source = serve(&[
            ("/feed", linking_to(4, "/3")),
            ("/3", linking_to(3, "/2")),
            ("/2", linking_to(2, "/1")),
            ("/circle", linking_to(1, "/round")),
            ("/round", linking_to(0, "/circle")),
            ("/last", feed("<entry><id>1</id></entry>")),
        ])
        .await;
        let at = |path: &str| source.feed_url().join(path).expect("a URL");
        let begin = |path| source.document(at(path));
        let mut walk = Walk::back(&source, begin("/feed").await.expect("a head"), LIMITS);
        for _ in 0..3 {
            assert!(walk.next().await.expect("an answer").is_some());
        }
        let error = walk.next().await.expect_err("enough");
        let enough = matches!(error, WalkError::TooLong { documents: 3, .. });
        assert!(enough, "{error:?}");
        let mut walk = Walk::back(&source, begin("/circle").await.expect("a head"), LIMITS);
        for _ in 0..2 {
            assert!(walk.next().await.expect("an answer").is_some());
        }
        let error = walk.next().await.expect_err("a circle");
        let circle = matches!(&error, WalkError::Cycle(url) if url.path() == "/circle");
        assert!(circle, "{error:?}");
        let mut walk = Walk::back(&source, begin("/last").await.expect("a head"), LIMITS);
        assert!(walk.next().await.expect("an answer").is_some());
        assert!(walk.next().await.expect("an end").is_none());
    }
}
