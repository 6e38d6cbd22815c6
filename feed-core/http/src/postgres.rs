//! Describes an error of PostgreSQL for an operator.

use std::error::Error;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::text::without_quoted;

/// Returns what an operator needs of `error`, on one line, if it is one of PostgreSQL.
///
/// The driver's own text ends in a line number, which is that of the server's source code.
///
/// DETAIL is left out, and of CONTEXT all but the functions: both quote rows, parameters and statements, such as `Key
/// (email)=(…)`. So is [what a message quotes](quotes_data) of a value. The text is logged and kept where an event was
/// parked, and data of a person who is erased must not stay there. The server's own log has all of it.
pub(crate) fn described(error: &(dyn Error + 'static)) -> Option<String> {
    let error = error.downcast_ref::<Box<dyn DatabaseError>>()?;
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    let functions = functions(error.r#where().unwrap_or_default());
    Some(text(
        error.message(),
        error.code(),
        error.hint(),
        &functions,
    ))
}

/// The innermost functions that are named, so that a recursion stays readable.
const MOST_FUNCTIONS: usize = 3;

/// Returns the lines of a CONTEXT that name a function and the place in it: those of PL/pgSQL, other languages and SQL.
fn functions(context: &str) -> Vec<&str> {
    let names = |line: &&str| line.starts_with("PL/") || line.starts_with("SQL function");
    context.lines().filter(names).take(MOST_FUNCTIONS).collect()
}

/// Returns true if what a message has between quotes may be a value, and not the name of a table, a column or a constraint.
fn quotes_data(message: &str, sqlstate: &str, functions: &[&str]) -> bool {
    match sqlstate.get(..2) {
        // A value that does not fit: `invalid input syntax for type bigint: "…"`.
        Some("22") => true,
        // A text search that is none: `syntax error in tsquery: "…"`.
        Some("42") if sqlstate == "42601" && message.contains(": ") => true,
        // A function has made a statement of texts: a name that is not known may be a value in it.
        Some("3F" | "42") => functions.iter().any(|line| line.contains("EXECUTE")),
        _ => false,
    }
}

fn text(message: &str, sqlstate: &str, hint: Option<&str>, functions: &[&str]) -> String {
    let message = match quotes_data(message, sqlstate, functions) {
        true => without_quoted(message),
        false => message.to_owned(),
    };
    let mut text = format!("{message} (SQLSTATE {sqlstate})");
    if let Some(hint) = hint {
        text = format!("{text}; hint: {hint}");
    }
    if !functions.is_empty() {
        text = format!("{text}; where: {}", functions.join(", "));
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_names_functions_and_no_data() {
        let context = "JSON data, line 1: {\"email\":\"eve@example.com\nSQL statement \"INSERT INTO t VALUES ('eve')\"\n\
                       PL/pgSQL function on_event(jsonb) line 3 at EXECUTE\nSQL function \"outer\" statement 1\n\
                       unnamed portal parameter $1 = 'eve'";
        let found = functions(context);
        assert_eq!(
            found,
            [
                "PL/pgSQL function on_event(jsonb) line 3 at EXECUTE",
                "SQL function \"outer\" statement 1"
            ]
        );
        let deep = "PL/pgSQL function f() line 1 at PERFORM\n".repeat(9);
        assert_eq!(functions(&deep).len(), MOST_FUNCTIONS);
    }

    #[test]
    fn a_message_quotes_names_and_no_values() {
        let execute = "PL/pgSQL function f(jsonb) line 3 at EXECUTE";
        for (message, sqlstate, functions, shown) in [
            (
                "invalid input syntax for type bigint: \"Marie \"Mia\" Müller\"",
                "22P02",
                &[][..],
                "invalid input syntax for type bigint: \"…\"",
            ),
            (
                "value \"Marie\" is out of range for type integer",
                "22003",
                &[],
                "value \"…\" is out of range for type integer",
            ),
            (
                "ungültige Eingabesyntax für Typ bigint: »Marie«",
                "22P02",
                &[],
                "ungültige Eingabesyntax für Typ bigint: »…«",
            ),
            (
                "value too long for type character varying(3)",
                "22001",
                &[],
                "value too long for type character varying(3)",
            ),
            (
                "syntax error in tsquery: \"Marie Müller\"",
                "42601",
                &[],
                "syntax error in tsquery: \"…\"",
            ),
            (
                "syntax error at or near \"SELEKT\"",
                "42601",
                &[],
                "syntax error at or near \"SELEKT\"",
            ),
            (
                "column \"marie\" does not exist",
                "42703",
                &[execute],
                "column \"…\" does not exist",
            ),
            (
                "column \"cents\" does not exist",
                "42703",
                &["PL/pgSQL function f(jsonb) line 3 at SQL statement"],
                "column \"cents\" does not exist",
            ),
            (
                "duplicate key value violates unique constraint \"person_pkey\"",
                "23505",
                &[execute],
                "duplicate key value violates unique constraint \"person_pkey\"",
            ),
            (
                "no bill for \"order/1\"",
                "P0001",
                &[],
                "no bill for \"order/1\"",
            ),
        ] {
            let said = text(message, sqlstate, None, functions);
            let (said, _) = said.split_once(" (SQLSTATE ").expect("a code");
            assert_eq!(said, shown);
        }
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        assert_eq!(
            text("no\nrow", "P0002", None, &[]),
            "no row (SQLSTATE P0002)"
        );
        assert_eq!(
            text("no", "P0002", Some("wait\nfor it"), &["f", "g"]),
            "no (SQLSTATE P0002); hint: wait for it; where: f, g"
        );
    }
}
