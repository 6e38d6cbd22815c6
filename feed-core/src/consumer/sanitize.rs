//! Sanitizes text from outside for log lines, rows and pages.

use std::borrow::Cow;

use crate::http::is_control;

/// The most characters of a stored text.
const LONGEST: usize = 500;

/// Makes a received text safe for any database and any terminal: on one line, without control
/// characters, and bounded.
pub(crate) fn sanitize(text: &str) -> String {
    let mut characters = text.chars();
    let printable = |character: char| match character {
        '\t' | '\n' | '\r' => ' ',
        _ if is_control(character) => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    let begin = characters.by_ref().take(LONGEST).map(printable);
    let mut text: String = begin.collect();
    if characters.next().is_some() {
        text.push_str(" …");
    }
    text
}

/// Makes a text from a feed safe to print on one line, and shows what it has: `order/1\n2` for one with a line break. Ids and
/// subjects are stored as they come, since they are compared character by character.
///
/// ```
/// use feed_core::consumer::printable;
///
/// assert_eq!(printable("order/ä"), "order/ä");
/// assert_eq!(printable("order/1\n\u{1b}[2J"), r"order/1\n\u{1b}[2J");
/// ```
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_control(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown.into()
}

/// Describes an error in JSON without the value that caused it: the reason appears in logs, and the
/// value may be personal data.
///
/// ```
/// use feed_core::consumer::without_value;
///
/// let error = serde_json::from_str::<i64>("\"Marie\"").unwrap_err();
/// assert_eq!(without_value(&error), "invalid type: string …, expected i64 at line 1 column 7");
/// ```
#[must_use]
pub fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let value = (text.find(['"', '`']), text.rfind(", expected"));
    match value {
        (Some(from), Some(to)) if text.starts_with("invalid ") && from < to => {
            format!("{}…{}", &text[..from], &text[to..])
        }
        _ => text,
    }
}
