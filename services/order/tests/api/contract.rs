//! The schema of an event's data is a contract: a consumer of the version before reads what this version writes.
//!
//! `order.placed.json` is the schema of the last version that consumers have. To publish more, add fields. When a released
//! version has them, replace the file by what `GET /feed/schemas/order.placed` answers.

use std::collections::BTreeSet;

use order::events::schemas;
use serde_json::Value;

const BEFORE: &str = include_str!("order.placed.json");

/// Two versions of a schema.
struct Versions<'a> {
    before: &'a Value,
    now: &'a Value,
}

impl Versions<'_> {
    /// Returns what a reader of the version before cannot read in what is written now, with the field.
    fn broken(&self) -> Option<String> {
        self.compare("the data", self.before, self.now)
    }

    fn compare(&self, field: &str, before: &Value, now: &Value) -> Option<String> {
        let (before, now) = (resolve(self.before, before), resolve(self.now, now));
        let new: Vec<String> = types(now).difference(&types(before)).cloned().collect();
        if !new.is_empty() && !types(before).is_empty() {
            return Some(format!(
                "{field} may be of another type: {}",
                new.join(", ")
            ));
        }
        for keyword in ["format", "pattern", "const"] {
            if before.get(keyword).is_some() && before.get(keyword) != now.get(keyword) {
                return Some(format!("{field} has another {keyword}"));
            }
        }
        if let (Some(before), Some(now)) = (before["enum"].as_array(), now["enum"].as_array())
            && let Some(new) = now.iter().find(|value| !before.contains(value))
        {
            return Some(format!("{field} has a new value: {new}"));
        }
        let required = |schema: &Value, name: &str| {
            let required = schema["required"].as_array();
            required.is_some_and(|required| required.iter().any(|one| one == name))
        };
        for (name, known) in before["properties"].as_object().into_iter().flatten() {
            let inner = match field {
                "the data" => name.clone(),
                field => format!("{field}.{name}"),
            };
            let Some(written) = now["properties"].get(name) else {
                return Some(format!("{inner} is gone"));
            };
            if required(before, name) && !required(now, name) {
                return Some(format!("{inner} may be missing"));
            }
            let broken = self.compare(&inner, known, written);
            if broken.is_some() {
                return broken;
            }
        }
        match (before.get("items"), now.get("items")) {
            (Some(before), Some(now)) => self.compare(&format!("{field}[]"), before, now),
            _ => None,
        }
    }
}

/// Follows a reference within the schema.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"]
        .as_str()
        .and_then(|target| target.strip_prefix('#'));
    target.map_or(schema, |target| root.pointer(target).expect("a definition"))
}

fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.clone()]),
        Value::Array(some) => some
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn before() -> Value {
    serde_json::from_str(BEFORE).expect("JSON")
}

#[test]
fn what_is_written_can_be_read_by_the_version_before() {
    for (event_type, now) in schemas() {
        let before = before();
        let versions = Versions {
            before: &before,
            now: &now,
        };
        assert_eq!(versions.broken(), None, "{event_type}");
    }
}

#[test]
fn a_change_that_breaks_readers_is_found_and_names_the_field() {
    let definition = |name: &str| format!("/$defs/{name}");
    let changed = |pointer: &str, change: &dyn Fn(&mut Value)| {
        let (before, mut now) = (before(), before());
        change(
            now.pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{pointer}: {BEFORE}")),
        );
        let versions = Versions {
            before: &before,
            now: &now,
        };
        versions.broken()
    };
    let without = |name: &'static str| {
        move |schema: &mut Value| {
            schema.as_object_mut().expect("an object").remove(name);
        }
    };
    assert_eq!(changed("", &|_| {}), None);
    assert_eq!(
        changed("/properties", &|properties| properties["more"] =
            Value::Bool(true)),
        None,
        "a new field harms nobody"
    );
    for (pointer, change, said) in [
        (
            "/properties",
            &without("total") as &dyn Fn(&mut Value),
            "total is gone",
        ),
        ("", &without("required"), "may be missing"),
        (
            "/properties/numberOfLines/type",
            &|kind| *kind = "string".into(),
            "numberOfLines may be of another type",
        ),
        (
            &definition("OrderLine/properties"),
            &without("count"),
            "orderLine[].count is gone",
        ),
        (
            &definition("Item/properties/name/type"),
            &|kind| *kind = "integer".into(),
            "orderLine[].item.name",
        ),
    ] {
        let found = changed(pointer, change).unwrap_or_default();
        assert!(found.contains(said), "{pointer}: {found}");
    }
}
