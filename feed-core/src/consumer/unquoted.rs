//! What is wrong with data, without what the data says: that may be about a person, and what is wrong
//! with an event is logged, and kept until somebody has mended it.

/// What is wrong, and where, with no text of the data in it.
///
/// ```
/// let error = serde_json::from_str::<i64>("\"Ada \\\"the first\\\"\"").unwrap_err();
/// let told = feed_core::consumer::unquoted(&error);
/// assert!(told.starts_with("invalid type: string \"\u{2026}\", expected i64 at line 1"));
/// ```
#[must_use]
pub fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}\"\u{2026}{}", &text[..first], &text[last..])
        }
        _ => text,
    }
}
