//! The types of events that a command line names.

use feed_core::Received;

/// Parses a type. White space around it is no part of it, as after the comma of a list.
///
/// # Errors
///
/// Returns an error for a text that is the type of no event: `deliver` would pass over all events for good.
pub(crate) fn parse_type(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(
            "no event has such a type: write one such as order.placed, or leave the setting out"
                .to_owned(),
        );
    }
    Ok(name.to_owned())
}

/// Returns true if `event` is of one of the types. Without types, each event is.
pub(crate) fn include(types: &[String], event: &Received) -> bool {
    let event_type = event.event_type.as_deref().unwrap_or_default();
    types.is_empty() || types.iter().any(|wanted| wanted == event_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_one_that_an_event_may_have() {
        assert_eq!(parse_type(" order.placed").as_deref(), Ok("order.placed"));
        assert_eq!(parse_type("order placed").as_deref(), Ok("order placed"));
        for text in ["", " ", "order\u{0}placed", "a\nb"] {
            assert!(parse_type(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_types_each_event_is_included() {
        let mut event = Received::default();
        let types = ["order.placed".to_owned()];
        assert!(include(&[], &event) && !include(&types, &event));
        event.event_type = Some("order.placed".to_owned());
        assert!(include(&[], &event) && include(&types, &event));
    }
}
