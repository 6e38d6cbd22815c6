//! SQL of a team: its statements, and the parameters in them.

use std::fmt::Write;

use super::parameter::Parameter;

/// One or more statements, executed in this order for each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(super) statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Where it begins, for messages: `line 3 of on_event.sql`.
    pub(super) place: String,
    /// True for the call of a function.
    pub(super) is_call: bool,
    parts: Vec<Part>,
    /// What another program would fill.
    foreign: Vec<Foreign>,
}

/// A text that may be a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Foreign {
    place: String,
    text: String,
    /// True between `[` and `]`: part of a name on SQLite, and a subscript on PostgreSQL.
    bracketed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Sql(String),
    Parameter(Parameter),
}

/// Why a text is not SQL to execute for events.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidScript {
    #[error("cannot read the file: {0}")]
    File(#[from] std::io::Error),
    #[error("it has no statement")]
    Empty,
    #[error("{0}: what begins here has no end: {1}")]
    Open(String, &'static str),
    #[error("{0}: there is no parameter :{1}; these are known: {names}", names = Parameter::names())]
    Unknown(String, String),
    #[error(
        "{0}: {1} is not allowed: the SQL is executed in a transaction and a session that are not its own. These are: \
         {allowed}, and SET LOCAL of what is not ours", allowed = ALLOWED.join(", ")
    )]
    Statement(String, String),
    #[error("{0}: nothing fills the parameter {1}; write one of these in its place: {names}", names = Parameter::names())]
    Foreign(String, String),
    #[error("write the name of a function, such as on_event or billing.on_event")]
    Function,
}

impl Script {
    /// Reads the SQL in a file.
    pub(super) fn of_file(path: &str) -> Result<Self, InvalidScript> {
        Self::parse(path, &std::fs::read_to_string(path)?)
    }

    /// Makes the statement that calls a function of PostgreSQL.
    pub(super) fn call(function: &str) -> Result<Self, InvalidScript> {
        let is_name = |name: &str| {
            let mut characters = name.chars();
            let begins = characters
                .next()
                .is_some_and(|c| c.is_alphabetic() || c == '_');
            begins && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
        };
        let quoted = function.starts_with('"') && function.ends_with('"') && function.len() > 2;
        let mut names = function.split('.');
        let plain = names.clone().count() <= 2 && names.all(is_name);
        if !(quoted || plain) {
            return Err(InvalidScript::Function);
        }
        let parts = vec![
            Part::Sql(format!("SELECT {function}(")),
            Part::Parameter(Parameter::Event),
            Part::Sql(")".to_owned()),
        ];
        let place = format!("the function {function}");
        Ok(Self {
            statements: vec![Statement {
                place,
                is_call: true,
                parts,
                foreign: Vec::new(),
            }],
        })
    }

    /// Parses the text of a file.
    fn parse(path: &str, text: &str) -> Result<Self, InvalidScript> {
        let mut lexer = Lexer { path, text, at: 0 };
        let mut statements = Vec::new();
        while let Some(statement) = lexer.statement()? {
            statements.push(statement);
        }
        match statements.is_empty() {
            true => Err(InvalidScript::Empty),
            false => Ok(Self { statements }),
        }
    }
}

impl Statement {
    /// Returns an error if it has a parameter that is not ours. `is_parameter` says whether the database takes a text for
    /// one, which may be between brackets: what is a parameter for one database is an operator, or part of a name, for the
    /// other.
    pub(super) fn check(&self, is_parameter: fn(&str, bool) -> bool) -> Result<(), InvalidScript> {
        let mut foreign = self.foreign.iter();
        match foreign.find(|foreign| is_parameter(&foreign.text, foreign.bracketed)) {
            Some(Foreign { place, text, .. }) => {
                Err(InvalidScript::Foreign(place.clone(), text.clone()))
            }
            None => Ok(()),
        }
    }

    /// Returns the SQL for PostgreSQL, and the parameters in the order of their numbers. Each value is sent as text, and
    /// converted there.
    pub(super) fn for_postgres(&self) -> (String, Vec<Parameter>) {
        self.numbered(|sql, number, parameter| {
            let name = parameter.postgres_type();
            // A failing write to a String cannot be.
            let _ = match name {
                "text" => write!(sql, "${number}::text"),
                name => write!(sql, "${number}::text::{name}"),
            };
        })
    }

    /// The same for SQLite.
    pub(super) fn for_sqlite(&self) -> (String, Vec<Parameter>) {
        self.numbered(|sql, number, parameter| {
            let _ = match parameter {
                Parameter::Sequence => write!(sql, "CAST(?{number} AS INTEGER)"),
                _ => write!(sql, "?{number}"),
            };
        })
    }

