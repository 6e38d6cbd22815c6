//! An order service that publishes, and functions that read its feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Answer, Backend, Client, DEADLINE, Service, new_order, until};

/// Orders placed at the same time.
const CREATORS: usize = 8;

/// An order service that answers, with an empty feed.
pub(crate) async fn started(backend: Backend) -> Service {
    let mut order = Service::new("order", backend).await;
    order.start().await;
    order
}

/// The newest sequence in the feed.
pub(crate) async fn newest(client: &Client) -> usize {
    sequence_of(&cursor(&client.get("feed", &[]).await))
}

/// Places so many orders, and waits until their events are in the feed.
pub(crate) async fn place(order: &Service, count: usize) {
    let client = &order.client;
    let goal = newest(client).await + count;
    let creators: Vec<_> = (0..CREATORS)
        .map(|creator| {
            let client = client.clone();
            let share = count / CREATORS + usize::from(creator < count % CREATORS);
            tokio::spawn(async move {
                for _ in 0..share {
                    let answer = client.post_json("orders", &new_order()).await.unwrap();
                    assert_eq!(answer.status, 201, "{}", answer.body);
                }
            })
        })
        .collect();
    for creator in creators {
        creator.await.unwrap();
    }
    until("all events are in the feed", async || {
        (newest(client).await == goal).then_some(())
    })
    .await;
}

/// Waits until the head has a date that identifies its newest event.
pub(crate) async fn dated(order: &Service) {
    until("the second of the newest event is closed", async || {
        let head = order.client.get("feed", &[]).await;
        head.headers.contains_key("last-modified").then_some(())
    })
    .await;
}

/// The cursor of a feed document.
pub(crate) fn cursor(document: &Answer) -> String {
    document.elements("event:cursor").remove(0)
}

/// The sequence of a cursor.
pub(crate) fn sequence_of(cursor: &str) -> usize {
    cursor.split('.').nth(1).unwrap().parse().unwrap()
}

/// The sequences in one or more feed documents, in the order of the text.
pub(crate) fn sequences(text: &str) -> Vec<usize> {
    let parts = text.split("<event:sequence>").skip(1);
    parts
        .map(|part| part.split('<').next().unwrap().parse().unwrap())
        .collect()
}

/// The events after a cursor, oldest first, and the cursor after them; `None` if there is no answer.
pub(crate) async fn after(
    client: &Client,
    at: &str,
    headers: &[(&str, &str)],
) -> Option<(Vec<usize>, String)> {
    let address = client.url(&format!("feed?after={at}"));
    let mut answer = client.try_send("GET", &address, headers, "").await?;
    if answer.status == 303 {
        let page = url::Url::parse(&address).unwrap();
        let page = page.join(answer.header("location")).unwrap();
        answer = client.try_send("GET", page.as_str(), &[], "").await?;
    }
    assert_eq!(answer.status, 200, "{}", answer.body);
    // A page may begin before the cursor.
    let known = if at == "start" { 0 } else { sequence_of(at) };
    let mut events = sequences(&answer.body);
    events.reverse();
    events.retain(|event| *event > known);
    Some((events, cursor(&answer)))
}

/// What several readers together have done.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    pub(crate) asked: AtomicUsize,
    pub(crate) received: AtomicUsize,
}

/// Reads on from the cursor `at`, waiting for what is new, until the event `goal`. Every event comes once, in sequence. A
/// cache that is killed, or closes connections that it cannot queue, is asked again.
pub(crate) async fn follow(client: Client, mut at: String, goal: usize, all: Arc<Readers>) {
    let mut last = sequence_of(&at);
    while last < goal {
        all.asked.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        // Not `until`, whose future cannot be spawned.
        let (new, next) = loop {
            if let Some(answer) = after(&client, &at, &[("prefer", "wait=30")]).await {
                break answer;
            }
            assert!(begin.elapsed() < DEADLINE, "no answer after {at}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let expected: Vec<usize> = (last + 1..=last + new.len()).collect();
        assert_eq!(new, expected, "after {at}");
        last += new.len();
        all.received.fetch_add(new.len(), Ordering::Relaxed);
        at = next;
    }
}

/// The target of a link of a document, by its `Link` header; without scheme and host, so that it
/// can be followed through a cache.
pub(crate) fn link(document: &Answer, rel: &str) -> Option<String> {
    let links = document.headers.get_all("link").iter();
    let href = links.filter_map(|link| {
        let (href, rest) = link.to_str().unwrap().split_once('>')?;
        rest.contains(&format!("rel=\"{rel}\"")).then(|| &href[1..])
    });
    let url = url::Url::parse(href.collect::<Vec<_>>().first()?).unwrap();
    Some(url[url::Position::BeforePath..].to_owned())
}

/// The address of a page.
pub(crate) fn page(head: &Answer, number: usize) -> String {
    let cursor = cursor(head);
    let (epoch, _) = cursor.split_once('.').unwrap();
    format!("feed/{epoch}/{number}")
}
