//! The checker is checked: in what a run without a violation has left, one thing is changed, and the rule that is about it
//! has to see that.

use serde_json::{Value, json};

use crate::checker::violation_of;
use crate::clients::marker;
use crate::evidence::Evidence;
use crate::rules::{list, number, text};

/// A request that no client has made.
const NEVER: u64 = 9_000_000;

type Forge = fn(&mut Evidence);

/// The rule, a part of what it says, and what is changed. The run has a webhook, and a consumer without our programs.
const FORGERIES: &[(&str, &str, Forge)] = &[
    ("V1", "to place order/9000000", |run| answered(run, "place")),
    ("V1", "to cancel order/9000000", |run| {
        answered(run, "cancel")
    }),
    ("V1", "the order of request", |run| {
        for order in rows(&mut run.order["orders"]) {
            order["marker"] = format!("{} ", text(&order["marker"])).into();
        }
    }),
    ("V1", "shipping has never had", |run| {
        removed(&mut consumer(run, "shipping")["claims"], |_| true);
    }),
    ("V1", "webhook has never had", |run| {
        removed(&mut run.webhook.as_mut().unwrap()["claims"], |_| true);
    }),
    ("V1", "bills has never had", |run| {
        removed(&mut run.bills.as_mut().unwrap()["claims"], |_| true);
    }),
    ("V1", "the webhook never acknowledged", |run| {
        let taken = |sent: &&Value| sent["answered"] == 204 || sent["answered"] == 200;
        let id = run.sent.iter().find(taken).unwrap()["id"].clone();
        run.sent.retain(|sent| sent["id"] != id);
    }),
    ("V2", "order.placed", |run| {
        removed(&mut run.order["orders"], |_| true);
    }),
    ("V2", "order.placed: one came twice", |run| {
        repeated(&mut run.order["events"], |event| {
            event["type"] == "order.placed" && !text(&event["data"]).contains("poison")
        });
    }),
    ("V2", "order.cancelled", |run| {
        let order = one(&mut run.order["orders"], |order| {
            order["status"] == "cancelled"
        });
        order["status"] = "placed".into();
    }),
    ("V2", "one request has left several orders", |run| {
        let first = run.order["orders"][0]["marker"].clone();
        run.order["orders"][1]["marker"] = first;
    }),
    ("V2", "it was refused, and is there", |run| {
        run.order["orders"][0]["marker"] = marker(NEVER).into();
        run.history.push(json!({"type": "fail", "op": NEVER}));
    }),
    ("V2", "the webhook got what is not in the feed", |run| {
        run.sent[0]["subject"] = "order/9000000".into();
    }),
    ("V2", "the webhook got what is not in the feed", |run| {
        run.sent[0]["body"] = "urn:uuid:another".into();
    }),
    ("V2", "the webhook got other data", |run| {
        for sent in &mut run.sent {
            sent["data"] = "another".into();
        }
    }),
    ("V3", "the sequence has holes", |run| {
        removed(&mut run.order["events"], |event| event["sequence"] == 7);
    }),
    ("V3", "the head is at", |run| {
        run.order["head"][0]["sequence"] = 7.into();
    }),
    ("V3", "anchor is another event", |run| {
        run.order["head"][0]["anchor"] = run.order["events"][0]["id"].clone();
    }),
    ("V3", "events [", |run| {
        rows(&mut answer_with(run, "events", 3)["events"]).remove(1);
    }),
    ("V3", "data [", |run| {
        rows(&mut answer_with(run, "data", 3)["data"]).remove(1);
    }),
    ("V3", ", after 3", |run| {
        let answer = answer_with(run, "events", 3);
        answer["status"] = 226.into();
        answer["known"] = 3.into();
        answer["events"] = json!([[5, "urn:uuid:five", "hash"]]);
    }),
    ("V3", "events: [7,", |run| {
        run.http
            .push(json!({"events": [[7, "urn:uuid:another", "hash"]]}));
    }),
    ("V3", "data: [7,", |run| {
        run.http
            .push(json!({"data": [[7, "urn:uuid:another", "hash"]]}));
    }),
    ("V3", "the bytes of", |run| {
        let path = final_page(run)["path"].clone();
        run.http.push(json!({"path": path, "final": "another"}));
    }),
    ("V3", "was immutable, and then", |run| {
        let path = final_page(run)["path"].clone();
        let gone = json!({"path": path, "from": 10_000_000, "status": 404, "final": null});
        run.http.push(gone);
    }),
    ("V3", "was immutable, and then", |run| {
        let mut changed = final_page(run).clone();
        changed["from"] = 10_000_000.into();
        changed["final"] = Value::Null;
        run.http.push(changed);
    }),
    ("V4", "published before it was placed", |run| {
        run.order["events"][0]["type"] = "order.cancelled".into();
    }),
    ("V4", "shipping: claimed after", |run| {
        repeated(&mut consumer(run, "shipping")["audit"], |row| {
            row["what"] == "claim"
        });
    }),
    ("V4", "webhook: claimed after", |run| {
        repeated(&mut run.webhook.as_mut().unwrap()["audit"], |row| {
            row["what"] == "claim"
        });
    }),
    ("V4", "before it had acknowledged event", |run| {
        for sent in &mut run.sent {
            sent["from"] = 0.into();
        }
    }),
    ("V5", "invoice: ", |run| {
        removed(&mut consumer(run, "invoice")["documents"], |_| true);
    }),
    ("V5", "shipping: ", |run| {
        rows(&mut consumer(run, "shipping")["documents"]).push("9000000|another".into());
    }),
    ("V5", "an effect that came twice", |run| {
        repeated(&mut consumer(run, "invoice")["audit"], |row| {
            row["what"] == "placed"
        });
    }),
    ("V5", "a change of what was never placed", |run| {
        removed(&mut consumer(run, "invoice")["audit"], |row| {
            row["what"] == "placed"
        });
        for row in rows(&mut consumer(run, "invoice")["audit"]) {
            if row["what"] == "credited" {
                row["key"] = "order/9000000".into();
            }
        }
    }),
    ("V5", "an effect apart from its claim", |run| {
        for row in rows(&mut consumer(run, "invoice")["audit"]) {
            if row["what"] == "placed" {
                row["tx"] = 1.into();
            }
        }
    }),
    ("V5", "invoice, parked", |run| {
        let parked = &mut consumer(run, "invoice")["parked"];
        rows(parked).push(json!({"event_id": "urn:uuid:another"}));
    }),
    ("V5", "shipping, skipped", |run| {
        removed(&mut consumer(run, "shipping")["skipped"], |_| true);
    }),
    ("V5", "invoice: not parked or skipped", |run| {
        let events = run.order["events"].as_array().unwrap();
        let erases = |event: &&Value| event["type"] == "order.erased";
        let id = &events.iter().find(erases).unwrap()["id"];
        let id = format!("urn:uuid:{}", text(id));
        for table in ["parked", "skipped"] {
            rows(&mut consumer(run, "invoice")[table]).retain(|row| row["event_id"] != *id);
        }
    }),
    ("V5", "bills: one came twice", |run| {
        repeated(&mut run.bills.as_mut().unwrap()["documents"], |_| true);
    }),
    ("V5", "bills that failed", |run| {
        let claims = &mut run.bills.as_mut().unwrap()["claims"];
        one(claims, |claim| !claim["failed"].is_null())["failed"] = Value::Null;
    }),
    ("V5", "cents were ordered", |run| {
        run.order["orders"][0]["total_cents"] = 1.into();
    }),
    ("V5", "webhook, parked", |run| {
        let parked = &mut run.webhook.as_mut().unwrap()["parked"];
        rows(parked).push(json!({"event_id": "urn:uuid:another"}));
    }),
    ("V5", "the webhook got acknowledged events again", |run| {
        let all = run.sent.clone();
        for _ in 0..20 {
            run.sent.extend(all.iter().cloned());
        }
    }),
    ("V5", "the webhook got acknowledged events again", |run| {
        let taken = |sent: &&Value| sent["answered"] == 204 || sent["answered"] == 200;
        let again: Vec<Value> = run.sent.iter().filter(taken).cloned().collect();
        run.sent.extend(again);
    }),
    ("V5", "the webhook got acknowledged events again", |run| {
        // Some, at a time without a fault.
        run.history.retain(|line| line["type"] != "fault");
        let taken = |sent: &&Value| sent["answered"] == 204 || sent["answered"] == 200;
        let again: Vec<Value> = run.sent.iter().filter(taken).take(3).cloned().collect();
        run.sent.extend(again);
    }),
    ("V5", "what reconcile finds", |run| {
        let report = json!({"differences": [{"id": "order/1"}]});
        let found = json!({"service": "invoice", "code": 1, "report": report});
        rows(&mut run.shown["reconciled"]).push(found);
    }),
    ("V5", "reconcile does not end with 0", |run| {
        rows(&mut run.shown["reconciled"]).push(json!({"service": "shipping", "code": 2}));
    }),
    ("V6", "is not at", |run| {
        consumer(run, "invoice")["partitions"][3]["sequence"] = 7.into();
    }),
    ("V6", "is not at", |run| {
        consumer(run, "invoice")["partitions"][3]["anchor"] = "urn:uuid:another".into();
    }),
    ("V6", "a cursor that went back", |run| {
        moved(run)["new"] = (-1).into();
    }),
    ("V6", "a cursor that moved unseen", |run| {
        moved(run)["old"] = 1_000_000.into();
    }),
    ("V6", "a lease epoch that went back", |run| {
        moved(run)["epoch"] = (-1).into();
    }),
    ("V7", "written under the lease of another", |run| {
        let owner = moved(run)["owner"].clone();
        let row = json!({"what": "move", "key": "0", "owner": owner, "app": "another"});
        rows(&mut consumer(run, "invoice")["audit"]).push(row);
    }),
    ("V8", "is hidden by", |run| {
        run.http
            .push(json!({"status": 304, "known": 0, "from": 10_000_000}));
    }),
    ("V8", "a date in the future", |run| {
        let answer = answer_with(run, "events", 1);
        answer["modified"] = "Fri, 01 Jan 2100 00:00:00 GMT".into();
    }),
    ("V8", "one tag of two documents", |run| {
        let answers = run.http.iter();
        let mut whole = answers.filter(|answer| answer["status"] == 200 && answer["etag"] != "");
        let mut other = whole.next().unwrap().clone();
        other["body"] = "another".into();
        run.http.push(other);
    }),
    ("V8", "has the date", |run| {
        run.order["events"][6]["updated"] = "2100-01-01T00:00:00.000Z".into();
    }),
    ("V8", "a date that went back", |run| {
        for (at, modified) in [(0, "Fri, 01 Jan 2021"), (9_000_000, "Wed, 01 Jan 2020")] {
            run.http.push(json!({
                "path": "feed", "from": at, "at": at, "modified": format!("{modified} 00:00:00 GMT")}));
        }
    }),
    ("V9", "and now there is", |run| {
        run.order["events"][6]["id"] = "another".into();
    }),
    ("V9", "and now there is", |run| {
        rows(&mut run.order["events"]).truncate(7);
    }),
    ("V10", "seen only after", |run| {
        stalled(run);
        for answer in &mut run.http {
            answer["at"] = 10_000_000.into();
        }
    }),
    ("V10", "no reader has seen", |run| {
        stalled(run);
        run.http.clear();
    }),
    ("V10", "only 0 orders", |run| {
        stalled(run);
        run.history.retain(|line| line["do"] != "place");
    }),
    ("V11", "to level: None", |run| {
        run.history.retain(|line| line["mark"] != "level");
    }),
    ("V11", "to level: Some", |run| {
        let level = run.history.iter_mut().find(|line| line["mark"] == "level");
        level.unwrap()["at"] = 10_000_000.into();
    }),
    ("V11", "it has ended by itself", |run| {
        run.history.push(json!({"gone": "order", "said": "so"}));
    }),
    ("V11", "it has not stopped in order", |run| {
        run.history.push(stopped(json!(1), 9_000_100));
    }),
    ("V11", "it has not stopped in order", |run| {
        run.history.push(stopped(Value::Null, 9_000_100));
    }),
    ("V11", "it has not stopped in order", |run| {
        run.history.push(stopped(json!(0), 9_020_000));
    }),
    ("V11", "a reader was refused", |run| {
        run.http
            .push(json!({"status": 500, "from": 0, "at": 10_000_000}));
    }),
    ("V11", "a reader was refused", |run| {
        run.http
            .push(json!({"status": 410, "from": 0, "at": 10_000_000}));
    }),
    ("V11", "a reader was refused", |run| {
        run.history.retain(|line| line["type"] != "fault");
        run.http
            .push(json!({"status": 503, "from": 5_000, "at": 5_100}));
    }),
    ("V11", "a reader was refused", |run| {
        run.http
            .push(json!({"status": 503, "from": 10_000_000, "at": 10_000_000}));
    }),
    ("V11", "nobody has read", |run| {
        run.history.retain(|line| line["type"] != "reader");
    }),
    ("V11", "the reader tag has read None", |run| {
        run.http.clear()
    }),
    ("V11", "the reader date has read", |run| {
        removed_all(&mut run.http, |answer| answer["reader"] == "date");
    }),
    ("V11", "the reader forward has read", |run| {
        removed_all(&mut run.http, |answer| answer["reader"] == "forward");
    }),
    ("V11", "the reader batch has read", |run| {
        removed_all(&mut run.http, |answer| answer["reader"] == "batch");
    }),
    ("V11", "the reader tag never got a 304", |run| {
        removed_all(&mut run.http, |answer| answer["status"] == 304);
    }),
    ("V11", "lag is", |run| {
        instance(run, "invoice")["status"]["lag"]["events"] = 1.into()
    }),
    ("V11", "head is", |run| {
        instance(run, "shipping")["status"]["head"] = 7.into()
    }),
    ("V11", "skipped is", |run| {
        instance(run, "invoice")["status"]["skipped"] = NEVER.into();
    }),
    ("V11", "parked is", |run| {
        instance(run, "webhook")["status"]["parked"] = NEVER.into();
    }),
    ("V11", "subscription_lag_events is", |run| {
        instance(run, "shipping")["metrics"]["subscription_lag_events"] = 1.into();
    }),
    ("V11", "subscription_parked_events is", |run| {
        instance(run, "invoice")["metrics"]["subscription_parked_events"] = Value::Null;
    }),
    ("V11", "sequence is", |run| {
        instance(run, "publisher")["status"]["sequence"] = 7.into()
    }),
    ("V11", "no instance was asked", |run| {
        run.shown["shipping"] = json!([]);
    }),
    ("V11", "there was a panic", |run| {
        rows(&mut run.shown["panics"]).push("invoice: thread 'main' panicked at".into());
    }),
    ("V11", "is halted", |run| {
        consumer(run, "shipping")["subscription"][0]["halted"] = "lost".into();
    }),
    ("V12", "1 events have no number", |run| {
        run.order["unnumbered"] = 1.into();
    }),
    ("V12", "too much", |run| {
        run.samples.push(json!({"size": 2, "bound": 1}));
    }),
];

