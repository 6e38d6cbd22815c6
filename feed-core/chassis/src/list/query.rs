//! The query of a list: where its page begins, and what it selects.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

use super::search::Search;
use feed_http::{Problem, query};

/// The longest value of a parameter, in characters.
pub(super) const LONGEST: usize = 200;

/// The last year whose days have four digits.
const LAST_YEAR: i32 = 9999;

/// The query of a list. A parameter with an empty value selects nothing, as in a form that is not filled in.
///
/// ```
/// use feed_chassis::list::Query;
///
/// let query = Query::read(Some("before=17&customer=28"), &["customer"])?;
/// assert_eq!((query.before(), query.number("customer")?), (Some(17), Some(28)));
/// let problem = Query::read(Some("colour=red"), &["customer"]).map_err(|problem| problem.status());
/// assert_eq!(problem, Err(400));
/// # Ok::<(), feed_http::Problem>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) before: Option<i64>,
    /// What is selected, in the order of the list's parameters.
    pub(super) selection: Vec<(&'static str, String)>,
}

/// The instants from the begin of one day to the end of another, in UTC. A missing bound is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// The first instant.
    pub from: Option<DateTime<Utc>>,
    /// The first instant after the last day.
    pub until: Option<DateTime<Utc>>,
}

impl Days {
    /// True if a bound is given. The list is then sorted by time, so that an index on it leads to each page at once.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }
}

impl Query {
    /// Reads the query of a list with the parameter `before` and those in `selecting`.
    ///
    /// # Errors
    ///
    /// Returns a `400` if a parameter is unknown or given twice, if a value is too long or has control characters, or
    /// if `before` is no number.
    pub fn read(query: Option<&str>, selecting: &[&'static str]) -> Result<Self, Problem> {
        let names: Vec<&'static str> = ["before"].iter().chain(selecting).copied().collect();
        let given = query::read(query, "this list", &names)?;
        for (name, value) in &given {
            let is_refused = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
            if value.chars().count() > LONGEST || value.contains(is_refused) {
                return Err(Problem::bad_request(format!(
                    "`{name}` is a text of at most {LONGEST} characters, none of them a control \
                     character"
                )));
            }
        }
        let value = |wanted: &str| {
            let found = given.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.trim())
        };
        let before = value("before").map(|value| number("before", value));
        let selection = selecting.iter().filter_map(|name| {
            let value = value(name).filter(|value| !value.is_empty())?;
            Some((*name, value.to_owned()))
        });
        Ok(Self {
            before: before.transpose()?,
            selection: selection.collect(),
        })
    }

    /// Returns the upper bound of the numbers on the page, exclusive; `None` for the first page.
    #[must_use]
    pub fn before(&self) -> Option<i64> {
        self.before
    }

    /// Returns the value of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut selection = self.selection.iter();
        let (_, value) = selection.find(|(known, _)| *known == name)?;
        Some(value)
    }

    /// Returns the text to search for: the parameter `q`.
    #[must_use]
    pub fn search(&self) -> Option<Search> {
        self.text("q").map(Search::new)
    }

    /// Returns the number that is the value of a parameter.
    ///
    /// # Errors
    ///
    /// Returns a `400` if it is no number.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Problem> {
        let number = self.text(name).map(|value| number(name, value));
        number.transpose()
    }

    /// Returns the choice among `choices` that is the value of a parameter. `text` returns how one is written.
    ///
    /// # Errors
    ///
    /// Returns a `400` that names the choices if it is none of them.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[T],
        text: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let mut all = choices.iter().copied();
        match all.find(|choice| text(*choice) == value) {
            Some(choice) => Ok(Some(choice)),
            None => {
                let known: Vec<&str> = choices.iter().map(|choice| text(*choice)).collect();
                Err(Problem::bad_request(format!(
                    "`{name}={value}` does not exist; use {}",
                    query::choices(&known)
                )))
            }
        }
    }

    /// Returns the days of the parameters `from` and `to`, both inclusive.
    ///
    /// # Errors
    ///
    /// Returns a `400` if one is no day.
    pub fn days(&self) -> Result<Days, Problem> {
        let begin = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let next = self.day("to")?.and_then(|to| to.succ_opt());
        Ok(Days {
            from: self.day("from")?.map(begin),
            // A later one has five digits; there is no instant after it.
            until: next.filter(|day| day.year() <= LAST_YEAR).map(begin),
        })
    }

    fn day(&self, name: &str) -> Result<Option<NaiveDate>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let day = NaiveDate::parse_from_str(value, "%Y-%m-%d").ok();
        // chrono accepts one digit, and a sign, as well; databases do not have each year that it has.
        let is_plain =
            |day: &NaiveDate| (1..=LAST_YEAR).contains(&day.year()) && day.to_string() == value;
        match day.filter(is_plain) {
            Some(day) => Ok(Some(day)),
            None => Err(Problem::bad_request(format!(
                "`{name}={value}` is no day; write it as 2026-01-31"
            ))),
        }
    }
}

