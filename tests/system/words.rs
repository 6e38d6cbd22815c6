//! One term for one thing: the words that ARCHITECTURE.md retires must not be used again.

use std::fmt;
use std::path::{Path, PathBuf};

/// The list is the last section of this document.
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The title of that section.
const RETIRED: &str = "\n### Retired words\n";

/// Their texts are stored in databases, and stay as they are.
const STORED: [&str; 2] = [
    "feed-core/src/consumer/apply/call_effect.rs",
    "feed-core/src/consumer/control/execute_decision.rs",
];

#[test]
fn retired_words_stay_out_of_the_documentation() {
    let documents = files(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.len() > 20, "{documents:?}");
    let retired = retired();
    let mut found = Vec::new();
    for file in &documents {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let text = text.split(RETIRED).next().unwrap().to_owned();
        found.extend(occurrences(file, &tokens(&prose(&text), 1), &retired));
    }
    assert!(found.is_empty(), "{}", list(&found));
}

#[test]
fn a_retired_word_is_found_where_it_is() {
    let retired = ["is to be", "somebody", "person's word"].map(words);
    let lines = |text: &str| {
        let found = occurrences(Path::new("x.md"), &tokens(&prose(text), 1), &retired);
        found.iter().map(|found| found.line).collect::<Vec<_>>()
    };
    for (text, line) in [
        ("somebody", 1),
        ("One.\nIt is\nto be done.", 2),
        ("| *Somebody's* |", 1),
        ("By a person's\nword.", 1),
        ("`a`\n```sh\nb\n```\nsomebody", 5),
    ] {
        assert_eq!(lines(text), [line], "{text}");
    }
    for text in [
        "That is. To be",
        "`is to be`",
        "is `a` to be",
        "is\n```sh\nsomebody\n```\nto be",
    ] {
        assert!(lines(text).is_empty(), "{text}");
    }
}

/// Messages and the text of `--help` are string literals, and doc comments where clap reads them.
#[test]
fn retired_words_stay_out_of_messages() {
    let sources = files(|path| {
        let name = path.to_str().unwrap();
        let is_test = ["tests", "benches", "fuzz"]
            .iter()
            .any(|folder| path.starts_with(folder))
            || path.components().any(|part| part.as_os_str() == "tests");
        name.ends_with(".rs") && !is_test
    });
    assert!(sources.len() > 100, "{sources:?}");
    assert!(
        STORED
            .iter()
            .all(|file| sources.contains(&PathBuf::from(file)))
    );
    let retired = retired();
    let mut found = Vec::new();
    for file in sources
        .iter()
        .filter(|file| !STORED.contains(&file.to_str().unwrap()))
    {
        let source = std::fs::read_to_string(root().join(file)).unwrap();
        for (line, text) in texts(&source, Kind::Message) {
            found.extend(occurrences(file, &tokens(&text, line), &retired));
        }
    }
    assert!(found.is_empty(), "{}", list(&found));
}

#[test]
fn retired_words_stay_out_of_comments_and_names_of_functions() {
    let sources = files(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(sources.len() > 200, "{sources:?}");
    let retired = retired();
    let mut found = Vec::new();
    for file in &sources {
        let source = std::fs::read_to_string(root().join(file)).unwrap();
        for (line, text) in texts(&source, Kind::Comment) {
            found.extend(occurrences(file, &tokens(&prose(&text), line), &retired));
        }
    }
    assert!(found.is_empty(), "{}", list(&found));
}

#[test]
fn the_texts_of_a_source_are_messages_or_comments() {
    let source = r##"
        /// Help.
        #[derive(clap::Args)]
        struct A; // "not this"
        /* "nor this" */
        fn f<'a>() { ('"', '\'', b"one", "two \"2\" \
            lines", r#"raw "text""#,
            "SELECT -- name::of_a_statement
             1") }
    "##;
    let messages = [
        (2, " Help."),
        (6, "one"),
        (6, "two   2    \n            lines"),
        (7, "raw \"text\""),
        (8, "SELECT\n             1"),
    ];
    let comments = [
        (2, " Help."),
        (4, " \"not this\""),
        (5, " \"nor this\" "),
        (6, "f"),
    ];
    for (kind, expected) in [
        (Kind::Message, &messages[..]),
        (Kind::Comment, &comments[..]),
    ] {
        let found = texts(source, kind);
        let found: Vec<_> = found.iter().map(|(line, text)| (*line, &**text)).collect();
        assert_eq!(found, expected);
    }
}

/// A retired word or phrase in a file.
struct Occurrence {
    file: PathBuf,
    line: usize,
    phrase: String,
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, phrase } = self;
        write!(f, "{}:{line}: {phrase:?}", file.display())
    }
}