/// Fails if a rule does not see what is changed in what this run has left.
pub(crate) fn assert_each_is_seen(run: &Evidence) {
    let unseen = FORGERIES.iter().filter_map(|(rule, expected, forge)| {
        let mut forged = run.clone();
        forge(&mut forged);
        // That rule alone: all of them would take twelve times as long.
        let said = violation_of(rule, &forged);
        let seen = said.as_ref().is_some_and(|said| said.contains(expected));
        (!seen).then(|| format!("{rule} does not say {expected:?}: {said:?}"))
    });
    let unseen: Vec<String> = unseen.collect();
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

fn rows(table: &mut Value) -> &mut Vec<Value> {
    table.as_array_mut().unwrap()
}

fn one(table: &mut Value, which: fn(&Value) -> bool) -> &mut Value {
    let mut found = rows(table).iter_mut();
    found.find(|row| which(row)).unwrap()
}

fn removed(table: &mut Value, which: fn(&Value) -> bool) {
    let row = rows(table).iter().position(which).unwrap();
    rows(table).remove(row);
}

fn repeated(table: &mut Value, which: fn(&Value) -> bool) {
    let row = one(table, which).clone();
    rows(table).push(row);
}

fn removed_all(answers: &mut Vec<Value>, which: fn(&Value) -> bool) {
    answers.retain(|answer| !which(answer));
}

/// What an instance shows operators.
fn instance<'a>(run: &'a mut Evidence, name: &str) -> &'a mut Value {
    &mut run.shown[name][0]
}

