//! What a person looks at: the lists below the status page, and a comparison.

use harness::request;
use serde_json::json;

use super::{Site, assert_back_to_status};
use crate::support::{Fail, Recorder, Testable, until};

harness::on_both_databases! {
    lists_are_bounded_and_come_in_both_forms
    a_comparison_runs_in_the_background
}

async fn lists_are_bounded_and_come_in_both_forms<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 20, recorder).await;
    let events = site.json("/status/events?limit=7").await["events"].clone();
    let sequences = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["sequence"].as_i64());
    assert_eq!(sequences.flatten().collect::<Vec<_>>().len(), 7);
    // All of them, part by part.
    let mut listed = Vec::new();
    let mut before = 21;
    while before > 1 {
        let path = format!("/status/events?limit=7&before={before}");
        let part = site.json(&path).await["events"].clone();
        let part = part.as_array().unwrap().iter();
        listed.extend(part.map(|event| event["sequence"].as_i64().unwrap()));
        let page = site.page(&path).await;
        before = *listed.last().unwrap();
        assert_eq!(page.contains("Earlier events"), before > 1, "{page}");
    }
    assert_eq!(listed, (1..=20).rev().collect::<Vec<_>>());
    let of = site.json("/status/events?event=order%2F3&before=14").await;
    assert_eq!(of["events"][0]["sequence"], 4);
    assert_eq!(of["events"].as_array().unwrap().len(), 1);
    let page = site.page("/status/events?limit=7").await;
    assert!(page.contains("before=21"), "{page}");
    for wrong in ["before=0", "before=x", "before=2&before=3"] {
        let answer = site.get(&format!("/status/events?{wrong}"), "*/*").await;
        answer.assert_problem(400);
    }
    let all = site.json("/status/events").await["events"].to_string();
    for outcome in ["applied", "parked", "waiting"] {
        assert!(
            all.contains(&format!("\"outcome\":\"{outcome}\"")),
            "{outcome}: {all}"
        );
    }
    let parked = site.json("/status/parked?limit=1").await;
    assert_eq!(parked["parked"][0]["reason"], json!("no such customer"));
    for (path, shown) in [
        ("/status/events", "waiting"),
        ("/status/parked", "no such customer"),
        ("/status/skipped", "No event was skipped"),
        ("/status/decisions", "Nothing has been decided"),
    ] {
        let page = site.page(path).await;
        assert!(page.contains(shown), "{path}: {page}");
        for limit in ["0", "1001", "-1", "many", ""] {
            let answer = site.get(&format!("{path}?limit={limit}"), "*/*").await;
            answer.assert_problem(400);
        }
        site.get(path, "image/png").await.assert_problem(406);
    }
    let nothing = "/status/events?event=urn:uuid:0";
    site.get(nothing, "*/*").await.assert_problem(404);
    for no_id in ["%00", "", "%20"] {
        let path = format!("/status/events?event={no_id}");
        site.get(&path, "*/*").await.assert_problem(400);
    }
}

async fn a_comparison_runs_in_the_background<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 20, Recorder::default()).await;
    assert_eq!(site.json("/status").await["reconciliation"], json!(null));
    // Nobody types anything here, so there need be no form.
    let answer = request(&site.router, "POST", "/status/reconcile", &[], "").await;
    assert_back_to_status(&answer);
    until("there is a result", async || {
        !site.json("/status").await["reconciliation"].is_null()
    })
    .await;
    let compared = site.json("/status").await["reconciliation"].clone();
    assert_eq!(
        (&compared["to"], &compared["found"]),
        (&json!(20), &json!(1))
    );
    assert_eq!(compared["differences"][0]["id"], json!("order/3"));
    let page = site.page("/status").await;
    assert!(page.contains("there is no &lt;effect&gt;"), "{page}");
    // It needs an operator, as the status says.
    let notice = "role=\"alert\"><strong>1 record not as the feed demands, by the comparison at ";
    assert!(page.contains(notice), "{page}");
}