    fn numbered(&self, write: impl Fn(&mut String, usize, Parameter)) -> (String, Vec<Parameter>) {
        let (mut sql, mut parameters) = (String::new(), Vec::new());
        for part in &self.parts {
            match part {
                Part::Sql(text) => sql.push_str(text),
                Part::Parameter(parameter) => {
                    parameters.push(*parameter);
                    write(&mut sql, parameters.len(), *parameter);
                }
            }
        }
        (sql, parameters)
    }
}

/// Splits a text into statements, and finds the parameters outside of quotes and comments. It knows the quotes of both
/// databases, and no grammar.
struct Lexer<'t> {
    path: &'t str,
    text: &'t str,
    at: usize,
}

/// What is between two places of interest.
enum Token<'t> {
    /// Quoted text, or anything else that is passed on as it is.
    Other,
    Word(&'t str),
    Parameter(&'t str),
    /// A parameter of SQLite or PostgreSQL, as other programs write it.
    Foreign(&'t str),
    Comment,
    End,
}

impl<'t> Lexer<'t> {
    /// Returns the next statement; `None` at the end.
    fn statement(&mut self) -> Result<Option<Statement>, InvalidScript> {
        let (mut parts, mut begin) = (Vec::new(), self.at);
        let (mut place, mut words, mut foreign) = (None, Vec::new(), Vec::new());
        let mut bracketed = false;
        while self.at < self.text.len() {
            let from = self.at;
            let token = self.token()?;
            match token {
                Token::End => {
                    parts.push(Part::Sql(self.text[begin..from].to_owned()));
                    begin = self.at;
                    if place.is_some() {
                        break;
                    }
                    parts.clear();
                    continue;
                }
                Token::Comment => continue,
                Token::Parameter(name) => {
                    let here = || self.place(from);
                    let parameter = Parameter::named(name)
                        .ok_or_else(|| InvalidScript::Unknown(here(), name.to_owned()))?;
                    parts.push(Part::Sql(self.text[begin..from].to_owned()));
                    parts.push(Part::Parameter(parameter));
                    begin = self.at;
                }
                Token::Foreign(text) => foreign.push(Foreign {
                    place: self.place(from),
                    text: text.to_owned(),
                    bracketed,
                }),
                Token::Word(word) if words.len() < 3 => words.push(word.to_ascii_uppercase()),
                Token::Word(_) => {}
                Token::Other if self.text[from..self.at].trim().is_empty() => continue,
                Token::Other => match &self.text[from..self.at] {
                    "[" => bracketed = true,
                    "]" => bracketed = false,
                    // PostgreSQL takes a quoted name of a setting, also one with escapes: U&"…".
                    quoted if quoted.starts_with('"') => match words.as_slice() {
                        [set, local, before @ ..] if set == "SET" && local == "LOCAL" => {
                            let escaped = before == ["U"] && self.text[..from].ends_with('&');
                            if before.is_empty() || escaped {
                                words.truncate(2);
                                words.push(quoted.to_owned());
                            }
                        }
                        _ => {}
                    },
                    _ => {}
                },
            }
            place.get_or_insert(from);
        }
        let Some(place) = place.map(|from| self.place(from)) else {
            return Ok(None);
        };
        if begin < self.at {
            parts.push(Part::Sql(self.text[begin..self.at].to_owned()));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match refused(&words) {
            Some(words) => Err(InvalidScript::Statement(place, words)),
            None => Ok(Some(Statement {
                place,
                is_call: false,
                parts,
                foreign,
            })),
        }
    }

    /// Passes the next token.
    fn token(&mut self) -> Result<Token<'t>, InvalidScript> {
        let (text, from) = (self.text, self.at);
        let rest = &text[from..];
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return Ok(Token::End);
        };
        let second = characters.next();
        self.at += first.len_utf8();
        match (first, second) {
            (';', _) => return Ok(Token::End),
            ('-', Some('-')) => {
                self.at = from + rest.find('\n').unwrap_or(rest.len());
                return Ok(Token::Comment);
            }
            ('/', Some('*')) => {
                self.at = from + 2;
                self.comment(from)?;
                return Ok(Token::Comment);
            }
            ('\'', _) => {
                // PostgreSQL's E'…' alone has escapes.
                let escapes =
                    text[..from].ends_with(['e', 'E']) && !text[..from - 1].ends_with(is_of_word);
                self.quoted('\'', escapes, from)?;
            }
            ('"' | '`', _) => self.quoted(first, false, from)?,
            ('$', _) => {
                let foreign = match self.dollar_quoted(from)? {
                    // SQLite has no such quotes.
                    Some(quote) => quote,
                    None => {
                        self.at += word(&text[self.at..]).len();
                        &rest[..self.at - from]
                    }
                };
                return Ok(Token::Foreign(foreign));
            }
            // A cast.
            (':', Some(':')) => self.at += 1,
            (':', Some(c)) if c.is_alphabetic() || c == '_' => {
                let name = word(&text[self.at..]);
                self.at += name.len();
                return Ok(Token::Parameter(name));
            }
            ('?', _) => {
                let digits = rest[1..].find(|c: char| !c.is_ascii_digit());
                self.at = from + 1 + digits.unwrap_or(rest.len() - 1);
                return Ok(Token::Foreign(&rest[..self.at - from]));
            }
            (':' | '@' | '#', Some(c)) if c.is_alphanumeric() || c == '_' => {
                self.at += word(&text[self.at..]).len();
                return Ok(Token::Foreign(&rest[..self.at - from]));
            }
            (c, _) if c.is_alphabetic() || c == '_' => {
                let word = word(rest);
                self.at = from + word.len();
                return Ok(Token::Word(word));
            }
            _ => {}
        }
        Ok(Token::Other)
    }

    /// Passes a quoted text whose quote at `from` was passed. A doubled quote is part of it.
    fn quoted(&mut self, quote: char, escapes: bool, from: usize) -> Result<(), InvalidScript> {
        let mut characters = self.text[self.at..].char_indices();
        while let Some((index, character)) = characters.next() {
            if escapes && character == '\\' {
                characters.next();
            } else if character == quote {
                // A doubled quote begins another text right here.
                self.at += index + quote.len_utf8();
                return Ok(());
            }
        }
        Err(InvalidScript::Open(self.place(from), "a quoted text"))
    }

    /// Passes a text in dollar quotes, `$$…$$` or `$tag$…$tag$`, if that is what begins at `from`; returns the quote.
    fn dollar_quoted(&mut self, from: usize) -> Result<Option<&'t str>, InvalidScript> {
        let tag = word(&self.text[self.at..]);
        let tag = match tag.starts_with(|c: char| c.is_ascii_digit()) {
            true => return Ok(None),
            // `$` may be part of a word, but not of a tag.
            false => tag.split('$').next().unwrap_or_default(),
        };
        if !self.text[self.at + tag.len()..].starts_with('$') {
            return Ok(None);
        }
        let quote = &self.text[from..=self.at + tag.len()];
        let inside = from + quote.len();
        let end = self.text[inside..].find(quote);
        let end =
            end.ok_or_else(|| InvalidScript::Open(self.place(from), "a text in dollar quotes"))?;
        self.at = inside + end + quote.len();
        Ok(Some(quote))
    }

    /// Passes a comment whose begin at `from` was passed; PostgreSQL nests them.
    fn comment(&mut self, from: usize) -> Result<(), InvalidScript> {
        let mut depth = 1;
        while depth > 0 {
            let rest = &self.text[self.at..];
            let end = rest.find("*/");
            let end = end.ok_or_else(|| InvalidScript::Open(self.place(from), "a comment"))?;
            match rest.find("/*").filter(|begin| *begin < end) {
                Some(begin) => {
                    depth += 1;
                    self.at += begin + 2;
                }
                None => {
                    depth -= 1;
                    self.at += end + 2;
                }
            }
        }
        Ok(())
    }

    fn place(&self, at: usize) -> String {
        let line = 1 + self.text[..at].matches('\n').count();
        format!("line {line} of {}", self.path)
    }
}