/// A page that its server has called immutable.
fn final_page(run: &Evidence) -> &Value {
    let mut pages = run.http.iter();
    pages.find(|answer| !answer["final"].is_null()).unwrap()
}

/// An instance that was ready has stopped, long after all faults.
fn stopped(code: Value, at: u64) -> Value {
    json!({"stopped": "invoice", "from": 9_000_000, "at": at, "code": code, "ready": true})
}

fn consumer<'a>(run: &'a mut Evidence, name: &str) -> &'a mut Value {
    let mut consumers = run.consumers.iter_mut();
    &mut consumers.find(|consumer| consumer.0 == name).unwrap().1
}

/// A change of a cursor.
fn moved(run: &mut Evidence) -> &mut Value {
    one(&mut consumer(run, "invoice")["audit"], |row| {
        row["what"] == "move" && number(&row["epoch"]) > 0
    })
}

/// The first answer with so many of something.
fn answer_with<'a>(run: &'a mut Evidence, what: &str, count: usize) -> &'a mut Value {
    let mut answers = run.http.iter_mut();
    answers
        .find(|answer| list(&answer[what]).len() >= count)
        .unwrap()
}

/// Adds a request that was answered, of an order that is not there.
fn answered(run: &mut Evidence, what: &str) {
    run.history
        .push(json!({"type": "invoke", "do": what, "op": NEVER}));
    run.history
        .push(json!({"type": "ok", "op": NEVER, "order": NEVER}));
}

/// Says that a writer has stalled all the time.
fn stalled(run: &mut Evidence) {
    run.history.push(json!({"mark": "stall", "at": 0}));
    run.history
        .push(json!({"mark": "stalled", "at": 10_000_000}));
}
