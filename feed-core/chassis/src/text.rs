//! Texts that people typed, or that came from elsewhere: what they must not have, and how they are shown beside other text.

pub use feed_http::is_control;

/// Returns true if a reader sees anything: a character that is neither blank nor one that Unicode shows as nothing
/// (`Default_Ignorable_Code_Point`, and the Braille pattern without dots).
///
/// ```
/// use feed_chassis::text::is_visible;
///
/// assert!(is_visible("日本") && is_visible(" a\u{200b}"));
/// assert!(!is_visible("") && !is_visible(" \u{200b}\u{2060}"));
/// ```
#[must_use]
pub fn is_visible(text: &str) -> bool {
    let invisible = |character: char| {
        character.is_whitespace()
            || is_control(character)
            || matches!(
                character,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                    | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}'
                    | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                    | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
                    | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            )
    };
    !text.chars().all(invisible)
}

/// Returns a text that does not change the direction of what is around it, for places without elements, such as an option
/// or a message. In elements, use `bdi`.
///
/// ```
/// assert_eq!(feed_chassis::text::isolate("Tea"), "\u{2068}Tea\u{2069}");
/// ```
#[must_use]
pub fn isolate(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_script_can_be_seen_and_have_no_control_characters() {
        for name in [
            "O'Brien",
            "山田 花子",
            "محمد",
            "דוד",
            "می\u{200c}خواهم",
            "\u{200f}שלום\u{200f}",
            "👩\u{200d}👩",
        ] {
            assert!(is_visible(name) && !name.contains(is_control), "{name}");
        }
        for control in [
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{2028}b",
            "a\u{fffe}b",
            "a\u{ffff}b",
            "a\tb",
            "a\u{9f}b",
        ] {
            assert!(control.contains(is_control), "{control:?}");
        }
        for nothing in [
            "\u{feff}",
            "\u{3164}",
            "\u{ad}",
            "\u{2800}",
            "\u{3000}",
            "\u{e0041}",
        ] {
            assert!(!is_visible(nothing), "{nothing:?}");
        }
    }
}
