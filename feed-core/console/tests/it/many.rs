//! Decisions about many parked events, and their undo: the list is the preview, and its buttons are about what it shows.

use feed_core::Database;
use serde_json::json;

use super::{Site, assert_back_to_status};
use crate::support::{Fail, Recorder, Testable};

harness::on_both_databases! {
    the_list_is_the_preview_of_a_decision
    a_misspelt_selection_never_means_all
    a_skip_is_undone_by_a_button
    hostile_ids_are_found_and_escaped
}

/// Parks so many events: of a type, and for a cause.
async fn park<B: Testable>(
    database: &Database<B>,
    name: &str,
    count: usize,
    event_type: &str,
    cause: &str,
    at: &str,
) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, reason, attempts,
                                  event_type, parked_at)
         SELECT 'order', '{name}/' || i, i % 16, '{name}/' || i, i, '{{}}', '{cause}', 1, '{event_type}', '{at}'
         FROM n"
    );
    B::run(database, &sql).await;
}

const JANUARY: &str = "2026-01-15T00:00:00.000Z";
const FEBRUARY: &str = "2026-02-15T00:00:00.000Z";

/// The value of a hidden field in a form of the page that is sent to `action`.
fn hidden(page: &str, action: &str, name: &str) -> Option<String> {
    let (_, form) = page.split_once(&format!("action=\"{action}\""))?;
    let (form, _) = form.split_once("</form>")?;
    let (_, value) = form.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(
        value
            .split('"')
            .next()?
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

async fn the_list_is_the_preview_of_a_decision<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let cause = "no <customer>";
    park(&site.database, "a", 4000, "order.placed", cause, JANUARY).await;
    park(&site.database, "b", 1500, "order.cancelled", cause, JANUARY).await;
    park(&site.database, "c", 30, "order.placed", "no item", FEBRUARY).await;

    let path = "/status/parked?type=order.placed&from=2026-01-01&until=2026-01-31&cause=";
    let document = site.json(&format!("{path}&limit=3")).await;
    assert_eq!(
        (
            &document["events"],
            document["parked"].as_array().unwrap().len()
        ),
        (&json!(4000), 3)
    );
    assert_eq!(document["causes"][0]["events"], 4000);
    assert_eq!(
        document["types"],
        json!([{"type": "order.placed", "events": 4000}])
    );
    assert_eq!(document["parked"][0]["type"], "order.placed");
    // As browsers write a time.
    let day = "/status/parked?from=2026-02-15T00:00&until=2026-02-15T00:00:01&type=&cause=";
    assert_eq!(site.json(day).await["events"], 30);

    let page = site.page(path).await;
    for part in [
        "4,000 events selected",
        "Retry these 4,000",
        "Skip these 4,000",
        "These are the first 100.",
        "no &lt;customer&gt;",
        "value=\"2026-02-01T00:00:00\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // What fails after the page was made is not touched.
    let skip = "/invoice/status/skip";
    let fields: Vec<(&str, String)> = ["type", "from", "until", "as_of"]
        .iter()
        .map(|name| (*name, hidden(&page, skip, name).unwrap()))
        .collect();
    let until = fields[2].1.as_str();
    assert_eq!(until, "2026-02-01T00:00:00Z");
    park(&site.database, "late", 5, "order.placed", cause, JANUARY).await;
    let tried = "INSERT INTO feed_attempt (subscription, event_id, attempt, reason)
                 SELECT subscription, event_id, 1, reason FROM feed_parked WHERE subject LIKE 'late/%'";
    B::run(&site.database, tried).await;
    let again = "UPDATE feed_parked SET attempts = 2 WHERE subject LIKE 'late/%'";
    B::run(&site.database, again).await;
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    fields.extend([("reason", "a test"), ("by", "eve")]);
    assert_back_to_status(&site.press("/status/skip", &fields).await);
    assert_eq!(site.json(path).await["events"], 5);
    let status = site.handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (1535, 4000));
    // The second operator gets the name of the first.
    let again = site.press("/status/skip", &fields).await;
    again.assert_problem(409);
    assert!(again.body.contains("eve decided at 20"), "{}", again.body);

    // By its cause, to the letter, from the status page.
    let page = site.page("/status").await;
    assert!(page.contains("Retry 1,505 events"), "{page}");
    let retry = "/invoice/status/retry";
    let cause = hidden(&page, retry, "cause").unwrap();
    let fields = [("cause", cause.as_str()), ("by", "eve")];
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/retry", &fields, &accept).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"retried": 1505}))
    );
    let due = "SELECT count(*) FROM feed_parked WHERE retry_at IS NULL";
    assert_eq!(B::numbers(&site.database, due).await, [30]);
    // All that was not decided about is in the whole list.
    let all = site.json("/status/parked?limit=1").await;
    assert_eq!(all["events"], 1535);
    assert!(!site.page("/status/parked").await.contains("Skip these"));
}

