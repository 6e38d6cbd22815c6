//! Lists, newest first, one page at a time. A page begins below a number and not at an offset, so
//! that it stays the same while the list grows.

mod query;
mod search;

use maud::{Markup, html};
use schemars::JsonSchema;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::openapi::{Answer, Fields, Operation, Parameter, Schema};
use feed_http::BaseUrl;

pub use query::{Days, Query, no_parameters};
pub use search::{Search, Word};

use query::LONGEST;

/// The number of items on a page.
const PAGE: usize = 50;

/// The limit for a query: one more than a page, which shows whether there is a next page.
pub const LIMIT: i64 = PAGE as i64 + 1;

/// A field of a list's form, beside the text to search for.
#[derive(Debug, Clone, Copy)]
pub enum Filter {
    /// One of several choices: the parameter, the label, and the choices, each as it is sent.
    Choice(&'static str, &'static str, &'static [&'static str]),
    /// A number: the parameter and the label.
    Number(&'static str, &'static str),
    /// The parameters `from` and `to`.
    Days,
}

/// A page of a list.
///
/// ```
/// use feed_http::BaseUrl;
/// use feed_chassis::list::{Page, Query};
///
/// let base: BaseUrl = "https://shop.example/".parse()?;
/// let page = Page::new(vec![3, 2, 1], 3, Query::default(), |number| *number);
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
    query: Query,
}

impl<T> Page<T> {
    /// Creates the page that `query` asks for. `items` are the newest [`LIMIT`] there, of `count` that it selects;
    /// `number` returns the number that its `before` refers to.
    #[must_use]
    pub fn new(mut items: Vec<T>, count: i64, query: Query, number: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > PAGE;
        items.truncate(PAGE);
        Self {
            count,
            continued: query.before.is_some(),
            next: items.last().filter(|_| more).map(number),
            items,
            path: "",
            query,
        }
    }

    /// Sets the path of the list, relative to the base URL.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// True if the page has a selection of the list.
    fn is_selection(&self) -> bool {
        !self.query.selection.is_empty()
    }

