//! The newest entries that a feed without sequences showed at the last read, and whether a later
//! document continues from them. If the feed has moved on by more than it shows, the entries in
//! between are gone, and the old entries that are still shown do not reveal it.
//!
//! A window remembers by itself what was shown. The claims do not tell: another instance, or a walk
//! that was interrupted, may have claimed newer entries, and only those of its own partitions.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::iter::repeat;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::entry::FoundEntry;
use super::order::Order;
use crate::partition::stable_hash;

/// The entries kept of a window: some of them may be deleted later.
const NEWEST: usize = 3;

/// The entries that a window remembers: those of two documents, since pages end elsewhere after each
/// new entry. At least so many, since the head of an archived feed may be short; at most so many,
/// since each partition stores some sixteen bytes for each.
const REMEMBERED: RangeInclusive<usize> = 100..=1_000;

/// The newest entries of a feed at one moment. Its text is stored as the anchor of a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// The number of entries in the document.
    shown: usize,
    /// Ids of the newest entries, newest first.
    pub(crate) newest: Vec<String>,
    /// When the newest one was changed last. Older versions stored no date.
    #[serde(default)]
    updated: Option<DateTime<Utc>>,
    /// Hashes of the ids of the newest entries that were shown up to then, newest first. Older versions
    /// stored none.
    #[serde(default)]
    remembered: Vec<u32>,
    /// For each of these a hash of the date with which it was shown; 0 if that is not known. A latest date of all entries
    /// would not do in place of it: one wrong date in the future would hide each later edit. Older versions stored none.
    #[serde(default)]
    versions: Vec<u16>,
    /// A hash of the address of the newest page, in an archive. Older versions stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<u32>,
}

impl Window {
    /// Returns the window of documents, newest first, which is that of the first one with entries; `None` if there is none. It
    /// remembers the entries of all.
    pub(crate) fn of(documents: &[Document]) -> Option<Self> {
        let is_empty = |document: &&Document| document.entries.is_empty();
        let mut documents = documents.iter().skip_while(is_empty);
        let head = documents.next()?;
        // What was read after the head may have been edited in between, and in a feed that is ordered by edits so be moved to
        // before new entries. It then has a later date than most of the head, of which a few may be pinned, or be dated ahead.
        let mut dates: Vec<_> = head.entries.iter().map(|entry| entry.updated).collect();
        dates.sort_unstable();
        let usual = dates[(dates.len() - 1) / 2];
        let may_move = Order::is_by_update(&head.listed());
        let further = documents.flat_map(|document| document.entries.iter().rev());
        let further = further.map(|entry| match may_move && entry.updated > usual {
            true => (hash(&entry.id), 0),
            false => (hash(&entry.id), version(entry)),
        });
        Some(Self::of_one(head).remember(further))
    }

    fn of_one(document: &Document) -> Self {
        let listed = document.listed();
        // An old entry that was edited may have the latest date, and one that is pinned the first place.
        let (_, mut newest) = Order::of_most(&listed);
        if 2 * newest.len() < listed.len() {
            newest = listed.clone();
            newest.sort_by_key(|entry| Reverse(entry.published));
        }
        let ids = newest.iter().take(NEWEST).map(|entry| entry.id.clone());
        let window = Self {
            shown: document.entries.len(),
            newest: ids.collect(),
            updated: newest.first().map(|entry| entry.updated),
            remembered: Vec::new(),
            versions: Vec::new(),
            archive: archive_of(document),
        };
        let entries = newest.into_iter().chain(document.entries.iter().rev());
        window.remember(entries.map(|entry| (hash(&entry.id), version(entry))))
    }

    /// Remembers what `before` does, which was shown before.
    pub(crate) fn after(self, before: Self) -> Self {
        let versions = before.versions.into_iter().chain(repeat(0));
        self.remember(before.remembered.into_iter().zip(versions))
    }

