//! Lists, newest first, one page at a time. A page begins below a number and not at an offset, so
//! that it stays the same while the list grows.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::openapi::{Answer, Fields, Operation, Parameter, Schema};
use feed_http::BaseUrl;
use feed_http::Problem;

/// The number of items on a page.
const PAGE: usize = 50;

/// The limit for a query: one more than a page, which shows whether there is a next page.
pub const LIMIT: i64 = PAGE as i64 + 1;

/// The begin of a page: with `?before=17`, at the newest number below 17. Ignores other parameters.
///
/// As an extractor it answers `400` if the value is no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before(Option<i64>);

impl Before {
    /// Returns the upper bound of the numbers on the page, exclusive.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0.unwrap_or(i64::MAX)
    }

    fn read(query: &str) -> Result<Self, Problem> {
        number(query, "before").map(Self)
    }
}

/// Returns the number of that parameter, if it is there.
///
/// # Errors
///
/// Returns a `400` if the value is no number.
pub fn number(query: &str, name: &str) -> Result<Option<i64>, Problem> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let Some((_, value)) = parameters.find(|(parameter, _)| parameter == name) else {
        return Ok(None);
    };
    match value.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Problem::bad_request(format!(
            "`{name}={value}` is no number"
        ))),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Before {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

/// The longest text to search for, in characters.
const LONGEST_SEARCH: usize = 200;

/// The search in a list: `?q=Smith`, without surrounding blanks. An empty one selects the whole
/// list.
///
/// As an extractor it answers `400` if the value is no text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Returns the text to search for; `None` for the whole list.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    fn read(query: &str) -> Result<Self, Problem> {
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        let Some((_, text)) = parameters.find(|(name, _)| name == "q") else {
            return Ok(Self::default());
        };
        if text.chars().count() > LONGEST_SEARCH || text.chars().any(char::is_control) {
            return Err(Problem::bad_request(format!(
                "`q` is a text of at most {LONGEST_SEARCH} characters, none of them a control character"
            )));
        }
        Ok(Self(text.trim().to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Search {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

/// A page of a list.
///
/// ```
/// use feed_http::BaseUrl;
/// use feed_chassis::list::{Before, Page};
///
/// let base: BaseUrl = "https://shop.example/".parse()?;
/// let page = Page::new(vec![3, 2, 1], 3, Before::default(), |number| *number);
/// let json = serde_json::to_string(&page.document("numbers", &base, |number| number * 10))?;
/// assert_eq!(json, r#"{"numbers":[30,20,10],"count":3,"_links":{}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Page<T> {
    /// Its items, newest first.
    pub items: Vec<T>,
    /// The number of items on all pages.
    pub count: i64,
    /// True if this is not the first page.
    pub continued: bool,
    /// The next page has the items below this number.
    next: Option<i64>,
    /// The path of the list, relative to the base URL.
    path: &'static str,
    search: Search,
}

impl<T> Page<T> {
    /// Creates the page that begins at `before`. `items` are the newest [`LIMIT`] there, of `count`
    /// in all; `number` returns the number that `before` refers to.
    #[must_use]
    pub fn new(mut items: Vec<T>, count: i64, before: Before, number: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > PAGE;
        items.truncate(PAGE);
        Self {
            count,
            continued: before.0.is_some(),
            next: items.last().filter(|_| more).map(number),
            items,
            path: "",
            search: Search::default(),
        }
    }

    /// Creates the page with a single item, or with none, of a list that has no other.
    #[must_use]
    pub fn only(item: Option<T>) -> Self {
        let items = Vec::from_iter(item);
        let count = i64::from(!items.is_empty());
        Self::new(items, count, Before::default(), |_| 0)
    }

    /// Sets the path of the list, relative to the base URL.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Sets the search that selected the items.
    #[must_use]
    pub fn matching(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// Returns the search.
    #[must_use]
    pub fn searched(&self) -> Option<&str> {
        self.search.text()
    }

    /// Returns the address of the page below the number `before`, or of the first page, relative to
    /// the base URL.
    fn address(&self, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(number) = before {
            query.append_pair("before", &number.to_string());
        }
        if let Some(text) = self.search.text() {
            query.append_pair("q", text);
        }
        match query.finish() {
            query if query.is_empty() => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Returns the search form. `label` says what is searched, and by what.
    #[must_use]
    pub fn search_form(&self, base: &BaseUrl, label: &str) -> Markup {
        html! {
            form.search role="search" action=(base.path(self.path)) {
                label for="q" { (label) }
                input id="q" name="q" type="search" value=[self.searched()]
                    maxlength=(LONGEST_SEARCH) autocomplete="off";
                button.plain { "Search" }
            }
        }
    }

    /// Returns the page for programs, with its items under `name`.
    pub fn document<'a, D: Serialize>(
        &'a self,
        name: &'static str,
        base: &BaseUrl,
        document: impl Fn(&'a T) -> D,
    ) -> Document<D> {
        Document {
            name,
            items: self.items.iter().map(document).collect(),
            count: self.count,
            next: self.next.map(|next| base.join(&self.address(Some(next)))),
        }
    }

    /// Returns the footer of the list for people: the number of items, and links to other pages.
    /// `one` and `many` name the items: "order", "orders".
    #[must_use]
    pub fn footer(&self, base: &BaseUrl, one: &str, many: &str) -> Markup {
        html! {
            p.quiet {
                (self.count) " " (if self.count == 1 { one } else { many })
                (if self.searched().is_some() { " found" } else { " in all" })
            }
            @if self.continued || self.next.is_some() {
                nav aria-label="Pages" {
                    @if self.continued { a href=(base.path(&self.address(None))) { "Newest " (many) } }
                    @if self.next.is_some() {
                        a rel="next" href=(base.path(&self.address(self.next))) { "Older " (many) }
                    }
                }
            }
        }
    }
}

/// A page for programs: `{"orders":[…],"count":120,"_links":{"next":{"href":…}}}`.
#[derive(Debug)]
pub struct Document<D> {
    name: &'static str,
    items: Vec<D>,
    count: i64,
    next: Option<Url>,
}

/// Links to other pages.
#[derive(serde::Serialize, JsonSchema)]
#[schemars(rename = "Pages")]
struct Links<'a> {
    /// Older ones; missing on the last page
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Link<'a>>,
}

#[derive(serde::Serialize, JsonSchema)]
#[schemars(inline)]
struct Link<'a> {
    #[schemars(url)]
    href: &'a str,
}

/// Describes a list with a page and JSON: [`Before`], and a [`Document`] with its items under
/// `name`.
#[must_use]
pub fn describe<T: JsonSchema>(list: Operation, name: &'static str) -> Operation {
    let before = "Only what has a lower number than this";
    let count = "How many there are in all";
    let page = Fields::new()
        .required("count", Schema::of::<u64>().about(count))
        .required("_links", Schema::of::<Links<'_>>());
    list.parameter(Parameter::query("before", before, Schema::of::<i64>()))
        .answer(
            Answer::new(200, "A page of the list")
                .json(Schema::named::<T>(name, page))
                .html(),
        )
        .problem(400, "A parameter is malformed")
}

/// Describes [`Search`] for a list, which searches for a text in `about`.
#[must_use]
pub fn describe_search(about: &'static str) -> Parameter {
    let text = json!({
        "type": "string",
        "maxLength": LONGEST_SEARCH,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
    });
    Parameter::query("q", about, Schema::literal(text))
}

impl<D: Serialize> Serialize for Document<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next = self.next.as_ref().map(|url| Link { href: url.as_str() });
        let mut members = serializer.serialize_map(Some(3))?;
        members.serialize_entry(self.name, &self.items)?;
        members.serialize_entry("count", &self.count)?;
        members.serialize_entry("_links", &Links { next })?;
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_below_a_number() {
        for (query, number) in [
            ("", i64::MAX),
            ("sort=total", i64::MAX),
            ("before=17", 17),
            ("sort=total&before=-5&before=x", -5),
        ] {
            assert_eq!(Before::read(query).map(Before::number).ok(), Some(number));
        }
        for query in [
            "before",
            "before=",
            "before=1.0",
            "before=9223372036854775808",
        ] {
            let problem = Before::read(query).map_err(|problem| problem.status());
            assert_eq!(problem, Err(400), "{query}");
        }
    }

    #[test]
    fn a_search_stays_on_all_its_pages() {
        for (query, text) in [
            ("", Some(None)),
            ("q=", Some(None)),
            ("before=3&q=+O%27Brien+", Some(Some("O'Brien"))),
            ("q=%00", None),
            ("q=tea%0D", None),
        ] {
            let search = Search::read(query).ok();
            let found = search.as_ref().map(Search::text);
            assert_eq!(found, text, "{query}");
        }
        assert!(Search::read(&format!("q={}", "x".repeat(201))).is_err());

        let base: BaseUrl = "https://shop.example/".parse().expect("a base URL");
        let search = Search::read("q=R%26D").expect("a text");
        let page = Page::new((1..=51).rev().collect(), 60, Before(Some(70)), |n: &i64| *n);
        let page = page.at("customers").matching(search);
        let footer = page.footer(&base, "customer", "customers").0;
        assert!(footer.contains("60 customers found"));
        assert!(footer.contains("href=\"/customers?q=R%26D\">Newest"));
        assert!(footer.contains("href=\"/customers?before=2&amp;q=R%26D\">Older"));
        let form = page.search_form(&base, "Search customers").0;
        assert!(form.contains("action=\"/customers\"") && form.contains("value=\"R&amp;D\""));
    }

    #[test]
    fn one_more_than_is_shown_makes_a_next_page() {
        let base: BaseUrl = "https://shop.example/order".parse().expect("a base URL");
        let numbers = |newest: i64| (1..=newest).rev().take(51).collect::<Vec<_>>();
        let text = |page: &Page<i64>| {
            let document = page.document("numbers", &base, |number| *number);
            let json = serde_json::to_string(&document).expect("JSON");
            let (_, rest) = json.split_once(']').expect("a list");
            (rest.to_owned(), page.footer(&base, "number", "numbers").0)
        };

        let whole = Page::new(numbers(50), 50, Before::default(), |number| *number);
        assert_eq!(whole.items.len(), 50);
        let footer = "<p class=\"quiet\">50 numbers in all</p>";
        let expected = (r#","count":50,"_links":{}}"#, footer);
        assert_eq!(text(&whole), (expected.0.to_owned(), expected.1.to_owned()));

        let part = Page::new(numbers(51), 51, Before::default(), |number| *number);
        assert_eq!((part.items.len(), part.continued), (50, false));
        let (json, footer) = text(&part);
        let next = r#"{"next":{"href":"https://shop.example/order/?before=2"}}"#;
        assert_eq!(json, format!(r#","count":51,"_links":{next}}}"#));
        assert!(footer.contains("<a rel=\"next\" href=\"/order/?before=2\">Older numbers</a>"));
        assert!(!footer.contains("Newest"));

        let last = Page::new(numbers(1), 1, Before(Some(2)), |number| *number);
        let (_, footer) = text(&last);
        assert!(footer.contains("1 number in all"));
        assert!(footer.contains("<a href=\"/order/\">Newest numbers</a>"));
        assert!(last.continued && !footer.contains("Older"));
    }
}