/// Reads the number of a parameter.
fn number(name: &str, value: &str) -> Result<i64, Problem> {
    value
        .parse()
        .map_err(|_| Problem::bad_request(format!("`{name}={value}` is no number")))
}

/// A layer, by [`axum::middleware::from_fn`]: refuses parameters of routes that have none, with a `400`.
pub async fn no_parameters(request: Request, next: Next) -> Response {
    match query::none(request.uri().query()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &[&str] = &["q", "status", "from", "to", "customer"];

    fn read(query: &str) -> Result<Query, Problem> {
        Query::read(Some(query), PARAMETERS)
    }

    /// The detail of the problem.
    fn refused<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        let problem = result.expect_err("it is refused");
        assert_eq!(problem.status(), 400);
        problem.to_string()
    }

    #[test]
    fn a_page_begins_below_a_number() {
        for (query, number) in [
            ("", None),
            ("before=17", Some(17)),
            ("before=-5&q=x", Some(-5)),
            ("before=9223372036854775807", Some(i64::MAX)),
        ] {
            assert_eq!(read(query).map(|query| query.before()).ok(), Some(number));
        }
        for query in [
            "before",
            "before=",
            "before=1.0",
            "before=9223372036854775808",
            "before=1&before=2",
        ] {
            refused(read(query));
        }
        assert_eq!(Query::read(None, &[]).expect("a list"), Query::default());
    }

    #[test]
    fn a_parameter_that_does_not_exist_is_refused_with_those_that_do() {
        let detail = refused(read("colour=red"));
        assert!(
            detail.contains(
                "`colour` is not a parameter of this list; use `before`, `q`, `status`, `from`, \
                 `to` or `customer`"
            ),
            "{detail}"
        );
        let detail = refused(Query::read(Some("q=x"), &[]));
        assert!(detail.contains("use `before`"), "{detail}");
        assert!(refused(read("q=a&q=b")).contains("`q` is given twice"));
        refused(read("q=%00"));
        refused(read("q=tea%0D"));
        refused(read("q=%EF%BF%BE"));
        refused(read("q=%EF%BF%BF"));
        assert!(refused(read("q=%ff")).contains("not UTF-8"));
        refused(read(&format!("q={}", "x".repeat(201))));
    }

    #[test]
    fn an_empty_field_of_a_form_selects_nothing() {
        let query = read("q=+O%27Brien+&status=&from=&to=&customer=").expect("a query");
        assert_eq!(query.selection, [("q", "O'Brien".to_owned())]);
        assert_eq!(query.number("customer").expect("no problem"), None);
        assert_eq!(query.days().expect("no problem"), Days::default());
        refused(read("customer=x").expect("a query").number("customer"));
    }

    #[test]
    fn a_choice_is_one_of_those_that_exist() {
        let choice = |query: &str| {
            let query = read(query).expect("a query");
            query.choice("status", &["placed", "cancelled"], |status| status)
        };
        assert_eq!(choice("").expect("none"), None);
        assert_eq!(choice("status=placed").expect("one"), Some("placed"));
        let detail = refused(choice("status=Placed"));
        assert!(detail.contains("`status=Placed` does not exist; use placed or cancelled"));
    }

    #[test]
    fn days_are_whole() {
        let days = |query: &str| read(query).expect("a query").days();
        let both = days("from=2026-02-28&to=2026-02-28").expect("a day");
        let text = |instant: Option<DateTime<Utc>>| instant.map(|instant| instant.to_string());
        assert_eq!(text(both.from).as_deref(), Some("2026-02-28 00:00:00 UTC"));
        assert_eq!(text(both.until).as_deref(), Some("2026-03-01 00:00:00 UTC"));
        assert_eq!(days("to=9999-12-31").expect("a day"), Days::default());
        for no_day in [
            "from=2026-02-29",
            "from=2026-2-9",
            "from=yesterday",
            "to=%2B2026-02-01",
            "to=10000-01-01",
            "from=-5000-01-01",
            "from=0000-12-31",
        ] {
            refused(days(no_day));
        }
    }
}
