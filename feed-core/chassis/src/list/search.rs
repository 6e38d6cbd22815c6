//! A text to search for, as patterns that ignore case in any script. Databases differ in this: SQLite knows the case of
//! ASCII alone, and PostgreSQL what its locale knows. So each pattern names all cases of each letter, and finds the same
//! on every database.

use std::collections::HashMap;
use std::sync::LazyLock;

/// No letter above this has a case.
const LAST_WITH_CASE: char = '\u{1ffff}';

/// A text to search for, without surrounding blanks. It is found where each of its words is, in any order, as people
/// write the family name first or last.
///
/// ```
/// use feed_chassis::list::Search;
///
/// let search = Search::new("Été? là");
/// let globs: Vec<String> = search.words().map(|word| word.glob()).collect();
/// assert_eq!(globs, ["*[Éé][Tt][Éé][?]*", "*[Ll][Àà]*"]);
/// let regexes: Vec<String> = search.words().map(|word| word.regex()).collect();
/// assert_eq!(regexes, [r"[Éé][Tt][Éé]\?", "[Ll][Àà]"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(String);

/// A word of a [`Search`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a>(&'a str);

impl Search {
    /// Creates it from what was typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Returns the number, if the text is one: digits alone.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| self.0.parse().ok()).flatten()
    }

    /// Returns the text as it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns the expression for `text`, an expression of SQL, in which the patterns look. It has `ss` in place of each
    /// `ß`, since that is its upper case.
    #[must_use]
    pub fn searched(text: &str) -> String {
        format!("replace(replace({text}, 'ß', 'ss'), 'ẞ', 'ss')")
    }

    /// Returns its words. There is at least one, unless the text is empty.
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        self.0.split_whitespace().map(Word)
    }
}

impl Word<'_> {
    /// Returns the pattern for SQLite's `GLOB`.
    #[must_use]
    pub fn glob(&self) -> String {
        let pattern = self.pattern(|letter| match letter {
            '*' | '?' | '[' => format!("[{letter}]"),
            _ => letter.to_string(),
        });
        format!("*{pattern}*")
    }

    /// Returns the pattern for PostgreSQL's operator `~`.
    #[must_use]
    pub fn regex(&self) -> String {
        self.pattern(|letter| match letter.is_ascii_punctuation() {
            true => format!("\\{letter}"),
            false => letter.to_string(),
        })
    }

    /// Joins the sets of the cases of each letter; `literal` writes a character that has no case.
    fn pattern(&self, literal: impl Fn(char) -> String) -> String {
        let text = self.0.replace(['ß', 'ẞ'], "ss");
        let pattern = text.chars().map(|letter| match CASES.get(&fold(letter)) {
            Some(cases) => format!("[{cases}]"),
            None => literal(letter),
        });
        pattern.collect()
    }
}

/// The letters that differ in case only, by what [`fold`] makes of them.
static CASES: LazyLock<HashMap<char, String>> = LazyLock::new(|| {
    let mut cases: HashMap<char, String> = HashMap::new();
    for letter in '\0'..=LAST_WITH_CASE {
        cases.entry(fold(letter)).or_default().push(letter);
    }
    cases.retain(|_, letters| letters.chars().count() > 1);
    cases
});

/// Returns the same letter for all cases of a letter. One whose other case has several letters stays as it is, except the
/// Turkish `İ`: as `ı` is found by `I`, it is found by `i`.
fn fold(letter: char) -> char {
    if letter == 'İ' {
        return 'i';
    }
    let upper = one(letter.to_uppercase()).unwrap_or(letter);
    one(upper.to_lowercase()).unwrap_or(upper)
}

fn one(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cases_of_a_letter_are_one_set() {
        for texts in [
            &["éclair", "ÉCLAIR", "Éclair"][..],
            &["straße", "STRASSE", "Straẞe", "Strasse"],
            &["σίσυφος", "ΣΊΣΥΦΟΣ"],
            &["чехов", "ЧЕХОВ"],
            &["ibrahim", "İbrahim", "İBRAHİM", "IBRAHIM", "ıbrahım"],
        ] {
            let regexes = texts.iter().map(|text| Word(text).regex());
            let regexes: std::collections::BTreeSet<String> = regexes.collect();
            assert_eq!(regexes.len(), 1, "{regexes:?}");
        }
        assert_ne!(Word("eclair").regex(), Word("éclair").regex());
        assert_eq!(Word("日本").regex(), "日本");
    }

    #[test]
    fn what_was_typed_is_no_pattern() {
        let word = Word("[a-z]*?.^$\\%_");
        assert_eq!(word.glob(), "*[[][Aa]-[Zz]][*][?].^$\\%_*");
        assert_eq!(word.regex(), r"\[[Aa]\-[Zz]\]\*\?\.\^\$\\\%\_");
    }

    #[test]
    fn words_are_what_blanks_of_any_script_divide() {
        let search = Search::new(" 山田\u{3000}花子  Ada ");
        let words: Vec<Word<'_>> = search.words().collect();
        assert_eq!(words, [Word("山田"), Word("花子"), Word("Ada")]);
    }

    #[test]
    fn a_number_has_digits_alone() {
        for (text, number) in [
            ("28", Some(28)),
            (" 028 ", Some(28)),
            ("-28", None),
            ("28a", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Search::new(text).number(), number, "{text}");
        }
    }
}