    /// Returns the address of the page below the number `before`, or of the first page, relative to
    /// the base URL.
    fn address(&self, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(number) = before {
            query.append_pair("before", &number.to_string());
        }
        query.extend_pairs(&self.query.selection);
        match query.finish() {
            query if query.is_empty() => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Returns the form that selects items. `label` says what is searched, and by what. The `filters` are folded
    /// unless one is set.
    #[must_use]
    pub fn search_form(&self, base: &BaseUrl, label: &str, filters: &[Filter]) -> Markup {
        let set = self.query.selection.iter().any(|(name, _)| *name != "q");
        html! {
            form.search role="search" action=(base.path(self.path)) {
                label for="q" { (label) }
                input id="q" name="q" type="search" value=[self.query.text("q")]
                    maxlength=(LONGEST) autocomplete="off" accesskey="s";
                button.plain { "Search" }
                @if !filters.is_empty() {
                    details.filters open[set] {
                        summary { "Filter" }
                        div.inline { @for filter in filters { (self.filter(*filter)) } }
                    }
                }
            }
        }
    }

    fn filter(&self, filter: Filter) -> Markup {
        let field = |name: &str, label: &str, kind: &str, mode: Option<&str>| {
            html! {
                div.field {
                    label for=(name) { (label) }
                    input id=(name) name=(name) type=(kind) inputmode=[mode]
                        value=[self.query.text(name)] maxlength=(LONGEST) autocomplete="off";
                }
            }
        };
        match filter {
            Filter::Choice(name, label, choices) => html! {
                div.field {
                    label for=(name) { (label) }
                    select id=(name) name=(name) {
                        option value="" { "All" }
                        @for choice in choices {
                            option value=(choice)
                                selected[self.query.text(name) == Some(choice)] {
                                (capitalized(choice))
                            }
                        }
                    }
                }
            },
            Filter::Number(name, label) => field(name, label, "text", Some("numeric")),
            Filter::Days => html! {
                div.days {
                    (field("from", "From (day in UTC)", "date", None))
                    (field("to", "To (day in UTC)", "date", None))
                }
            },
        }
    }

    /// Returns what is shown in place of a list without items: the reason, and what to do next. `many` names the items;
    /// `first` says how to add the first one.
    #[must_use]
    pub fn nothing(&self, many: &str, first: &Markup) -> Markup {
        html! {
            p.quiet {
                @match &self.query.selection[..] {
                    _ if self.continued => { "There are no older " (many) "." }
                    [] => { "There are no " (many) " yet. " (first) }
                    [("q", text)] => { "No " (many) " match \u{201c}" bdi { (text) } "\u{201d}." }
                    _ => { "No " (many) " match all of this. Select less in the filter." }
                }
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
                @if self.is_selection() {
                    " found. " a href=(base.path(self.path)) { "Show all " (many) }
                } @else { " in all" }
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

/// Describes a list with a page and JSON, both with a tag: `before`, and a [`Document`] with its items under `name`. The other
/// parameters of its [`Query`] are described by [`describe_search`] and [`describe_filter`].
#[must_use]
pub fn describe<T: JsonSchema>(list: Operation, name: &'static str) -> Operation {
    let before = "Only what comes after the one with this number, in a list that is newest first";
    let count = "How many there are in all, or are selected";
    let page = Fields::new()
        .required("count", Schema::of::<u64>().about(count))
        .required("_links", Schema::of::<Links<'_>>());
    list.parameter(Parameter::query("before", before, Schema::of::<i64>()))
        .answer(
            Answer::new(200, "A page of the list")
                .json(Schema::named::<T>(name, page))
                .html(),
        )
        .problem(
            400,
            "A parameter is unknown, given twice or malformed: the detail names it, and those that exist",
        )
        .conditional()
}

/// Describes the parameter `q` for a list, which searches for a text in `about`.
#[must_use]
pub fn describe_search(about: &'static str) -> Parameter {
    let text = json!({
        "type": "string",
        "maxLength": LONGEST,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\ufffe\uffff]*$",
    });
    Parameter::query("q", about, Schema::literal(text))
}

/// Describes a filter of a list. Each parameter may be empty, as in a form that is not filled in.
#[must_use]
pub fn describe_filter(list: Operation, filter: Filter) -> Operation {
    let or_empty = |schema| Schema::literal(json!({"anyOf": [schema, {"const": ""}]}));
    match filter {
        Filter::Choice(name, about, choices) => {
            let choices = or_empty(json!({"type": "string", "enum": choices}));
            list.parameter(Parameter::query(name, about, choices))
        }
        Filter::Number(name, about) => {
            let number = or_empty(json!({"type": "integer", "format": "int64"}));
            list.parameter(Parameter::query(name, about, number))
        }
        Filter::Days => {
            let day = || or_empty(json!({"type": "string", "format": "date"}));
            list.parameter(Parameter::query("from", "The first day, in UTC", day()))
                .parameter(Parameter::query("to", "The last day, in UTC", day()))
        }
    }
}

/// Returns a word with a capital.
fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_uppercase());
    first.into_iter().flatten().chain(letters).collect()
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

    fn query(text: &str) -> Query {
        Query::read(Some(text), &["q", "status", "from", "to"]).expect("a query")
    }

    #[test]
    fn a_selection_stays_on_all_its_pages() {
        let base: BaseUrl = "https://shop.example/".parse().expect("a base URL");
        let asked = query("to=2026-01-31&before=70&status=placed&q=R%26D");
        let page = Page::new((1..=51).rev().collect(), 60, asked, |n: &i64| *n).at("customers");
        let footer = page.footer(&base, "customer", "customers").0;
        assert!(footer.contains("60 customers found. <a href=\"/customers\">Show all customers"));
        let selection = "q=R%26D&amp;status=placed&amp;to=2026-01-31";
        assert!(footer.contains(&format!("href=\"/customers?{selection}\">Newest")));
        assert!(footer.contains(&format!(
            "href=\"/customers?before=2&amp;{selection}\">Older"
        )));
        let filters = [
            Filter::Choice("status", "Status", &["placed", "cancelled"]),
            Filter::Days,
        ];
        let form = page.search_form(&base, "Search customers", &filters).0;
        for shown in [
            "action=\"/customers\"",
            "value=\"R&amp;D\"",
            "<details class=\"filters\" open>",
            "<option value=\"placed\" selected>Placed</option>",
            "value=\"2026-01-31\"",
        ] {
            assert!(form.contains(shown), "{shown}: {form}");
        }
        let unset = Page::new(vec![1], 1, query("q=x&status="), |n: &i64| *n);
        let form = unset.search_form(&base, "Search", &filters).0;
        assert!(form.contains("<details class=\"filters\">"), "{form}");
    }

    #[test]
    fn an_empty_list_says_why_and_what_to_do() {
        for (asked, expected) in [
            ("", "There are no tasks yet. Add one."),
            (
                "q=%3Cb%3E",
                "No tasks match \u{201c}<bdi>&lt;b&gt;</bdi>\u{201d}.",
            ),
            ("q=a&status=placed", "No tasks match all of this."),
            ("status=placed&before=1", "There are no older tasks."),
        ] {
            let page = Page::new(Vec::<i64>::new(), 0, query(asked), |n| *n);
            let text = page.nothing("tasks", &html! { "Add one." }).0;
            assert!(text.contains(expected), "{asked}: {text}");
        }
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

        let whole = Page::new(numbers(50), 50, Query::default(), |number| *number);
        assert_eq!(whole.items.len(), 50);
        let footer = "<p class=\"quiet\">50 numbers in all</p>";
        let expected = (r#","count":50,"_links":{}}"#, footer);
        assert_eq!(text(&whole), (expected.0.to_owned(), expected.1.to_owned()));

        let part = Page::new(numbers(51), 51, Query::default(), |number| *number);
        assert_eq!((part.items.len(), part.continued), (50, false));
        let (json, footer) = text(&part);
        let next = r#"{"next":{"href":"https://shop.example/order/?before=2"}}"#;
        assert_eq!(json, format!(r#","count":51,"_links":{next}}}"#));
        assert!(footer.contains("<a rel=\"next\" href=\"/order/?before=2\">Older numbers</a>"));
        assert!(!footer.contains("Newest"));

        let last = Page::new(numbers(1), 1, query("before=2"), |number| *number);
        let (_, footer) = text(&last);
        assert!(footer.contains("1 number in all"));
        assert!(footer.contains("<a href=\"/order/\">Newest numbers</a>"));
        assert!(last.continued && !footer.contains("Older"));
    }
}