    fn remember(mut self, older: impl IntoIterator<Item = (u32, u16)>) -> Self {
        let most = (2 * self.shown).clamp(*REMEMBERED.start(), *REMEMBERED.end());
        let mut known: HashSet<u32> = self.remembered.iter().copied().collect();
        let older = older.into_iter().filter(|(hash, _)| known.insert(*hash));
        let room = most.saturating_sub(self.remembered.len());
        let (ids, versions): (Vec<u32>, Vec<u16>) = older.take(room).unzip();
        self.remembered.extend(ids);
        self.versions.extend(versions);
        self
    }

    /// Parses a stored text. Older versions stored a single id.
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            shown: usize::MAX,
            newest: vec![text.to_owned()],
            updated: None,
            remembered: Vec::new(),
            versions: Vec::new(),
            archive: None,
        })
    }

    /// Returns true if one of the newest entries is in one of `documents`.
    pub(crate) fn is_shown_in(&self, documents: &[Document]) -> bool {
        let mut entries = documents.iter().flat_map(|document| &document.entries);
        entries.any(|entry| self.newest.contains(&entry.id))
    }

    /// Returns the ids of the entries in `document` that were shown before, or at this window. A window
    /// of an older version takes those for it that any instance has `claimed`.
    pub(crate) fn known_in<'a>(
        &self,
        document: &'a Document,
        claimed: &HashSet<&str>,
    ) -> HashSet<&'a str> {
        let remembered: HashSet<&u32> = self.remembered.iter().collect();
        let is_known = |id: &&str| match remembered.is_empty() {
            true => claimed.contains(id),
            false => remembered.contains(&hash(id)),
        };
        ids_of(document).filter(is_known).collect()
    }

    /// Returns true if an entry that is known was edited since it was shown. A window of an older version takes each for it
    /// that changed after the newest one.
    fn is_edited(&self, entry: &FoundEntry) -> bool {
        let id = hash(&entry.id);
        let mut versions = self.remembered.iter().zip(&self.versions);
        match self.versions.is_empty() {
            true => self.updated.is_some_and(|before| entry.updated > before),
            false => {
                versions
                    .find(|(known, _)| **known == id)
                    .map(|(_, shown)| *shown)
                    != Some(version(entry))
            }
        }
    }

    /// Returns what `document` shows of this window, of which `expected` entries were in no newer document. If it is the head of an
    /// archive with new pages, it `repeats` old entries, whatever these show.
    fn found_in(
        &self,
        document: &Document,
        known: &HashSet<&str>,
        further: &HashSet<&str>,
        expected: usize,
        repeats: bool,
    ) -> Found {
        let shows = |id: &String| document.entries.iter().any(|entry| entry.id == *id);
        let is_new = |entry: &&FoundEntry| !known.contains(entry.id.as_str());
        let all = document.listed();
        let fresh: Vec<&FoundEntry> = all.iter().copied().filter(is_new).collect();
        // The newest one is as it was, and nothing in the document is out of order, as one that is pinned.
        let newest = all.iter().find(|entry| {
            self.newest.first() == Some(&entry.id) && self.updated == Some(entry.updated)
        });
        let order_of_fresh = Order::of(&fresh);
        let order = Order::of(&all).filter(|order| order_of_fresh.is_none_or(|one| one == *order));
        let in_place = newest.is_some_and(|newest| {
            fresh.is_empty() || order.is_some_and(|order| order.allows(newest, &fresh))
        });
        // All entries are still there.
        let dropped_nothing = self.newest.len() == self.shown && self.newest.iter().all(shows);
        // So many entries are not pinned, or edited and moved up. A document may show more than is remembered. Many may be
        // edited at once: these prove nothing where an older page can show more, unless the newest one shows that none has moved.
        let has_older = document.has_older();
        let proves = |entry: &&FoundEntry| {
            let id = entry.id.as_str();
            let is_old = further.contains(id) && known.contains(id);
            is_old && (in_place || !has_older || !self.is_edited(entry))
        };
        let known_further = document.entries.iter().filter(proves).count();
        let half_is_known = known_further > 0 && 2 * known_further >= further.len().min(expected);
        if document.complete || in_place && (half_is_known && !repeats || !has_older) {
            return Found::Surely;
        }
        if in_place && !repeats {
            return Found::InPlace;
        }
        if in_place || dropped_nothing || half_is_known {
            return Found::Probably;
        }
        // The feed has moved on by more than half. Then one of the newest entries must be where the
        // document's order has it: on the old side of all new entries. An entry that is pinned, or
        // moved up after an edit, is shown however far the feed has moved on.
        let mut newest = all
            .iter()
            .filter(|entry| self.proving().contains(&entry.id));
        match order_of_fresh.or(order.filter(|_| !fresh.is_empty())) {
            Some(order) if newest.any(|entry| order.allows(entry, &fresh)) => Found::Probably,
            _ => Found::No,
        }
    }

    /// Says what it means if the feed does not continue the window.
    pub(crate) fn missing_after(&self) -> String {
        let newest = self.newest.first().map_or("", String::as_str);
        format!(
            "the feed has moved on by more than it shows since {newest} was read: entries in between may be missing"
        )
    }

    /// Returns the newest entries. Of few entries the oldest prove nothing.
    fn proving(&self) -> &[String] {
        &self.newest[..self.shown.div_ceil(3).min(self.newest.len())]
    }
}

