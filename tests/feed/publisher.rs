//! An order service that publishes, and functions that read its feed.

use harness::{Answer, Backend, Client, Service, new_order, until};

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