async fn a_misspelt_selection_never_means_all<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    park(
        &site.database,
        "a",
        3,
        "order.placed",
        "no customer",
        JANUARY,
    )
    .await;
    for query in [
        "typ=order.placed",
        "type=order.placed&type=order.cancelled",
        "from=yesterday",
        "until=2026-13-01",
        "as_of=now",
        "cause=%00",
        "event=a%2F1",
    ] {
        let answer = site.get(&format!("/status/parked?{query}"), "*/*").await;
        answer.assert_problem(400);
    }
    for path in [
        "/status?x=1",
        "/status?limit=1",
        "/status/events?event=a%2F1&event=a%2F2",
        "/status/decisions?type=order.placed",
    ] {
        site.get(path, "*/*").await.assert_problem(400);
    }
    let by = ("by", "eve");
    let reason = ("reason", "a test");
    for (path, fields) in [
        ("/status/retry", &[("typ", "order.placed"), by][..]),
        ("/status/retry", &[("type", ""), by]),
        ("/status/retry", &[("cause", " "), by]),
        ("/status/retry", &[("from", "2026"), by]),
        ("/status/retry", &[("cause", "x"), ("cause", "y"), by]),
        ("/status/retry", &[("event", "a/1"), ("type", "x"), by]),
        ("/status/skip", &[reason, by]),
        ("/status/skip", &[("as_of", JANUARY), reason, by]),
        ("/status/skip", &[("until", ""), reason, by]),
        ("/status/undo", &[("decision", "0"), by]),
        ("/status/undo", &[("decision", "1; 2"), by]),
        ("/status/undo", &[("position", "1"), by]),
    ] {
        let answer = site.press(path, fields).await;
        answer.assert_problem(422);
    }
    let none = [("type", "order.unknown"), reason, by];
    site.press("/status/skip", &none).await.assert_problem(404);
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    assert_eq!(site.handle.status().await.unwrap().parked, 3);
}

async fn a_skip_is_undone_by_a_button<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 3, Recorder::default()).await;
    park(
        &site.database,
        "a",
        3,
        "order.placed",
        "no customer",
        JANUARY,
    )
    .await;
    let skip = [
        ("type", "order.placed"),
        ("reason", "a mistake"),
        ("by", "eve"),
    ];
    assert_back_to_status(&site.press("/status/skip", &skip).await);
    assert_eq!(site.handle.status().await.unwrap().parked, 0);
    let undo = "/invoice/status/undo";
    for path in ["/status", "/status/decisions", "/status/events?event=a%2F2"] {
        let page = site.page(path).await;
        assert_eq!(
            hidden(&page, undo, "decision").as_deref(),
            Some("1"),
            "{path}"
        );
    }
    let fields = [("decision", "1"), ("by", "<ada>")];
    assert_back_to_status(&site.press("/status/undo", &fields).await);
    assert_eq!(site.handle.status().await.unwrap().parked, 3);
    let page = site.page("/status/decisions").await;
    assert!(page.contains("undone by <bdi>&lt;ada&gt;</bdi>"), "{page}");
    assert_eq!(hidden(&page, undo, "decision"), None);
    let decisions = site.json("/status/events?event=a%2F2").await["decisions"].clone();
    assert_eq!(
        (&decisions[0]["decision"], &decisions[1]["undone_by"]),
        (&json!("undo 1"), &json!("<ada>"))
    );
    let again = site.press("/status/undo", &fields).await;
    again.assert_problem(409);
    assert!(
        again.body.contains("&lt;ada&gt; has done so at"),
        "{}",
        again.body
    );
    let unknown = [("decision", "4711"), ("by", "ada")];
    site.press("/status/undo", &unknown)
        .await
        .assert_problem(404);

    // What nobody has executed yet.
    let sql = "INSERT INTO feed_decision (subscription, decision, decided_by) VALUES ('order', 'some day', 'eve')";
    site.shutdown.cancel();
    crate::support::until("it has stopped", async || site.running.is_finished()).await;
    B::run(&site.database, sql).await;
    let open = site.handle.decisions(1).await.unwrap()[0]
        .position
        .to_string();
    let fields = [("decision", open.as_str()), ("by", "ada")];
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/undo", &fields, &accept).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json()["outcome"],
        "taken back before it was carried out"
    );
    assert_eq!(site.handle.status().await.unwrap().decision, None);
}

/// Ids and subjects are as a feed gives them: with line breaks, tabs and sequences for terminals.
async fn hostile_ids_are_found_and_escaped<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 10, Recorder::failing("order/3", Fail::Park)).await;
    let hostile = "a\tb\n\u{1b}[2J<x>";
    let rename =
        "UPDATE feed_parked SET event_id = 'a\tb\n\u{1b}[2J<x>', subject = 'a\tb\n\u{1b}[2J<x>'
                  WHERE reason IS NOT NULL";
    B::run(&site.database, "DELETE FROM feed_attempt").await;
    B::run(&site.database, rename).await;
    let query: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
    let path = format!("/status/events?event={query}");
    let page = site.page(&path).await;
    assert!(
        page.contains("&lt;x&gt;") && !page.contains("<x>"),
        "{page}"
    );
    assert_eq!(site.json(&path).await["parked"]["subject"], json!(hostile));
    // As a browser sends it.
    let sent = hostile.replace('\n', "\r\n");
    let fields = [("event", sent.as_str()), ("by", "eve")];
    assert_back_to_status(&site.press("/status/retry", &fields).await);

    // An id in capital letters is the same one.
    let taken = site.json("/status/events?limit=1").await["events"][0]["id"].clone();
    let urn = taken.as_str().unwrap().to_uppercase();
    for form in [urn.as_str(), urn.strip_prefix("URN:UUID:").unwrap()] {
        let found = site.json(&format!("/status/events?event={form}")).await;
        assert_eq!(found["events"][0]["id"], taken, "{form}");
    }
}
