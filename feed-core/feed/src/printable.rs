//! Makes untrusted text safe for a terminal.

use feed_core::http::is_obeyed;

/// Returns the text without characters that a terminal would obey, on one line.
pub(crate) fn one_line(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_obeyed(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// Returns a JSON document on one line: without the white space between its tokens. Numbers and strings keep their bytes.
pub(crate) fn compact(json: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_quote = *c == '"' && !is_escaped;
        is_escaped = is_string && *c == '\\' && !is_escaped;
        is_string ^= is_quote;
        is_string || !matches!(c, ' ' | '\t' | '\n' | '\r')
    };
    json.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use feed_core::http::escape_json;

    use super::*;

    #[test]
    fn a_document_on_one_line_has_the_same_numbers_and_strings() {
        for (json, line) in [
            (
                "{\n  \"a\" : [ 1.10,\t1e3 ],\r\n  \"b c\": \" x \"\n}",
                "{\"a\":[1.10,1e3],\"b c\":\" x \"}",
            ),
            (
                r#"{ "a\" }": "\\" , "b": " \\\" " }"#,
                r#"{"a\" }":"\\","b":" \\\" "}"#,
            ),
            (" 1 ", "1"),
            ("\" \"", "\" \""),
        ] {
            assert_eq!(compact(json), line, "{json}");
        }
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b";
        assert_eq!(one_line(hostile), "a\u{fffd}[2J\u{fffd}31m\u{fffd}b");
        let json = serde_json::to_string(hostile).expect("a string");
        let escaped = escape_json(&json);
        assert!(escaped.is_ascii(), "{escaped}");
        let same: String = serde_json::from_str(&escaped).expect("the same document");
        assert_eq!(same, hostile);
    }
}
