//! Feeds of others, without sequences, whose old entries were edited after the newest one was published: these
//! edits hide no entry, stop no consumer, and cost no request for each poll.

use std::collections::BTreeMap;

use feed_core::consumer::{Subscription, Tail, TailFrom};
use harness::fake::{Fake, Reply};

use crate::support::{Reader, Recording, ids};
use crate::windows::feed;

harness::on_both_databases! {
    edits_before_the_first_read_cost_no_page
    edits_beside_the_newest_entry_cost_no_page
    a_bulk_edit_is_read_through_once
    a_bulk_edit_beside_new_entries_continues
    a_wrong_date_hides_no_later_entry
    a_bulk_edit_during_a_walk_halts_nothing
    edits_that_move_the_newest_entries_out_of_the_head_are_read_through_once
}

/// The first entries: more than a window remembers.
const FIRST: u32 = 150;

/// The entries of a page.
const PAGE: u32 = 10;

/// The times of edits, in this order; no entry is published later.
const EDITS: [fn(u32) -> u32; 3] = [
    |number| 9_000 - number,
    |number| 1_000 + number,
    |number| 1_000 + number * 7_919 % 1_009,
];

/// Serves the entries up to `newest` in the order of publication, in pages with links `rel` to older ones, and each as it was
/// changed last at the time `changed`. An entry that is pinned comes first on each page.
fn serve(fake: &Fake, rel: &str, newest: u32, pinned: &str, changed: impl Fn(u32) -> u32) {
    let put = |path: &str, first: u32, last: u32, older: Option<String>| {
        let numbers = (first..=last).rev();
        let entries: String = numbers.map(|n| format!(" {n}'{}", changed(n))).collect();
        let page = feed(&format!("{pinned}{entries}"));
        let page = match older {
            Some(older) => page.link(rel, &older),
            None => page,
        };
        fake.at(path, Reply::feed(page.xml()));
    };
    match rel {
        "next" => {
            for page in 0..newest.div_ceil(PAGE) {
                let last = newest - page * PAGE;
                let path = match page {
                    0 => "/feed".to_owned(),
                    page => format!("/{page}"),
                };
                let older = (last > PAGE).then(|| format!("/{}", page + 1));
                put(&path, last.saturating_sub(PAGE - 1).max(1), last, older);
            }
        }
        _ => {
            // The head shows some entries of the newest page, too.
            let pages = (newest - PAGE / 2) / PAGE;
            let address = |page: u32| format!("/page/{page}");
            for page in 1..=pages {
                let older = (page > 1).then(|| address(page - 1));
                put(&address(page), (page - 1) * PAGE + 1, page * PAGE, older);
            }
            let first = pages * PAGE + 1 - PAGE / 2;
            put("/feed", first, newest, Some(address(pages)));
        }
    }
}

async fn has_all<B: Recording>(reader: &mut Reader<B>, newest: u32, name: &str) {
    reader.drain().await;
    let mut taken = reader.ids().await;
    taken.sort();
    let mut expected = ids(1..=newest);
    expected.sort();
    assert_eq!(taken, expected, "{name}");
}

/// Posts that were saved again, as in a migration, or comments.
async fn edits_before_the_first_read_cost_no_page<B: Recording>(url: &str) {
    for (number, edited) in EDITS.into_iter().enumerate() {
        for (rel, pinned, most) in [("next", "", 1), ("prev-archive", "", 1), ("next", "3", 2)] {
            let name = format!("{rel} {number} {pinned}");
            let fake = Fake::start().await;
            serve(&fake, rel, FIRST, pinned, edited);
            let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            has_all(&mut reader, FIRST, &name).await;
            fake.news();
            for newest in [FIRST, FIRST + 1, FIRST + 2] {
                let changed = |number| match number {
                    ..=FIRST => edited(number),
                    new => 10_000 + new,
                };
                serve(&fake, rel, newest, pinned, changed);
                reader.poll().await.unwrap();
                let asked = fake.targets();
                assert!(asked.len() <= most, "{name}, {newest}: {asked:?}");
                has_all(&mut reader, newest, &name).await;
                fake.news();
            }
            // Most of a page is new.
            let newest = FIRST + 2 + PAGE * 8 / 10;
            serve(&fake, rel, newest, pinned, |number| match number {
                ..=FIRST => edited(number),
                new => 10_000 + new,
            });
            has_all(&mut reader, newest, &name).await;
            assert!(fake.targets().len() <= 4, "{name}");
        }
    }
}

/// A paged feed without edits, and a reader that has taken all of it.
async fn unedited<B: Recording>(name: &str, url: &str) -> (Fake, Reader<B>) {
    let fake = Fake::start().await;
    serve(&fake, "next", FIRST, "", |number| number);
    let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
    has_all(&mut reader, FIRST, name).await;
    (fake, reader)
}

/// Where the newest one is as it was, and where it belongs, edits have moved no entry.
async fn edits_beside_the_newest_entry_cost_no_page<B: Recording>(url: &str) {
    for (number, edited) in EDITS.into_iter().enumerate() {
        let name = number.to_string();
        let (fake, mut reader) = unedited::<B>(&name, url).await;
        fake.news();
        for newest in [FIRST, FIRST + 1] {
            serve(&fake, "next", newest, "", |number| match number {
                ..FIRST => edited(number),
                new => new,
            });
            reader.poll().await.unwrap();
            assert_eq!(fake.targets(), ["/feed"], "{name}, {newest}");
            has_all(&mut reader, newest, &name).await;
            fake.news();
        }
    }
}

