//! Every route, by every method, with no, wrong, reading and operating credentials.

use harness::{Answer, Backend, Client, System, new_order, until};

use super::routes::{CONSUMER, EVERYWHERE, INVOICE, Needs, ORDER, SHIPPING};
use super::{EVE, MALLORY, OPERATOR, READER, SECOND_READER, protected, started};

crate::on_both! {
    every_route_refuses_requests_without_its_rights
    requests_from_other_sites_change_nothing
    credentials_change_while_the_service_runs
    without_a_credentials_file_none_are_required
}

const METHODS: [&str; 8] = [
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "BREW",
];

/// Each resembles one of ours, and is wrong.
const WRONG: [&str; 8] = [
    "",
    "Basic",
    "Bearer",
    // reader:second-pass, :, and the right one for another scheme
    "Basic cmVhZGVyOnNlY29uZC1wYXNz",
    "Basic Og==",
    "Bearer cmVhZGVyOmZpcnN0LXBhc3M=",
    "Basic operator-token==",
    "Bearer operator-token",
];

/// The rights that a request needs, and its target.
struct Request {
    method: &'static str,
    path: String,
    needs: Needs,
}

/// All requests to a service that has these routes besides the common ones.
fn requests(routes: &[&[(&'static str, Needs)]], newest: &Answer) -> Vec<Request> {
    let epoch = match newest.elements("event:epoch").first() {
        Some(epoch) => epoch.clone(),
        None => "none".to_owned(),
    };
    let event = newest.body.split("/events/").nth(1);
    let event = event.and_then(|rest| rest.split('"').next()).unwrap_or("1");
    let routes = [&[EVERYWHERE], routes].concat();
    let mut requests = Vec::new();
    for (path, needs) in routes.concat() {
        let path = path
            .replace("/events/{id}", &format!("/events/{event}"))
            .replace("{id}", "1")
            .replace("{epoch}", &epoch)
            .replace("{page}", "1")
            .replace("{range}", "1-1");
        for method in METHODS {
            let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
            requests.push(Request {
                method,
                path: path.clone(),
                needs: if safe { needs } else { Needs::Operate },
            });
        }
    }
    requests
}

async fn requests_of(system: &System) -> Vec<(&Client, Vec<Request>)> {
    let newest = system.order.client.get("feed", &[]).await;
    let of = |routes: &[_]| requests(routes, &newest);
    vec![
        (&system.order.client, of(&[ORDER])),
        (&system.invoice.client, of(&[CONSUMER, INVOICE])),
        (&system.shipping.client, of(&[CONSUMER, SHIPPING])),
    ]
}

async fn ask(client: &Client, request: &Request, headers: &[(&str, &str)]) -> Answer {
    let Request { method, path, .. } = request;
    let answer = client.try_send(method, path, headers, "").await;
    answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// The content of all databases, as far as requests can change it.
async fn state(system: &System) -> String {
    let mut state = String::new();
    for (client, paths) in [
        (
            &system.order.client,
            &["order/1", "", "customers", "items", "feed?after=start"][..],
        ),
        (&system.invoice.client, &["1", "", "status/decisions"]),
        (&system.shipping.client, &["1", "", "status/decisions"]),
    ] {
        for path in paths {
            let accept = [("accept", "application/json, application/atom+xml")];
            let answer = client.get(path, &accept).await;
            assert_eq!(answer.status, 200, "{path}");
            state += &answer.body;
        }
    }
    state
}

async fn every_route_refuses_requests_without_its_rights(backend: Backend) {
    let system = started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    let before = state(&system).await;
    let requests = requests_of(&system).await;
    let mut asked = 0;
    for (client, requests) in &requests {
        for request in requests {
            let Request {
                method,
                path,
                needs,
            } = request;
            let what = format!("{method} {}", client.url(path));
            let wrong = WRONG.iter().map(|shown| client.showing(shown));
            for client in std::iter::once(client.anonymous()).chain(wrong) {
                asked += 1;
                let answer = ask(&client, request, &[]).await;
                if *needs == Needs::Nothing {
                    assert!(!matches!(answer.status, 401 | 403), "{what}: {answer:?}");
                    continue;
                }
                assert_eq!(answer.status, 401, "{what}: {answer:?}");
                let challenges = answer.headers.get_all("www-authenticate").iter();
                let challenges: Vec<_> = challenges.map(|value| value.to_str().unwrap()).collect();
                let expected = [
                    "Basic realm=\"services\", charset=\"UTF-8\"",
                    "Bearer realm=\"services\"",
                ];
                assert_eq!(challenges, expected, "{what}");
                assert_eq!(answer.header("cache-control"), "no-store", "{what}");
                if *method != "HEAD" {
                    answer.assert_problem(401);
                }
            }
            for reader in [READER, SECOND_READER] {
                let answer = ask(&client.showing(reader), request, &[]).await;
                if *needs == Needs::Operate {
                    assert_eq!(answer.status, 403, "{what}: {answer:?}");
                    assert_eq!(answer.header("www-authenticate"), "");
                } else {
                    assert!(!matches!(answer.status, 401 | 403), "{what}: {answer:?}");
                    let caching = answer.header("cache-control");
                    let private = caching.contains("private") || caching.contains("no-store");
                    assert!(private || *needs == Needs::Nothing, "{what}: {caching}");
                }
            }
        }
    }
    assert!(asked > 2_000, "{asked}");
    assert!(state(&system).await == before, "something has changed");
    // With sufficient rights, the service itself answers each request.
    for (client, requests) in &requests {
        for request in requests {
            for operator in [EVE, MALLORY, OPERATOR] {
                let answer = ask(&client.showing(operator), request, &[]).await;
                assert!(
                    !matches!(answer.status, 401 | 403 | 500..),
                    "{} {}: {answer:?}",
                    request.method,
                    request.path
                );
            }
        }
    }
    let browser = [("accept", "text/html,*/*;q=0.8")];
    let page = system
        .order
        .client
        .anonymous()
        .get("customers", &browser)
        .await;
    page.assert_problem(401);
    assert!(
        page.body.contains("Credentials are needed"),
        "{}",
        page.body
    );
}

async fn requests_from_other_sites_change_nothing(backend: Backend) {
    let system = started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    let before = state(&system).await;
    let (mut refused, mut accepted) = (0, Vec::new());
    let all = requests_of(&system).await;
    for (client, requests) in &all {
        // The browser sends its credentials, whichever site causes the request.
        let changing = requests
            .iter()
            .filter(|request| matches!(request.method, "POST" | "PUT" | "PATCH" | "DELETE"));
        for request in changing {
            for headers in [
                &[("origin", "https://evil.example")][..],
                &[("origin", "null")],
                &[("sec-fetch-site", "cross-site")],
                &[
                    ("origin", "http://127.0.0.1:1"),
                    ("sec-fetch-site", "same-site"),
                ],
            ] {
                let answer = ask(client, request, headers).await;
                match answer.status {
                    403 => {
                        assert!(answer.body.contains("another-site"), "{answer:?}");
                        refused += 1;
                    }
                    _ => accepted.push((*client, request, answer.status)),
                }
            }
        }
    }
    assert!(state(&system).await == before, "something has changed");
    assert!(refused > 300, "{refused}");
    // Requests that were not refused for that reason have no route.
    for (client, request, status) in accepted {
        let plain = ask(client, request, &[]).await;
        let what = format!("{} {}", request.method, client.url(&request.path));
        assert!(matches!(plain.status, 404 | 405), "{what}: {plain:?}");
        assert_eq!(plain.status, status, "{what}");
    }
}

async fn credentials_change_while_the_service_runs(backend: Backend) {
    let mut system = protected(backend).await;
    let order = &mut system.order;
    order.start().await;
    let statuses = async |client: &Client| {
        let mut statuses = Vec::new();
        for shown in [EVE, MALLORY, "Bearer new-token"] {
            statuses.push(client.showing(shown).get("items", &[]).await.status);
        }
        statuses
    };
    assert_eq!(statuses(&order.client).await, [200, 200, 401]);
    for (text, expected) in [
        ("operate eve:pass:wörd\noperate new-token", [200, 401, 200]),
        // After a mistake in the file, the previous credentials stay in force.
        ("operate mallory:other pass\noops", [200, 401, 200]),
        ("operate new-token", [401, 401, 200]),
    ] {
        order.file("credentials", text);
        let process = order.process().unwrap();
        let before = process.log().lines().count();
        process.signal("HUP");
        until("they are read", async || {
            (process.log().lines().count() > before).then_some(())
        })
        .await;
        assert_eq!(statuses(&order.client).await, expected, "{text}");
    }
    let log = order.process().unwrap().log();
    assert!(log.contains("read 2 credentials again"), "{log}");
    assert!(log.contains("credentials, line 2: "), "{log}");
    for secret in ["pass", "wörd", "oops", "new-token"] {
        assert!(!log.contains(secret), "{log}");
    }
    order.client = order.client.showing("Bearer new-token");
    let placed = order.client.post_json("orders", &new_order()).await;
    assert_eq!(placed.unwrap().status, 201);
}

async fn without_a_credentials_file_none_are_required(backend: Backend) {
    let system = System::started(backend).await;
    let id = system.place().await;
    system.invoice(id).await;
    system.shipment(id).await;
    for (client, requests) in requests_of(&system).await {
        for request in requests {
            // What a client sends makes no difference.
            for client in [client.clone(), client.showing("Basic cmVhZGVyOg==")] {
                let answer = ask(&client, &request, &[]).await;
                assert!(!matches!(answer.status, 401 | 403), "{answer:?}");
            }
        }
    }
    let page = system.order.client.get("feed", &[]).await;
    assert_eq!(
        page.header("cache-control"),
        "max-age=0, stale-if-error=86400"
    );
}
