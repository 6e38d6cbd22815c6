//! The fields that select parked events: in the query of the list, in forms, and as hidden fields, so that a decision is
//! about what the page has shown.

use chrono::SecondsFormat;
use maud::{Markup, html};
use url::form_urlencoded;

use super::form::Form;
use crate::subscription::command::period::{first_instant, last_instant};
use feed_core::consumer::Selection;

/// The names of the fields.
pub(super) const FIELDS: [&str; 5] = ["cause", "type", "from", "until", "as_of"];

/// How a time is written: as in [`Selection`]'s documentation, or as browsers send it, in UTC.
pub(super) const TIME: &str = "a day or a time in UTC, such as 2026-11-30 or 2026-11-30T12:00:00Z";

/// Sets one condition; returns what is wrong with its value.
pub(super) fn set(selection: &mut Selection, field: &str, value: &str) -> Result<(), String> {
    let time = |text: &str, read: fn(&str) -> Option<_>| {
        read(text).map(Some).ok_or_else(|| format!("is {TIME}"))
    };
    // PostgreSQL stores no NUL.
    let text = || match value.contains('\0') {
        true => Err("has control characters".to_owned()),
        false => Ok(Some(value.to_owned())),
    };
    match field {
        "cause" => selection.cause = text()?,
        "type" => selection.event_type = text()?,
        "from" => selection.from = time(value, first_instant)?,
        "until" => selection.until = time(value, last_instant)?,
        _ => selection.as_of = time(value, first_instant)?,
    }
    Ok(())
}

/// Reads the conditions of a form. An empty one is wrong: it must not mean all events.
pub(super) fn of_form(form: &mut Form) -> Selection {
    let mut selection = Selection::default();
    for field in FIELDS {
        let Some(value) = form.optional_text(field) else {
            continue;
        };
        if value.trim().is_empty() {
            form.refuse(field, "is missing");
        } else if let Err(message) = set(&mut selection, field, &value) {
            form.refuse(field, &message);
        }
    }
    selection
}

/// Returns the conditions as fields with their values.
fn values(selection: &Selection) -> Vec<(&'static str, String)> {
    let time = |at: chrono::DateTime<_>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let values = [
        selection.cause.clone(),
        selection.event_type.clone(),
        selection.from.map(time),
        selection.until.map(time),
        selection.as_of.map(time),
    ];
    let set = FIELDS.into_iter().zip(values);
    set.filter_map(|(field, value)| Some((field, value?)))
        .collect()
}

/// Renders them as hidden fields of a form.
pub(super) fn hidden(selection: &Selection) -> Markup {
    html! {
        @for (field, value) in values(selection) { input type="hidden" name=(field) value=(value); }
    }
}

/// Returns them as a query.
pub(super) fn query(selection: &Selection) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(values(selection)).finish()
}

/// Renders the form that selects, with what is selected now.
pub(super) fn fields(selection: &Selection) -> Markup {
    let time = |at: Option<chrono::DateTime<chrono::Utc>>| {
        at.map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string())
    };
    html! {
        div.field {
            label for="type" { "Type" }
            input id="type" name="type" maxlength="1000" value=[&selection.event_type];
        }
        div.field {
            label for="from" { "Parked from (UTC)" }
            input id="from" name="from" type="datetime-local" step="1" value=[time(selection.from)];
        }
        div.field {
            label for="until" { "Parked before (UTC)" }
            input id="until" name="until" type="datetime-local" step="1" value=[time(selection.until)];
        }
        div.field {
            label for="cause" { "Cause (whole text)" }
            input id="cause" name="cause" maxlength="1000" value=[&selection.cause];
        }
    }
}