/// A walk back that looks for a window.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) window: Window,
    /// The entries of the documents so far that are not new.
    known: HashSet<String>,
    /// Where the window probably ends.
    end: Option<End>,
    /// True if that is sure: the next older document shows it, too.
    has_ended: bool,
    /// True if the last document is enough where there is no older one.
    needs_no_older: bool,
    /// True if the first document leads to the pages of an archive, which do not change.
    is_archived: bool,
    /// True if the last document has fewer entries than the window had, and so has room for all newer ones.
    has_room: bool,
}

/// The number of a document, and how many entries up to there are not new. Of several windows that end in one document, the
/// oldest one knows fewest.
pub(crate) type End = (usize, Reverse<usize>);

impl Search {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            known: HashSet::new(),
            end: None,
            has_ended: false,
            needs_no_older: false,
            is_archived: false,
            has_room: false,
        }
    }

    /// Looks at the next older document, which has this number. Of its entries those with the ids `known` are not new, and
    /// `further` are in no newer document: one that is pinned is in each.
    pub(crate) fn look(
        &mut self,
        number: usize,
        document: &Document,
        known: &HashSet<&str>,
        further: &HashSet<&str>,
    ) {
        let before = self.known.len();
        let expected = match self.window.remembered.len() {
            0 => usize::MAX,
            remembered => remembered.saturating_sub(before),
        };
        self.known.extend(known.iter().map(|id| (*id).to_owned()));
        self.is_archived |= number == 0 && document.has_archive();
        let archive = archive_of(document);
        let has_no_new_page = archive.is_some() && archive == self.window.archive;
        let repeats = number == 0 && document.has_archive() && !has_no_new_page;
        self.has_room = document.entries.len() < self.window.shown;
        let found = self
            .window
            .found_in(document, known, further, expected, repeats);
        self.needs_no_older = found == Found::InPlace;
        match found {
            // Most of it was in newer documents: others may have been deleted. Or all of it is known, and was edited.
            Found::No if further.is_subset(known) || expected <= before => {}
            Found::No => self.end = None,
            found => {
                self.has_ended = found == Found::Surely || self.end.is_some();
                self.end.get_or_insert((number, Reverse(self.known.len())));
            }
        }
    }

    /// Returns true if no older document is needed.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns true if the next older document may be missing: the newest entry was found where it belongs.
    pub(crate) fn needs_no_older(&self) -> bool {
        self.has_ended || self.needs_no_older
    }

    /// Returns true if nine tenths of the window were found, edited or not: some may have been deleted.
    pub(crate) fn is_mostly_shown(&self) -> bool {
        let (found, all) = (self.known.len(), self.window.remembered.len());
        all > 0 && found >= NEWEST && 10 * found >= 9 * all
    }

    /// Returns where the window ends; `None` if entries after it may be missing. In a document behind which there is
    /// none, one or two old entries may be pinned. A further document that begins behind the newest entries is older
    /// than the one before it.
    pub(crate) fn end(&self) -> Option<End> {
        let mut newest = self.window.proving().iter();
        let proved =
            self.has_room || self.known.len() >= NEWEST || newest.any(|id| self.known.contains(id));
        let newest = self.window.remembered.iter().take(NEWEST);
        let newest: HashSet<&u32> = newest.collect();
        let shows_newest =
            newest.is_empty() || self.known.iter().any(|id| newest.contains(&hash(id)));
        self.end.filter(|(number, _)| {
            (self.has_ended || proved) && (*number == 0 || self.is_archived || shows_newest)
        })
    }
}

