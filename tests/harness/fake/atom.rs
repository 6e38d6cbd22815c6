//! Feed documents as another program might write them. Nothing is escaped: the tests are about
//! errors in documents.

use feed_core::http::NAMESPACE;

/// An entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `atom:id`; none if it is empty.
    pub id: String,
    /// `atom:updated`.
    pub updated: String,
    /// All markup besides id, title and `updated`.
    pub markup: String,
}

impl Entry {
    /// An entry of a foreign feed, with its data, and a date for each number.
    #[must_use]
    pub fn foreign(number: u32) -> Self {
        Self::new(&format!("tag:example.com,2026:{number}"), &date(number))
            .text(&format!("{{\"id\":{number}}}"))
    }

    /// An entry without anything in it.
    #[must_use]
    pub fn new(id: &str, updated: &str) -> Self {
        Self {
            id: id.to_owned(),
            updated: updated.to_owned(),
            markup: String::new(),
        }
    }

    /// Adds data, in a way that needs no escapes.
    #[must_use]
    pub fn text(self, data: &str) -> Self {
        self.with(&format!(
            "<content type=\"text\"><![CDATA[{data}]]></content>"
        ))
    }

    /// Adds the address of its data.
    #[must_use]
    pub fn src(self, address: &str) -> Self {
        self.with(&format!(
            "<summary>elsewhere</summary><content type=\"application/json\" src=\"{address}\"/>"
        ))
    }

    /// Adds markup.
    #[must_use]
    pub fn with(mut self, markup: &str) -> Self {
        self.markup.push_str(markup);
        self
    }

    /// The element.
    #[must_use]
    pub fn xml(&self) -> String {
        let id = match self.id.as_str() {
            "" => String::new(),
            id => format!("<id>{id}</id>"),
        };
        format!(
            "<entry>{id}<title>Something happened</title><updated>{}</updated>{}</entry>\n",
            self.updated, self.markup
        )
    }
}

/// A feed document.
#[derive(Debug, Clone)]
pub struct Atom {
    /// Attributes of the root.
    pub attributes: String,
    /// `atom:updated`.
    pub updated: String,
    /// All markup before the entries.
    pub markup: String,
    /// In the order of the document.
    pub entries: Vec<Entry>,
}

impl Atom {
    /// A document without our namespace.
    #[must_use]
    pub fn foreign(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self {
            attributes: String::new(),
            updated: date(0),
            markup: String::new(),
            entries: entries.into_iter().collect(),
        }
    }

    /// The entries of these numbers, newest first.
    #[must_use]
    pub fn of(numbers: std::ops::RangeInclusive<u32>) -> Self {
        Self::foreign(numbers.rev().map(Entry::foreign))
    }

    /// A document in our format, with our prefix.
    #[must_use]
    pub fn ours(cursor: &str, entries: impl IntoIterator<Item = Entry>) -> Self {
        let epoch = cursor.split('.').next().unwrap_or_default();
        Self::foreign(entries)
            .attribute("xmlns:event", NAMESPACE)
            .with(&format!(
                "<event:epoch>{epoch}</event:epoch><event:cursor>{cursor}</event:cursor>"
            ))
    }

    /// Adds an attribute to the root.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push_str(&format!(" {name}=\"{value}\""));
        self
    }

    /// Adds a link.
    #[must_use]
    pub fn link(self, rel: &str, href: &str) -> Self {
        self.with(&format!("<link rel=\"{rel}\" href=\"{href}\"/>"))
    }

    /// Marks it as an archive document (RFC 5005, section 4).
    #[must_use]
    pub fn archive(self) -> Self {
        self.attribute("xmlns:fh", "http://purl.org/syndication/history/1.0")
            .with("<fh:archive/>")
    }

    /// Adds markup before the entries.
    #[must_use]
    pub fn with(mut self, markup: &str) -> Self {
        self.markup.push_str(markup);
        self
    }

    /// The document.
    #[must_use]
    pub fn xml(&self) -> String {
        let entries: String = self.entries.iter().map(Entry::xml).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <feed xmlns=\"http://www.w3.org/2005/Atom\"{}><id>tag:example.com,2026:feed</id>\
             <title>Events</title><updated>{}</updated><author><name>Somebody</name></author>\
             {}\n{entries}</feed>\n",
            self.attributes, self.updated, self.markup
        )
    }
}

/// An instant for each number below 86,400, in their order.
#[must_use]
pub fn date(number: u32) -> String {
    let (hour, minute, second) = (number / 3_600, number / 60 % 60, number % 60);
    format!("2026-05-01T{hour:02}:{minute:02}:{second:02}Z")
}
