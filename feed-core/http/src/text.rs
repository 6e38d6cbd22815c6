//! Text from outside.

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
