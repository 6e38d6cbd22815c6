//! Describes an operation: its request and its answers.

use super::problem::ProblemDocument;
use super::schema::Schema;
use crate::FORM;

/// An operation on a path.
///
/// It derives some answers itself: a `406` if there are several media types to choose from, `408`,
/// `413` and `415` if there is a body, and the answer if the service fails.
#[derive(Debug)]
pub struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) bodies: Vec<(&'static str, Schema)>,
    pub(super) answers: Vec<Answer>,
}

impl Operation {
    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            about: "",
            parameters: Vec::new(),
            bodies: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Creates a `GET`. The path is relative to the service, with names in braces; `id` is the name
    /// for programs.
    #[must_use]
    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, id, summary)
    }

    /// Creates a `POST`.
    #[must_use]
    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, id, summary)
    }

    /// Creates a `PUT`.
    #[must_use]
    pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("put", path, id, summary)
    }

    /// Creates a `DELETE`.
    #[must_use]
    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("delete", path, id, summary)
    }

    /// Adds a description to the summary, in Markdown.
    #[must_use]
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Adds a request body of that media type; several are alternatives.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, schema: Schema) -> Self {
        self.bodies.push((media_type, schema));
        self
    }

    /// Adds a request body in JSON.
    #[must_use]
    pub fn json(self, schema: Schema) -> Self {
        self.body("application/json", schema)
    }

    /// Adds a request body from a form.
    #[must_use]
    pub fn form(self, fields: impl Into<Schema>) -> Self {
        self.body(FORM, fields.into())
    }

    /// Adds an answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// Adds a problem document, with its condition.
    #[must_use]
    pub fn problem(self, status: u16, when: &'static str) -> Self {
        self.answer(Answer::new(status, when).problem())
    }

    /// Adds conditional requests, which do not repeat known answers (RFC 9110, 13). Call it after
    /// adding the answers with validators.
    #[must_use]
    pub fn conditional(self) -> Self {
        self.validated(true)
    }

    /// The same if only some parameters permit it.
    #[must_use]
    pub fn sometimes_conditional(self) -> Self {
        self.validated(false)
    }

    fn validated(mut self, always: bool) -> Self {
        for answer in self.answers.iter_mut().filter(|answer| answer.is_success()) {
            answer.headers.push(Header {
                name: "ETag",
                about: "Identifies this state of the resource",
                always,
            });
        }
        self.guarded()
            .answer(Answer::new(304, "The client has it already"))
    }

    /// Adds preconditions (RFC 9110, 13).
    #[must_use]
    pub fn guarded(self) -> Self {
        let if_match = "Proceed only if the resource is in this state, or there is one for `*`. A \
                        weak tag never matches here";
        let if_none_match = "Proceed only if the resource is in none of these states: the `ETag`s \
                             that the client has";
        self.parameter(Parameter::header("If-Match", if_match, Schema::text()))
            .parameter(Parameter::header(
                "If-None-Match",
                if_none_match,
                Schema::text(),
            ))
            .problem(412, "A precondition does not hold")
    }
}

/// A parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: Schema,
}

impl Parameter {
    /// Creates a parameter in braces in the path.
    #[must_use]
    pub fn path(name: &'static str, about: &'static str, schema: Schema) -> Self {
        Self::new("path", name, about, schema)
    }

    /// Creates a parameter of the query.
    #[must_use]
    pub fn query(name: &'static str, about: &'static str, schema: Schema) -> Self {
        Self::new("query", name, about, schema)
    }

    /// Creates a header.
    #[must_use]
    pub fn header(name: &'static str, about: &'static str, schema: Schema) -> Self {
        Self::new("header", name, about, schema)
    }

    fn new(place: &'static str, name: &'static str, about: &'static str, schema: Schema) -> Self {
        Self {
            place,
            name,
            about,
            schema,
        }
    }
}

/// An answer of an operation.
#[derive(Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) headers: Vec<Header>,
    pub(super) contents: Vec<(&'static str, Schema)>,
}

/// A header of an answer.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) always: bool,
}

impl Answer {
    /// Creates an answer without a body.
    #[must_use]
    pub fn new(status: u16, about: &'static str) -> Self {
        Self {
            status,
            about,
            headers: Vec::new(),
            contents: Vec::new(),
        }
    }

    /// Adds a header that is always there.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push(Header {
            name,
            about,
            always: true,
        });
        self
    }

    /// Adds a header that may be there.
    #[must_use]
    pub fn optional_header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push(Header {
            name,
            about,
            always: false,
        });
        self
    }

    /// Adds a body of that media type; several are alternatives.
    #[must_use]
    pub fn content(mut self, media_type: &'static str, schema: Schema) -> Self {
        self.contents.push((media_type, schema));
        self
    }

    /// Adds a body in JSON.
    #[must_use]
    pub fn json(self, schema: Schema) -> Self {
        self.content("application/json", schema)
    }

    /// Adds a page as body.
    #[must_use]
    pub fn html(self) -> Self {
        self.content("text/html", Schema::text())
    }

    /// Adds a problem document as body.
    #[must_use]
    pub fn problem(self) -> Self {
        self.content("application/problem+json", Schema::of::<ProblemDocument>())
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