/// Returns the word at the beginning of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !is_of_word(c));
    &text[..end.unwrap_or(text.len())]
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The first words of statements that leave the transaction and the session as they are.
const ALLOWED: [&str; 11] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "VALUES", "WITH", "CALL", "DO",
    "NOTIFY",
];

/// Settings on which our own statements in the same transaction rely, by each name that they have.
const OURS: [&str; 9] = [
    "SEARCH_PATH",
    "SCHEMA",
    "ROLE",
    "SESSION",
    "SESSION_AUTHORIZATION",
    "CLIENT_ENCODING",
    "NAMES",
    "TRANSACTION",
    "CONSTRAINTS",
];

/// Returns the words of a statement that may end the transaction, or change it or the session for others.
fn refused(words: &[&str]) -> Option<String> {
    let is_allowed = match words {
        // No setting needs quotes, and in quotes there are more ways to write one of ours.
        ["SET", "LOCAL", setting, ..] => !setting.starts_with('"') && !OURS.contains(setting),
        ["SAVEPOINT" | "RELEASE", ..] | ["ROLLBACK", "TO", ..] | ["ROLLBACK", _, "TO", ..] => true,
        [first, ..] => ALLOWED.contains(first),
        // It begins with something else than a word, and the database refuses it.
        [] => true,
    };
    let named = if words.first() == Some(&"SET") { 3 } else { 1 };
    (!is_allowed).then(|| words[..words.len().min(named)].join(" "))
}

#[cfg(test)]
mod tests;
