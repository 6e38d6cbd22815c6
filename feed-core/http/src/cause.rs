//! Formats an error with its causes on one line.

use std::error::Error;

/// Returns the error and its causes: `the database cannot be used (DATABASE_URL): …`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries repeat their cause in their own text.
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen")]
    struct Listen(#[source] std::io::Error);

    #[test]
    fn a_cause_follows_what_it_causes() {
        let error = Listen(std::io::Error::other("the address is taken"));
        assert_eq!(with_causes(&error), "cannot listen: the address is taken");
    }
}
