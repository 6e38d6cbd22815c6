//! All routes of the services, and the rights that each needs. A route that is missing in this list
//! is found in the sources.

use std::collections::BTreeSet;
use std::path::Path;

use Needs::{Nothing, Operate, Read};

/// What a request that changes nothing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Read,
    Operate,
}

type Routes = &'static [(&'static str, Needs)];

pub(super) const EVERYWHERE: Routes = &[
    ("/health/live", Nothing),
    ("/health/started", Nothing),
    ("/health/ready", Nothing),
    ("/style.css", Nothing),
    ("/icon.svg", Nothing),
    ("/locale.js", Nothing),
    ("/metrics", Read),
    ("/openapi.json", Read),
    ("/", Operate),
    ("/there/is/no/such/page", Operate),
];

pub(super) const ORDER: Routes = &[
    ("/form.js", Nothing),
    ("/order.js", Nothing),
    ("/asyncapi.json", Read),
    ("/feed", Read),
    ("/feed.atom", Read),
    ("/feed/{epoch}/{page}", Read),
    ("/feed/{epoch}/batch/{range}", Read),
    ("/feed/schemas/{type}", Read),
    ("/feed/stream", Read),
    ("/feed/status", Operate),
    ("/events/{id}", Read),
    ("/form.html", Operate),
    ("/line", Operate),
    ("/orders", Operate),
    ("/order/{id}", Operate),
    ("/order/{id}/cancel", Operate),
    ("/customers", Operate),
    ("/customers/new", Operate),
    ("/customers/{id}", Operate),
    ("/items", Operate),
    ("/items/new", Operate),
    ("/items/{id}", Operate),
];

/// The routes of all consumers.
pub(super) const CONSUMER: Routes = &[
    ("/poll", Operate),
    ("/status", Operate),
    ("/status/all", Operate),
    ("/status/all.js", Nothing),
    ("/status/live.js", Nothing),
    ("/status/watch.js", Nothing),
    ("/status/decisions", Operate),
    ("/status/events", Operate),
    ("/status/instances", Operate),
    ("/status/parked", Operate),
    ("/status/pause", Operate),
    ("/status/skipped", Operate),
    ("/status/reconcile", Operate),
    ("/status/replay", Operate),
    ("/status/resume", Operate),
    ("/status/retire", Operate),
    ("/status/retry", Operate),
    ("/status/skip", Operate),
    ("/status/undo", Operate),
];

pub(super) const INVOICE: Routes = &[
    ("/print.js", Nothing),
    ("/{id}", Operate),
    ("/{id}/credit-note", Operate),
];

pub(super) const SHIPPING: Routes = &[("/{id}", Operate), ("/{id}/dispatch", Operate)];

/// The paths after `.route(`, `script(` and the like in the sources below `directory`.
fn written(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, found);
        } else if path.ends_with("tests.rs") {
            // Their routes are no service's, as behind `#[cfg(test)]`.
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code: Vec<&str> = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let code = code.join("\n");
            for call in [
                ".route(",
                "script(",
                "asset(",
                "ServiceDescription::new(",
                "record::<",
            ] {
                for rest in code.split(call).skip(1) {
                    let arguments = rest.split(')').next().unwrap_or_default();
                    if arguments.starts_with('&') {
                        // The routes of all services below a prefix, in the shop.
                        continue;
                    }
                    let literals = arguments.split('"').skip(1).step_by(2);
                    let paths = literals.filter(|literal| literal.starts_with('/'));
                    found.extend(paths.map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn every_route_is_in_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    for source in [
        "feed-core/src",
        "feed-core/chassis/src",
        "feed-core/console/src",
        "services/order/src",
        "services/invoice/src",
        "services/shipping/src",
    ] {
        written(&root.join(source), &mut found);
    }
    assert!(found.len() > 30, "{found:?}");
    let known = [EVERYWHERE, ORDER, CONSUMER, INVOICE, SHIPPING].concat();
    let known: BTreeSet<String> = known.iter().map(|(path, _)| (*path).to_owned()).collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "what do they need? {unknown:?}");
    let gone: Vec<_> = known
        .difference(&found)
        .filter(|path| !path.contains("no/such"))
        .collect();
    assert!(gone.is_empty(), "there are none: {gone:?}");
}
