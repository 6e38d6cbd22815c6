//! Formats an error with its causes on one line.

use std::error::Error;

#[cfg(feature = "postgres")]
use crate::postgres::described;

/// Without the driver of PostgreSQL there are no errors of it.
#[cfg(not(feature = "postgres"))]
fn described(_: &(dyn Error + 'static)) -> Option<String> {
    None
}

/// Returns the error and its causes: `the database cannot be used (DATABASE_URL): …`. An error of PostgreSQL has its
/// SQLSTATE, the hint, and the function in which it occurred; it has no data of a row.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries repeat their cause in their own text.
        let next = error.to_string();
        match text.strip_suffix(&next) {
            Some(own) => text.truncate(own.len()),
            None => text.push_str(": "),
        }
        text.push_str(&described(error).unwrap_or(next));
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

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start: {0}")]
    struct Start(#[source] Listen);

    #[test]
    fn a_cause_follows_what_it_causes() {
        let error = Listen(std::io::Error::other("the address is taken"));
        assert_eq!(with_causes(&error), "cannot listen: the address is taken");
        let text = "cannot start: cannot listen: the address is taken";
        assert_eq!(with_causes(&Start(error)), text);
    }
}