fn list(found: &[Occurrence]) -> String {
    let lines: Vec<String> = found.iter().map(Occurrence::to_string).collect();
    format!(
        "ARCHITECTURE.md says what to write instead of\n{}",
        lines.join("\n")
    )
}

/// The folder of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of the project that are `wanted`, by their paths from its root.
pub(crate) fn files(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    folders.push(entry.path());
                }
            } else {
                let path = entry.path().strip_prefix(root()).unwrap().to_owned();
                if wanted(&path) {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    files
}

/// The first column of the table of retired words, each word or phrase as its words.
fn retired() -> Vec<Vec<String>> {
    let (_, section) = ARCHITECTURE.split_once(RETIRED).unwrap();
    let section = section.split("\n#").next().unwrap();
    // The first row has the titles; the line below it begins with `|-`.
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let retired: Vec<_> = rows
        .skip(1)
        .flat_map(|row| row.split(" | ").next().unwrap().split(", "))
        .map(words)
        .collect();
    assert!(retired.len() > 20, "{retired:?}");
    assert!(retired.iter().all(|words| !words.is_empty()), "{retired:?}");
    retired
}

fn words(phrase: &str) -> Vec<String> {
    let words = tokens(phrase, 1).into_iter();
    words.filter_map(|token| token.word).collect()
}

/// A word in lower case, or, without one, a mark that no phrase goes across.
struct Token {
    line: usize,
    word: Option<String>,
}

/// The words of a text whose first line has the number `line`, and the marks between them.
fn tokens(text: &str, mut line: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() {
            let mut word: String = c.to_lowercase().collect();
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric()) {
                word.extend(c.to_lowercase());
            }
            tokens.push(Token {
                line,
                word: Some(word),
            });
        } else if c == '\n' {
            line += 1;
        } else if !c.is_whitespace() && c != '\'' {
            tokens.push(Token { line, word: None });
        }
    }
    tokens
}

/// Where the retired words are among these.
fn occurrences(file: &Path, tokens: &[Token], retired: &[Vec<String>]) -> Vec<Occurrence> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let here = retired.iter().filter(|phrase| {
            let words = tokens[at..].iter().map(|token| token.word.as_deref());
            let expected = phrase.iter().map(|word| Some(word.as_str()));
            words.take(phrase.len()).eq(expected)
        });
        found.extend(here.map(|phrase| Occurrence {
            file: file.to_owned(),
            line: token.line,
            phrase: phrase.join(" "),
        }));
    }
    found
}

/// The text of a Markdown document without its code: output of a program is checked in its source.
/// Line breaks stay, and a mark is in place of the code.
fn prose(document: &str) -> String {
    let mut prose = String::new();
    let mut rest = document;
    while let Some(start) = rest.find('`') {
        let (text, code) = rest.split_at(start);
        prose.push_str(text);
        let fence = &code[..code.len() - code.trim_start_matches('`').len()];
        let inside = &code[fence.len()..];
        let end = inside.find(fence).unwrap_or(inside.len());
        prose.push('|');
        prose.extend(inside[..end].matches('\n'));
        rest = inside.get(end + fence.len()..).unwrap_or("");
    }
    prose + rest
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What a user may read of a program: its string literals and, where clap may read them, its
    /// doc comments.
    Message,
    /// What a contributor reads: comments, and the words in the names of functions.
    Comment,
}

