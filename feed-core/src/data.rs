//! The JSON allowed as an event's data: what every consumer can parse and store, in any language
//! and database.

use serde_json::value::RawValue;

/// The most bytes of an event's data: 1 MiB. A hundred events of that size exceed a consumer's
/// limit for one answer, so it fetches them one by one; each is within the limit.
pub(crate) const LARGEST_DATA: usize = 1024 * 1024;

/// The deepest nesting of arrays and objects. `serde_json` parses 128, Python 1,000; the events of
/// a batch document lie two levels deep.
pub(crate) const DEEPEST_DATA: usize = 100;

/// The most characters of a number, and its largest power of ten: PostgreSQL rejects one of 131,072
/// digits.
const LONGEST_NUMBER: usize = 1_000;

/// Why text is not allowed as an event's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidData {
    /// It exceeds the limit of consumers.
    #[error("it has more than {LARGEST_DATA} bytes")]
    TooLarge,
    /// It is not JSON.
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    /// Its arrays and objects are nested too deep for parsers.
    #[error("it has more than {DEEPEST_DATA} arrays and objects within each other")]
    TooDeep,
    /// A number is larger than a double can be, or too long.
    #[error(
        "it has a number that no double can hold, or that has more than {LONGEST_NUMBER} digits"
    )]
    Number,
    /// An escape is half of a surrogate pair, which is no character.
    #[error("it has the escape of half a surrogate pair")]
    Escape,
}

/// Checks that `data` is JSON that consumers can process.
///
/// # Errors
///
/// Returns what they cannot process.
pub(crate) fn check(data: &str) -> Result<(), InvalidData> {
    if data.len() > LARGEST_DATA {
        return Err(InvalidData::TooLarge);
    }
    check_parts(data, |number| is_finite(number) && is_stored(number))
}

/// Checks that `data` is JSON that every parser accepts, of any size.
///
/// # Errors
///
/// Returns what a parser rejects.
pub(crate) fn check_json(data: &str) -> Result<(), InvalidData> {
    check_parts(data, is_finite)
}

fn check_parts(data: &str, is_number: impl Fn(&str) -> bool) -> Result<(), InvalidData> {
    serde_json::from_str::<&RawValue>(data)?;
    let bytes = data.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    // The code below relies on valid syntax.
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(bytes, at).ok_or(InvalidData::Escape)?,
            b'-' | b'0'..=b'9' => {
                let rest = &data[at - 1..];
                let is_part = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
                let number = rest.split(|c| !is_part(c)).next().unwrap_or_default();
                if !is_number(number) {
                    return Err(InvalidData::Number);
                }
                at += number.len() - 1;
            }
            _ => {}
        }
        if depth > DEEPEST_DATA {
            return Err(InvalidData::TooDeep);
        }
    }
    Ok(())
}

/// Returns the end of the string that begins at `at`; `None` if an escape in it is no character.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => {
                at = match code_unit(bytes, at)? {
                    0xDC00..0xE000 => return None,
                    0xD800..0xDC00 => {
                        let low = code_unit(bytes, at + 6)?;
                        (0xDC00..0xE000).contains(&low).then_some(at + 12)?
                    }
                    _ => at + 6,
                }
            }
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Parses the value of `\uXXXX`, if it is there.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_finite(number: &str) -> bool {
    number.parse().is_ok_and(f64::is_finite)
}

/// True for a number that PostgreSQL takes.
fn is_stored(number: &str) -> bool {
    let exponent = number.split(['e', 'E']).nth(1).unwrap_or("0");
    let exponent: Result<i32, _> = exponent.parse();
    number.len() <= LONGEST_NUMBER
        && exponent.is_ok_and(|exponent| exponent.unsigned_abs() as usize <= LONGEST_NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_parser_takes_is_data() {
        let deep = "[".repeat(DEEPEST_DATA) + &"]".repeat(DEEPEST_DATA);
        let long = format!("\"{}\"", "x".repeat(LARGEST_DATA - 2));
        let texts = [
            "{}",
            " null ",
            "\"\\ud83d\\ude00\"",
            "\"\\\\ud83d\"",
            "\"\\\\u0000\"",
            "\"\\u0000\"",
            "\"😀\u{fffe}\\\"[[\"",
            "[1,-0.5e-10,1e308,0]",
            "{\"a\":1,\"a\":2}",
            &deep,
            &long,
        ];
        for text in texts {
            assert!(check(text).is_ok(), "{text:.40}: {:?}", check(text));
        }
    }

    #[test]
    fn what_a_parser_or_a_database_refuses_is_no_data() {
        let deep = "{\"a\":".repeat(DEEPEST_DATA + 1) + "1" + &"}".repeat(DEEPEST_DATA + 1);
        let (long, digits) = (
            format!("\"{}\"", "x".repeat(LARGEST_DATA - 1)),
            "1".repeat(1_001),
        );
        let texts = [
            "",
            "{",
            "nul",
            "{}{}",
            "\u{feff}{}",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ud83d\\n\"",
            "{\"\\ud83d\":1}",
            "1e999",
            "[-1E+400]",
            "1e-2000",
            &digits,
            &deep,
            &long,
        ];
        for text in texts {
            assert!(check(text).is_err(), "{text:.40}");
        }
        // Parsers take these: a document that was published may have them.
        assert!(check_json("1e-2000").is_ok());
        assert!(check_json(&format!("0.{digits}")).is_ok());
        assert!(check_json("[1e309]").is_err());
    }
}
