//! The parameters of a request. One that does not exist and one that is repeated are refused: if they were ignored, the answer
//! would be another one than the client asked for, and caches would store the same bytes under many addresses.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::Problem;

/// Reads the parameters of `resource`, which has those in `names`, in the order in which they are given.
///
/// ```
/// use feed_http::query;
///
/// let read = query::read(Some("after=start"), "the feed", &["after", "type"])?;
/// assert_eq!(read, [("after", "start".into())]);
/// let refused = query::read(Some("colour=red"), "the feed", &["after", "type"]);
/// let detail = "`colour` is not a parameter of the feed; use `after` or `type`";
/// assert!(refused.is_err_and(|problem| problem.to_string().contains(detail)));
/// # Ok::<(), feed_http::Problem>(())
/// ```
///
/// # Errors
///
/// Returns a `400` if a parameter is unknown or given twice, if its value contains a NUL, which PostgreSQL does not store, or if
/// the query is not UTF-8 once it is decoded: it would be read as another text.
pub fn read<'q>(
    query: Option<&'q str>,
    resource: &str,
    names: &[&'static str],
) -> Result<Vec<(&'static str, Cow<'q, str>)>, Problem> {
    let query = query.unwrap_or_default();
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Problem::bad_request(
            "the query is not UTF-8: encode each byte of a value in UTF-8 as `%` and two digits",
        ));
    }
    let mut read = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(known) = names.iter().find(|known| **known == name) else {
            return Err(unknown(&name, resource, names));
        };
        if read.iter().any(|(name, _)| name == known) {
            return Err(Problem::bad_request(format!("`{name}` is given twice")));
        }
        if value.contains('\0') {
            return Err(Problem::bad_request(format!("`{name}` contains a NUL")));
        }
        read.push((*known, value));
    }
    Ok(read)
}

/// Refuses the query of an address without parameters, also an empty one.
///
/// # Errors
///
/// Returns a `400` if there is a query.
pub fn none(query: Option<&str>) -> Result<(), Problem> {
    read(query, "this address", &[])?;
    match query {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("this address takes no parameters")),
    }
}

fn unknown(name: &str, resource: &str, names: &[&str]) -> Problem {
    let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Problem::bad_request(match known.as_slice() {
        [] => format!("`{name}` is not a parameter of {resource}, which takes none"),
        _ => format!(
            "`{name}` is not a parameter of {resource}; use {}",
            choices(&known)
        ),
    })
}

/// Joins choices for people: `a, b or c`.
#[must_use]
pub fn choices(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        let problem = result.expect_err("it is refused");
        assert_eq!(problem.status(), 400);
        problem.to_string()
    }

    #[test]
    fn parameters_are_read_once_and_by_their_names() {
        let names = ["after", "type", "subject"];
        let read = |query| read(Some(query), "the feed", &names);
        let given = read("type=order.placed&after=a%20b").expect("parameters");
        let expected = [("type", "order.placed".into()), ("after", "a b".into())];
        assert_eq!(given, expected);
        assert_eq!(read("").expect("none"), []);
        for (query, expected) in [
            (
                "colour=red",
                "`colour` is not a parameter of the feed; use `after`, `type` or `subject`",
            ),
            ("type=a&type=a", "`type` is given twice"),
            ("type=a%00", "`type` contains a NUL"),
            ("type=caf%E9", "the query is not UTF-8"),
            ("%FF=a", "the query is not UTF-8"),
        ] {
            let detail = refused(read(query));
            assert!(detail.contains(expected), "{detail}");
        }
    }

    #[test]
    fn an_address_without_parameters_has_no_query_at_all() {
        none(None).expect("no query");
        assert!(refused(none(Some(""))).contains("this address takes no parameters"));
        let detail = refused(none(Some("x=1")));
        let expected = "`x` is not a parameter of this address, which takes none";
        assert!(detail.contains(expected), "{detail}");
    }
}