/// The texts of a kind, each with its line. Line breaks stay; escapes and the names of statements
/// do not.
fn texts(source: &str, kind: Kind) -> Vec<(usize, String)> {
    let has_help = source.contains("clap::");
    let mut texts: Vec<(usize, String)> = Vec::new();
    let (mut rest, mut line, mut last_comment) = (source, 1, 0);
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            let comment = rest.lines().next().unwrap();
            if kind == Kind::Comment || (has_help && comment.starts_with("///")) {
                let comment = comment.trim_start_matches('/');
                let comment = comment.strip_prefix('!').unwrap_or(comment);
                match texts.last_mut().filter(|_| last_comment + 1 == line) {
                    Some((_, text)) => *text += &format!("\n{comment}"),
                    None => texts.push((line, comment.to_owned())),
                }
                last_comment = line;
            }
            comment.len()
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").unwrap();
            if kind == Kind::Comment {
                texts.push((line, rest[2..length].to_owned()));
            }
            length + 2
        } else if let Some((quote, end)) = string(rest) {
            let inside = &rest[quote..];
            let length = if end == "\"" {
                length_of_string(inside)
            } else {
                inside.find(&end).unwrap()
            };
            if kind == Kind::Message {
                texts.push((line, readable(&inside[..length], end != "\"")));
            }
            quote + length + end.len()
        } else if c == '\'' {
            length_of_quote(rest)
        } else if c.is_alphanumeric() || c == '_' {
            // A word as a whole: no string begins within it.
            let end = end_of_word(rest);
            if kind == Kind::Comment && &rest[..end] == "fn" && rest[end..].starts_with(' ') {
                let name = &rest[end + 1..];
                texts.push((line, name[..end_of_word(name)].replace('_', " ")));
            }
            end
        } else {
            c.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    texts
}

/// The length of the identifier, keyword or number at the beginning.
fn end_of_word(rest: &str) -> usize {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    end.unwrap_or(rest.len())
}

/// If a string literal begins here: how long its beginning is, and how it ends.
fn string(rest: &str) -> Option<(usize, String)> {
    let prefix = ["br", "cr", "r", "b", "c", ""];
    let prefix = prefix.iter().find(|prefix| rest.starts_with(**prefix))?;
    let quote = &rest[prefix.len()..];
    let hashes = match prefix.ends_with('r') {
        true => quote.len() - quote.trim_start_matches('#').len(),
        false => 0,
    };
    let is_string = quote[hashes..].starts_with('"');
    let end = format!("\"{}", "#".repeat(hashes));
    is_string.then(|| (prefix.len() + end.len(), end))
}

/// The length up to the quotation mark that ends a literal with escapes.
fn length_of_string(inside: &str) -> usize {
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap()
}

/// The length of a character literal, or of the mark of a lifetime.
fn length_of_quote(rest: &str) -> usize {
    let inside = &rest[1..];
    let escape = if inside.starts_with('\\') { 2 } else { 0 };
    let character = inside[escape..]
        .find('\'')
        .filter(|&length| escape > 0 || inside[..length].chars().count() == 1);
    character.map_or(1, |length| 1 + escape + length + 1)
}

fn readable(literal: &str, raw: bool) -> String {
    let mut text = String::new();
    let mut characters = literal.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && !raw {
            // `\n` and the end of a line separate words, other escapes are of no interest.
            let escaped = characters.next();
            text.push_str(if escaped == Some('\n') { " \n" } else { "  " });
        } else {
            text.push(c);
        }
    }
    // The name of a statement.
    let lines = text
        .split('\n')
        .map(|line| line.split_once(" -- ").map_or(line, |(word, _)| word));
    lines.collect::<Vec<_>>().join("\n")
}