/// What a document shows of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It may be newer than the window by any number of entries.
    No,
    /// It continues the window, or repeats old entries: an archive then has pages in between.
    Probably,
    /// It shows the newest entry where it belongs, and little else of the window.
    InPlace,
    /// No entry can be missing between the window and the document.
    Surely,
}

/// Returns the ids of the entries, newest first.
pub(crate) fn ids_of(document: &Document) -> impl Iterator<Item = &str> {
    document.entries.iter().rev().map(|entry| entry.id.as_str())
}

fn archive_of(document: &Document) -> Option<u32> {
    let newest_page = document.link("prev-archive", None).ok().flatten()?;
    Some(hash(newest_page.as_str()))
}

/// Returns what is stored of an id. Two ids that share it are no risk: a few entries prove nothing.
fn hash(id: &str) -> u32 {
    let hash = stable_hash(id);
    (hash ^ hash >> 32) as u32
}

/// Returns what is stored of an entry's date, which each edit changes.
fn version(entry: &FoundEntry) -> u16 {
    let date = entry.updated.timestamp_micros().to_string();
    (hash(&date) as u16).max(1)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::source::document::tests::{feed, read};

    /// A document with these entries in this order; `n'` was edited since, at the minute behind it.
    fn document(entries: &str) -> Document {
        read(&feed(&listed(entries))).expect("a document")
    }

    fn listed(entries: &str) -> String {
        let entry = |word: &str| {
            let (id, updated) = word.split_once('\'').unwrap_or((word, word));
            let date = |minute: &str| format!("2026-05-01T00:{minute:0>2}:00Z");
            format!(
                "<entry><id>{id}</id><published>{}</published><updated>{}</updated></entry>",
                date(id),
                date(updated),
            )
        };
        entries.split_whitespace().map(entry).collect()
    }

    /// The same without dates of publication.
    fn undated(entries: &str) -> Document {
        let listed = listed(entries).replace("<published>", "<!--");
        read(&feed(&listed.replace("</published>", "-->"))).expect("a document")
    }

    /// True if a consumer that has taken `before` misses nothing in `after`.
    fn continues(before: &str, after: &str) -> bool {
        is_continued(&document(before), &document(after))
    }

    fn is_continued(before: &Document, after: &Document) -> bool {
        let window = Window::parse(&Window::of_one(before).to_string());
        // Another instance has taken everything meanwhile.
        let all = ids_of(after).collect();
        let known = window.known_in(after, &all);
        let mut search = Search::new(window.clone());
        search.look(0, after, &known, &all);
        search.end().is_some()
    }

    const TEN: &str = "10 9 8 7 6 5 4 3 2 1";

    #[test]
    fn a_window_that_has_moved_by_less_than_itself_continues() {
        for after in [
            TEN,
            "11 10 9 8 7 6 5 4 3 2",
            "19 18 17 16 15 14 13 12 11 10",
            // Other orders.
            "10 11 12 13 14 15 16 17 18 19",
            "12 10 7 11 9 8 6",
            // Posts edited since, in a feed ordered by publication.
            "12 11'13 10 9 8 7 6 5 4 3",
            "13 12'15 11'14 10 9 8 7 6 5 4",
            "15 14 13 12 11 10 9 8 7 6'16",
            // The newest were deleted, and older ones moved up.
            "7 6 5 4 3 2 1 0",
            "12 11 7 6 5 4 3 2 1",
            // The newest was deleted, and the newest was edited, in place or moved to the top.
            "12 11 9 8 7 6 5 4 3 2",
            "12 11 10'13 9 8 7 6 5 4 3",
            "10'13 12 11 9 8 7 6 5 4 3",
            // An old entry is pinned.
            "3 14 13 12 11 10 9 8 7 6",
            // Few are left.
            "12 11 7 6 5",
            // All were edited at once.
            "11 10'12 9'12 8'12 7'12 6'12 5'12 4'12 3'12 2'12",
            // A new entry has an old date.
            "10 9 8 7 0 6 5 4 3 2",
        ] {
            assert!(continues(TEN, after), "{after}");
        }
        for (before, after) in [
            ("1", "2 1"),
            ("1", "3 2 1'4"),
            // Of three entries two were deleted.
            ("3 2 1", "4 1"),
            ("2 1", "1'5 4 3 2'6"),
            ("3 1", "4 3 2 1"),
        ] {
            assert!(continues(before, after), "{before}, then {after}");
        }
    }

    #[test]
    fn a_window_that_has_moved_by_more_does_not_continue() {
        for (before, after) in [
            (TEN, "40 39 38 37 36 35 34 33 32 31"),
            // A known entry is pinned to the top, or sorted to the end.
            (TEN, "1 40 39 38 37 36 35 34 33 32"),
            (TEN, "40 39 38 37 36 35 34 33 32 1"),
            (TEN, "5 40 39 38 37 36 35 34 33 32"),
            (TEN, "32 33 34 35 36 37 38 39 40 5"),
            // Also the newest one, and two of them.
            (TEN, "10 40 39 38 37 36 35 34 33 32"),
            (TEN, "10 9 40 39 38 37 36 35 34 33"),
            // An edited entry has moved to the top.
            (TEN, "10'41 40 39 38 37 36 35 34 33 32"),
            (TEN, "5'41 40 39 38 37 36 35 34 33 32"),
            ("3 2 1", "40 39 38 37 36 35 34 33 32 1"),
            // An entry is pinned by its date.
            ("99 10 9 8 7 6 5 4 3 2", "99 40 39 38 37 36 35 34 33 32"),
            // One or two that are pinned, and as many new ones.
            ("4 10", "4 12"),
            ("4 10 9", "4 5 40 39"),
            // No visible order.
            (TEN, "10 40'9 39'9 38'9 37'9 36'9"),
            (TEN, "38 10 33 40 35 39 32 36 34 37"),
            (TEN, "10 40 39'41 38'42 37'43 36'44 35'45 34'46 33'47 32'48"),
        ] {
            assert!(!continues(before, after), "{before}, then {after}");
        }
    }

    #[test]
    fn an_edited_entry_that_stays_proves_nothing() {
        for (before, after) in [
            ("10 9 8 7 6 5 4 3 2 1'11", "40 39 38 37 36 35 34 33 32 1'11"),
            ("1'11 2 3 4 5 6 7 8 9 10", "1'11 32 33 34 35 36 37 38 39 40"),
            (
                "10 9 8 2'12 7 6 5 4 3 1'11",
                "40 39 38 37 36 35 34 33 2'12 1'11",
            ),
        ] {
            assert!(!continues(before, after), "{before}, then {after}");
            let [before, after] = [before, after].map(undated);
            assert!(!is_continued(&before, &after), "{before:?}");
        }
        // A feed in the order of updates.
        assert!(continues("1'11 10 9 8 7 6", "14 13 12 1'11 10 9"));
        assert!(is_continued(
            &undated("1'11 10 9 8"),
            &undated("14 13 12 1'11")
        ));
    }

    #[test]
    fn a_window_remembers_the_newest_entries_of_earlier_documents() {
        let numbers = |first: usize, last| {
            let numbers = (first..=last).rev().map(|n| n.to_string());
            document(&numbers.collect::<Vec<_>>().join(" "))
        };
        let (before, middle) = (numbers(1, 9), numbers(10, 19));
        let window = Window::of(&[numbers(20, 21), middle.clone()]).expect("entries");
        let window = window.after(Window::of_one(&before));
        let known = |document| window.known_in(document, &HashSet::new()).len();
        assert_eq!([known(&before), known(&middle)], [9, 10]);
        assert_eq!(known(&numbers(18, 25)), 4);
        let window = window.remember((0..2_000).zip(repeat(1)));
        let remembered = [window.remembered.len(), window.versions.len()];
        assert_eq!(remembered, [*REMEMBERED.start(); 2]);
    }

    /// It has no hashes of what was shown.
    #[test]
    fn a_window_of_an_older_version_knows_what_is_claimed() {
        let window = Window::parse("{\"shown\":10,\"newest\":[\"10\",\"9\",\"8\"]}");
        let after = document("12 11 7 6");
        let claimed = HashSet::from(["7", "6", "5"]);
        assert_eq!(window.known_in(&after, &claimed), HashSet::from(["7", "6"]));
    }

    /// The ids of the entries in `document` that were edited since they were shown.
    fn edited_in(window: &Window, document: &str) -> Vec<String> {
        let document = self::document(document);
        let is_edited = |entry: &&FoundEntry| window.is_edited(entry);
        let edited = document.listed().into_iter().filter(is_edited);
        edited.map(|entry| entry.id.clone()).collect()
    }

    /// A wrong date, or one of a clock that is ahead, hides no later edit.
    #[test]
    fn an_edit_is_another_date_than_the_one_that_was_shown() {
        let window = Window::of_one(&document("10 9 8 7'59 6 5"));
        let window = Window::of_one(&document("11 10 9 8")).after(window);
        let window = Window::parse(&window.to_string());
        assert_eq!(
            edited_in(&window, "8'20 11 10 9 7'21 6 5'22"),
            ["8", "7", "5"]
        );
        assert!(edited_in(&window, "11 10 9 8 7'59 6 5").is_empty());
    }

    /// They were moved to before entries that the head did not show yet.
    #[test]
    fn an_edit_between_two_documents_of_a_walk_counts_as_not_shown() {
        let pages = ["1'59 12 11 10", "9'21 8'20 7 6"].map(document);
        let window = Window::of(&pages).expect("entries");
        assert_eq!(
            edited_in(&window, "9'21 8'20 1'59 12 11 10 7 6"),
            ["9", "8"]
        );
    }

    /// It has the date of the newest entry alone.
    #[test]
    fn a_window_of_an_older_version_is_as_old_as_its_newest_entry() {
        let window = Window::parse(
            "{\"shown\":3,\"newest\":[\"10\"],\"updated\":\"2026-05-01T00:10:00Z\",\"changed\":\"2099-01-01T00:00:00Z\"}",
        );
        assert_eq!(edited_in(&window, "10 9'11 8'12 7'9"), ["9", "8"]);
        let window = Window::of_one(&document("11 10")).after(window);
        assert_eq!(edited_in(&window, "11 10'12"), ["10"]);
    }

    #[test]
    fn an_id_alone_is_a_window_of_an_older_version() {
        for text in ["tag:example.com,2026:7", "12", "x\ny", "{}"] {
            assert_eq!(Window::parse(text).newest, [text]);
        }
    }
}
