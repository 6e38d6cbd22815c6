//! Text from outside.

use std::borrow::Cow;

/// Returns true for a character that one line of text must not have, since it can forge a line of a log or a terminal: control
/// characters, separators of lines, and those that change the direction of the text behind them. Marks of direction are none:
/// they are letters' neighbours in scripts that are written from right to left. U+FFFE and U+FFFF are no characters: XML does
/// not have them, and SQLite compares them as U+FFFD.
#[must_use]
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Returns true for a character that a terminal obeys: also for a mark of direction, which changes the order in which the rest
/// of the line is shown.
#[must_use]
pub fn is_obeyed(character: char) -> bool {
    is_control(character) || matches!(character, '\u{200e}' | '\u{200f}')
}

/// Returns a JSON document on one line with such characters as escapes: it means the same.
///
/// ```
/// use feed_http::escape_json;
///
/// assert_eq!(escape_json("[\"a\u{9b}2J\u{202e}ä\"]"), r#"["a\u009b2J\u202eä"]"#);
/// ```
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_obeyed) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        match is_obeyed(character) {
            // They are all below U+10000.
            true => text += &format!("\\u{:04x}", u32::from(character)),
            false => text.push(character),
        }
    }
    text.into()
}

/// Quotation marks in messages of databases, also in translations of these.
const QUOTES: [char; 8] = ['"', '\'', '„', '“', '”', '«', '»', '`'];

/// Returns a message without what is between its first quotation mark and its last: a value may have such marks itself.
///
/// ```
/// use feed_http::without_quoted;
///
/// let message = "value \"Marie\" is out of range for type integer";
/// assert_eq!(without_quoted(message), "value \"…\" is out of range for type integer");
/// ```
#[must_use]
pub fn without_quoted(message: &str) -> String {
    let (Some(first), Some(last)) = (message.find(QUOTES), message.rfind(QUOTES)) else {
        return message.to_owned();
    };
    let mark = message[first..].chars().next().map_or(0, char::len_utf8);
    let end = if first < last { &message[last..] } else { "" };
    format!("{}…{end}", &message[..first + mark])
}

/// Parses a number that is written in its only canonical form: `007` in a path or a query would be another address of the same
/// bytes.
#[must_use]
pub fn canonical_number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for number in [0, 17, -5, i64::MAX, i64::MIN] {
            assert_eq!(canonical_number(&number.to_string()), Some(number));
        }
        for other in [
            "",
            "017",
            "+17",
            "-0",
            " 17",
            "17.0",
            "iPod",
            "9223372036854775808",
        ] {
            assert_eq!(canonical_number(other), None, "{other}");
        }
    }
}
