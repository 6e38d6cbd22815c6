//! One term for one thing: the words that ARCHITECTURE.md retires do not come back.

use std::fmt;
use std::path::{Path, PathBuf};

/// The list is a section of this document.
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

#[test]
fn retired_words_stay_out_of_the_documentation() {
    let documents = files(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_page = path.starts_with("docs") || path.starts_with("benches");
        name.starts_with("README") || (is_page && name.ends_with(".md"))
    });
    assert!(documents.len() > 15, "{documents:?}");
    let retired = retired();
    let mut found = Vec::new();
    for file in &documents {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of the project that are `wanted`, by their paths from its root.
fn files(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
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
    let (_, section) = ARCHITECTURE.split_once("\n### Retired words\n").unwrap();
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