/// Also the newest one.
async fn a_bulk_edit_is_read_through_once<B: Recording>(url: &str) {
    for (number, edited) in EDITS.into_iter().enumerate() {
        let name = number.to_string();
        let (fake, mut reader) = unedited::<B>(&name, url).await;
        serve(&fake, "next", FIRST, "", edited);
        reader.poll().await.unwrap();
        fake.news();
        for newest in [FIRST, FIRST + 1] {
            serve(&fake, "next", newest, "", |number| match number {
                ..=FIRST => edited(number),
                new => 10_000 + new,
            });
            reader.poll().await.unwrap();
            assert_eq!(fake.targets(), ["/feed"], "{name}, {newest}");
            has_all(&mut reader, newest, &name).await;
            fake.news();
        }
    }
}

async fn a_bulk_edit_beside_new_entries_continues<B: Recording>(url: &str) {
    for (number, edited) in EDITS.into_iter().enumerate() {
        for new in [1, 2, 5] {
            let name = format!("{number} {new}");
            let (fake, mut reader) = unedited::<B>(&name, url).await;
            serve(&fake, "next", FIRST + new, "", |number| match number {
                ..=FIRST => edited(number),
                new => 10_000 + new,
            });
            has_all(&mut reader, FIRST + new, &name).await;
        }
    }
}

/// When each entry was changed last.
type Changes = BTreeMap<u32, u32>;

/// Serves a feed in the order of its last changes, from this page on.
fn serve_by_change(fake: &Fake, changes: &Changes, from: usize) {
    let mut listed: Vec<(u32, u32)> = changes.iter().map(|(n, at)| (*at, *n)).collect();
    listed.sort_unstable_by(|one, other| other.cmp(one));
    let pages: Vec<_> = listed.chunks(PAGE as usize).collect();
    for (number, page) in pages.iter().enumerate().skip(from) {
        let entries: String = page.iter().map(|(at, n)| format!(" {n}'{at}")).collect();
        let page = match number + 1 < pages.len() {
            true => feed(&entries).link("next", &format!("/{}", number + 1)),
            false => feed(&entries),
        };
        let path = match number {
            0 => "/feed".to_owned(),
            number => format!("/{number}"),
        };
        fake.at(&path, Reply::feed(page.xml()));
    }
}

/// A feed in the order of its last changes, and a reader that has taken all of it.
async fn by_change<B: Recording>(url: &str, newest: u32) -> (Fake, Reader<B>, Changes) {
    let (fake, changes) = (Fake::start().await, (1..=newest).map(|n| (n, n)).collect());
    serve_by_change(&fake, &changes, 0);
    let mut reader = Reader::<B>::of("by change", url, &fake.url("/feed")).await;
    has_all(&mut reader, newest, "at first").await;
    (fake, reader, changes)
}

/// As of a clock that is ahead. It is corrected then.
async fn a_wrong_date_hides_no_later_entry<B: Recording>(url: &str) {
    let first = 90;
    let (fake, mut reader, mut changes) = by_change::<B>(url, first).await;
    for (number, at) in [(5, 80_000), (5, 1_000), (first + 1, 1_001)] {
        changes.insert(number, at);
        serve_by_change(&fake, &changes, 0);
        reader.drain().await;
    }
    let newest = first + 6;
    changes.extend((first + 2..=newest).map(|n| (n, 1_000 + n)));
    changes.extend((1..=3 * PAGE).map(|n| (n, 2_000 + n)));
    serve_by_change(&fake, &changes, 0);
    has_all(&mut reader, newest, "after the edits").await;
}

/// The pages behind the head show what is newer than it.
async fn a_bulk_edit_during_a_walk_halts_nothing<B: Recording>(url: &str) {
    let (fake, mut reader, mut changes) = by_change::<B>(url, FIRST).await;
    let newest = FIRST + 25;
    changes.extend((FIRST + 1..=newest).map(|n| (n, 1_000 + n)));
    serve_by_change(&fake, &changes, 0);
    changes.extend((1..=60).map(|n| (n, 2_000 + n)));
    serve_by_change(&fake, &changes, 1);
    has_all(&mut reader, newest, "before the edits").await;
    changes.insert(newest + 1, 3_000);
    serve_by_change(&fake, &changes, 0);
    has_all(&mut reader, newest + 1, "after the edits").await;
}

async fn edits_that_move_the_newest_entries_out_of_the_head_are_read_through_once<B: Recording>(
    url: &str,
) {
    let newest = 90;
    let (fake, mut reader, mut changes) = by_change::<B>(url, newest).await;
    changes.extend((1..=56).map(|n| (n, 1_000 + n)));
    serve_by_change(&fake, &changes, 0);
    reader.drain().await;
    fake.news();
    reader.drain().await;
    assert_eq!(fake.targets(), ["/feed"]);
    changes.insert(newest + 1, 2_000);
    serve_by_change(&fake, &changes, 0);
    has_all(&mut reader, newest + 1, "after the edits").await;
}

#[tokio::test]
async fn a_tail_shows_no_history_after_edits() {
    for edited in EDITS {
        let fake = Fake::start().await;
        serve(&fake, "next", FIRST, "", edited);
        let subscription = Subscription {
            poll_interval: std::time::Duration::from_millis(1),
            ..Subscription::new("tail", fake.url("/feed").parse().unwrap())
        };
        let mut tail = Tail::new(&subscription, TailFrom::Newest(1));
        assert_eq!(tail.next().await.unwrap().events.len(), 1);
        fake.news();
        assert!(tail.next().await.unwrap().events.is_empty());
        assert_eq!(fake.targets(), ["/feed"]);
        serve(&fake, "next", FIRST + 1, "", |number| match number {
            ..=FIRST => edited(number),
            new => 10_000 + new,
        });
        let events = tail.next().await.unwrap().events;
        let new: Vec<String> = events.into_iter().map(|event| event.id).collect();
        assert_eq!(new, ids([FIRST + 1]));
    }
}
