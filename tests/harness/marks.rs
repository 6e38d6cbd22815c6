//! The rare branches that real processes have taken. `feed-core/src/reached.rs` lists them; a process logs each that it
//! reaches, so that also one that was killed has told.

use std::collections::BTreeSet;
use std::path::Path;

/// The names of marks.
pub type Marks = BTreeSet<String>;

/// What a process logs: as much as a test reads, and its marks.
pub const LOG: &str = "info,feed_core=debug,feed_core::reached=trace";

/// What comes before the name of a mark in a log.
const TARGET: &str = "feed_core::reached: ";

/// A rare branch.
#[derive(Debug)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// Which guarantee depends on it, and what happens there.
    pub meaning: String,
}

/// All of them, in the order of the list.
#[must_use]
pub fn all() -> Vec<Mark> {
    let list = include_str!("../../feed-core/src/reached.rs");
    let (_, list) = list.split_once("enum Mark {").unwrap_or_default();
    let (list, _) = list.split_once("\n}").unwrap_or_default();
    let mut marks = Vec::new();
    let mut meaning = Vec::new();
    for line in list.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim());
        } else if let Some(name) = line.strip_suffix(',').filter(|_| !line.starts_with("//")) {
            marks.push(Mark {
                name: name.to_owned(),
                meaning: std::mem::take(&mut meaning).join(" "),
            });
        }
    }
    marks
}

/// Those in the logs below a directory.
#[must_use]
pub fn below(directory: &Path) -> Marks {
    logs_below(directory)
        .iter()
        .flat_map(|log| in_log(log))
        .collect()
}

/// The logs below a directory.
pub(crate) fn logs_below(directory: &Path) -> Vec<String> {
    let mut logs = Vec::new();
    let Ok(files) = std::fs::read_dir(directory) else {
        return logs;
    };
    for file in files.flatten().map(|file| file.path()) {
        if file.is_dir() {
            logs.extend(logs_below(&file));
        } else if file.extension().is_some_and(|extension| extension == "log") {
            let log = std::fs::read(&file).unwrap_or_default();
            logs.push(String::from_utf8_lossy(&log).into_owned());
        }
    }
    logs
}

/// Those in a log.
#[must_use]
pub fn in_log(log: &str) -> Marks {
    let name = |line: &str| Some(line.split_once(TARGET)?.1.trim().to_owned());
    log.lines().filter_map(name).collect()
}

/// Fails unless all of `expected` were reached.
///
/// # Panics
///
/// One was not.
#[track_caller]
pub fn assert_reached(reached: &Marks, expected: &[&str]) {
    let all = all();
    let known = |name: &&str| all.iter().any(|mark| mark.name == **name);
    let unknown: Vec<_> = expected.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "no mark has these names: {unknown:?}");
    let missing: Vec<String> = all
        .iter()
        .filter(|mark| expected.contains(&&*mark.name) && !reached.contains(&mark.name))
        .map(|mark| format!("  {}: {}", mark.name, mark.meaning))
        .collect();
    assert!(
        missing.is_empty(),
        "these marks (feed-core/src/reached.rs) were never reached, and so nothing is shown about them:\n{}",
        missing.join("\n")
    );
}
