//! A feed without sequences shows its newest entries. If it has moved on by more than these, the
//! consumer halts, even if old entries are still shown; if further documents have the missing
//! entries, it reads them.

use std::sync::atomic::{AtomicU32, Ordering};

use feed_core::consumer::{Decision, Polled, ResumeFrom};
use harness::fake::{Atom, Entry, Fake, Reply};
use harness::{tables, until};

use crate::support::{Reader, Recording, assert_says, ids, serving};

harness::on_both_databases! {
    a_window_that_moved_on_halts_although_it_shows_old_entries
    a_window_that_continues_is_applied
    a_feed_that_was_empty_for_a_moment_continues
    a_feed_that_moved_on_while_empty_halts
    further_pages_are_read_until_no_entry_can_be_missing
    a_page_whose_next_is_itself_is_the_last
    a_resume_from_the_start_applies_what_is_shown
    an_interrupted_walk_keeps_its_position
    a_feed_must_show_the_position_of_every_partition
    an_entry_that_cannot_be_read_is_parked_alone
    old_entries_in_the_head_of_an_archive_hide_no_page
    what_the_head_of_an_archive_repeats_hides_no_page
    an_older_further_page_hides_no_entry
    a_further_page_is_asked_for_again
    edits_of_many_entries_hide_no_page
    a_document_of_thousands_of_entries_continues
    a_document_that_shrinks_for_a_while_continues
    pages_that_grow_or_lose_entries_continue
    a_database_that_lost_its_last_commits_applies_them_again
}

/// Entries in this order; `n'm` is entry n as it was edited at the time of entry m.
pub(crate) fn feed(entries: &str) -> Atom {
    let entry = |word: &str| {
        let (number, edited) = word.split_once('\'').unwrap_or((word, word));
        let [number, edited] = [number, edited].map(|text| text.parse().unwrap());
        let entry = Entry::foreign(number);
        let published = format!("<published>{}</published>", entry.updated);
        Entry {
            updated: Entry::foreign(edited).updated,
            ..entry.with(&published)
        }
    };
    Atom::foreign(entries.split_whitespace().map(entry))
}

/// A consumer that has applied the entries 1 to 10 of a feed that shows ten.
async fn at_ten<B: Recording>(name: &str, url: &str) -> (Fake, Reader<B>) {
    let fake = serving(&Atom::of(1..=10)).await;
    let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=10)).await;
    (fake, reader)
}

fn serve(fake: &Fake, document: &Atom) {
    fake.at("/feed", Reply::feed(document.xml()));
}

async fn halts<B: Recording>(name: &str, reader: &mut Reader<B>) -> String {
    assert_eq!(reader.poll().await, Ok(Polled::Halted), "{name}");
    assert_eq!(reader.ids().await, ids(1..=10), "{name}");
    reader.status().await.halted.unwrap()
}

async fn a_window_that_moved_on_halts_although_it_shows_old_entries<B: Recording>(url: &str) {
    for (name, shown) in [
        ("none", "40 39 38 37 36 35 34 33 32 31"),
        ("an old one is pinned", "4 40 39 38 37 36 35 34 33 32"),
        ("at the end", "40 39 38 37 36 35 34 33 32 4"),
        ("the newest is pinned", "10 40 39 38 37 36 35 34 33 32"),
        ("an edited one came back", "4'41 40 39 38 37 36 35 34 33 32"),
        ("the newest came back", "10'41 40 39 38 37 36 35 34 33 32"),
        ("oldest first", "32 33 34 35 36 37 38 39 40 4"),
        ("without an order", "38 4 33 40 35 39 32 36 34 37"),
        (
            "the newest, without an order",
            "38 10 33 40 35 39 32 36 34 37",
        ),
    ] {
        let (fake, mut reader) = at_ten::<B>(name, url).await;
        serve(&fake, &feed(shown));
        let reason = halts(name, &mut reader).await;
        assert_says(&reason, &["missing"]);
        assert!(reason.contains(&ids([10])[0]), "{reason}");
    }
}

async fn a_window_that_continues_is_applied<B: Recording>(url: &str) {
    for (name, shown, new) in [
        ("some", "13 12 11 10 9 8 7 6 5 4", [11, 12, 13].as_slice()),
        (
            "as many as it can",
            "19 18 17 16 15 14 13 12 11 10",
            &[11, 12, 13, 14, 15, 16, 17, 18, 19],
        ),
        ("pinned", "4 13 12 11 10 9 8 7 6 5", &[11, 12, 13]),
        ("newest edited", "10'14 13 12 11 9 8 7 6 5 4", &[11, 12, 13]),
        ("newest deleted", "12 11 9 8 7 6 5 4 3 2", &[11, 12]),
        ("only old ones", "6 5 4 3", &[]),
        ("backdated", "12 11 10 9 8 0 7 6 5 4", &[0, 11, 12]),
        ("edited where it is", "12 11'13 10 9 8 7 6 5 4 3", &[11, 12]),
        ("without an order", "12 4 10 6 9 11 7 3 8 5", &[11, 12]),
        ("three deleted", "12 11 7 6 5 4 3 2 1", &[11, 12]),
    ] {
        let (fake, mut reader) = at_ten::<B>(name, url).await;
        serve(&fake, &feed(shown));
        let all: Vec<u32> = (1..=10).chain(new.iter().copied()).collect();
        reader.drain().await;
        let mut taken = reader.ids().await;
        taken.sort();
        let mut expected = ids(all);
        expected.sort();
        assert_eq!(
            (taken, reader.status().await.halted),
            (expected, None),
            "{name}"
        );
    }
}

/// An empty feed.
fn empty(name: &str) -> Atom {
    match name {
        "no entries" => Atom::foreign([]),
        "one entry" => Atom::of(1..=1),
        _ => Atom::of(4..=10)
            .attribute("xmlns:at", "http://purl.org/atompub/tombstones/1.0")
            .with(&(4..=10).map(tombstone).collect::<String>()),
    }
}

fn tombstone(number: u32) -> String {
    let id = &ids([number])[0];
    format!("<at:deleted-entry ref=\"{id}\" when=\"2026-06-01T00:00:00Z\"/>")
}

async fn a_feed_that_was_empty_for_a_moment_continues<B: Recording>(url: &str) {
    for name in ["no entries", "only deleted ones"] {
        let (fake, mut reader) = at_ten::<B>(name, url).await;
        serve(&fake, &empty(name));
        for _ in 0..2 {
            reader.takes(&ids(1..=10)).await;
        }
        serve(&fake, &Atom::of(3..=12));
        reader.takes(&ids(1..=12)).await;
    }
}

async fn a_feed_that_moved_on_while_empty_halts<B: Recording>(url: &str) {
    for name in ["no entries", "only deleted ones", "one entry"] {
        let (fake, mut reader) = at_ten::<B>(name, url).await;
        serve(&fake, &empty(name));
        reader.takes(&ids(1..=10)).await;
        serve(&fake, &feed("1 40 39 38 37 36 35 34 33 32"));
        assert_says(&halts(name, &mut reader).await, &["missing"]);
    }
}

async fn further_pages_are_read_until_no_entry_can_be_missing<B: Recording>(url: &str) {
    for rel in ["next", "prev-archive"] {
        let (fake, mut reader) = at_ten::<B>(rel, url).await;
        // One is pinned to the top of each page.
        let page = |entries: &str, older: &str| {
            let page = feed(&format!("4 {entries}"));
            Reply::feed(page.link(rel, older).xml())
        };
        fake.at("/feed", page("30 29 28 27", "/2"));
        fake.at("/2", page("26 25 24 23 22 21 20 19", "/3"));
        fake.at("/3", page("18 17 16 15 14 13 12 11", "/4"));
        fake.at("/4", page("10 9 8 7 6 5 3 2", "/5"));
        fake.news();
        reader.takes(&ids(1..=30)).await;
        let read = ["/feed", "/2", "/3", "/4"];
        assert_eq!(fake.targets()[..4], read, "{rel}: no further than that");
    }
}

async fn a_page_whose_next_is_itself_is_the_last<B: Recording>(url: &str) {
    let fake = serving(&Atom::of(4..=6).link("next", "/feed?page=2")).await;
    let last = Atom::of(1..=3).link("next", "/feed?page=2#entries");
    fake.at("/feed?page=2", Reply::feed(last.xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=6)).await;
}

async fn a_resume_from_the_start_applies_what_is_shown<B: Recording>(url: &str) {
    let (fake, mut reader) = at_ten::<B>("order", url).await;
    serve(&fake, &feed("4 40 39 38"));
    let reason = halts("order", &mut reader).await;
    assert!(reason.contains("resume --from-start"), "{reason}");
    let from_start = Decision::Resume(ResumeFrom::Start);
    reader.handle().decide(from_start, "eve").await.unwrap();
    until("it continues", async || {
        reader.poll().await.unwrap();
        let halted = reader.status().await.halted;
        halted.is_none().then_some(())
    })
    .await;
    let all: Vec<u32> = (1..=10).chain(38..=40).collect();
    reader.takes(&ids(all)).await;
}

/// The data of one entry is unavailable while the other entries of its walk are applied.
async fn an_interrupted_walk_keeps_its_position<B: Recording>(url: &str) {
    let (fake, mut reader) = at_ten::<B>("order", url).await;
    let away = |number| {
        let bare = Entry::foreign(number);
        Entry {
            markup: String::new(),
            ..bare
        }
        .src("/away")
    };
    let head = Atom::foreign([Entry::foreign(14), away(13)]);
    serve(&fake, &head.link("next", "/2"));
    fake.at("/2", Reply::feed(Atom::of(9..=12).xml()));
    fake.at("/away", Reply::status(503));
    reader.fails().await;
    assert_eq!(reader.ids().await, ids(1..=12));
    // It restarts after the feed has moved on.
    let mut reader = reader.again(url, &fake.url("/feed")).await;
    serve(&fake, &Atom::of(31..=40));
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
    assert_eq!(reader.ids().await, ids(1..=12));
}

/// As if another instance had half of the partitions, and stopped earlier.
async fn a_feed_must_show_the_position_of_every_partition<B: Recording>(url: &str) {
    for (name, shown, halted) in [
        ("both are shown", 4..=14, false),
        ("the late one is not", 9..=18, true),
    ] {
        let fake = serving(&Atom::of(1..=4)).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=4)).await;
        let late = "DROP TABLE IF EXISTS late; CREATE TABLE late AS SELECT * FROM feed_partition";
        tables::run(url, late).await;
        serve(&fake, &Atom::of(3..=12));
        reader.takes(&ids(1..=12)).await;
        let back = format!(
            "UPDATE feed_partition SET anchor = (SELECT anchor FROM late WHERE subscription = '{name}'
                 AND late.partition = feed_partition.partition)
             WHERE subscription = '{name}' AND partition < 8"
        );
        let mut reader = reader.again(url, &fake.url("/feed")).await;
        tables::run(url, &back).await;
        serve(&fake, &Atom::of(shown));
        if halted {
            assert_eq!(reader.poll().await, Ok(Polled::Halted), "{name}");
        } else {
            reader.takes(&ids(1..=14)).await;
        }
    }
}

async fn an_entry_that_cannot_be_read_is_parked_alone<B: Recording>(url: &str) {
    for (name, wrong, why) in [
        (
            "date",
            Entry::new("tag:wrong", "the day before").text("x"),
            "the day before",
        ),
        (
            "character",
            Entry::new("tag:wrong", "2026-05-01T00:00:02Z").with("<content>a&#0;</content>"),
            "content",
        ),
    ] {
        let fake = serving(&Atom::foreign([
            Entry::foreign(3),
            wrong,
            Entry::foreign(1),
        ]))
        .await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.ids().await, ids([1, 3]));
        let parked = reader.parked().await.remove(0);
        assert_eq!(parked.id, "tag:wrong");
        let reason = parked.reason.unwrap_or_default();
        assert!(reason.contains(why), "{name}: {reason}");
    }
}

/// RFC 5005, section 4.2: an entry that was edited appears again where new ones do.
async fn old_entries_in_the_head_of_an_archive_hide_no_page<B: Recording>(url: &str) {
    for head in ["41 5'40", "43 42 41 7'40 6'40 5'40", "41 20'40 19'40"] {
        let page = |last: u32| {
            let page = Atom::of(last - 9..=last).archive();
            match last {
                10 => page,
                _ => page.link("prev-archive", &format!("/page/{}", last - 10)),
            }
        };
        let fake = Fake::start().await;
        for last in [10, 20, 30, 40] {
            fake.at(&format!("/page/{last}"), Reply::feed(page(last).xml()));
        }
        serve(&fake, &Atom::of(19..=20).link("prev-archive", "/page/20"));
        let name = head.replace('\'', " of ");
        let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=20)).await;
        serve(&fake, &feed(head).link("prev-archive", "/page/40"));
        reader.drain().await;
        let newest = head.split(' ').next().unwrap().parse().unwrap();
        let mut taken = reader.ids().await;
        taken.sort();
        let mut expected = ids(1..=newest);
        expected.sort();
        assert_eq!(taken, expected, "{head}");
    }
}

/// Also what was repeated before.
async fn what_the_head_of_an_archive_repeats_hides_no_page<B: Recording>(url: &str) {
    for (number, (before, after)) in [
        ("6 5 1'7", "14 13 1'7"),
        ("1'7 6 5", "1'7 14 13"),
        ("1'7 6 5", "14 13 1'7"),
        ("6 5", "14 13 6"),
        ("6 5 1'7", "1'7"),
        ("1'7 6 5", "1'7"),
        ("1'7", "1'7"),
    ]
    .into_iter()
    .enumerate()
    {
        for rule in ["published", "unpublished"] {
            let head = |entries: &str, page: u32| {
                let head = feed(entries).link("prev-archive", &format!("/page/{page}"));
                Reply::feed(head.xml().replace("published", rule))
            };
            let fake = Fake::start().await;
            for last in [4, 8, 12] {
                let page = Atom::of(last - 3..=last).archive();
                let page = match last {
                    4 => page,
                    _ => page.link("prev-archive", &format!("/page/{}", last - 4)),
                };
                fake.at(&format!("/page/{last}"), Reply::feed(page.xml()));
            }
            fake.at("/feed", head(before, 4));
            let name = format!("{number} {rule}");
            let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            reader.drain().await;
            fake.at("/feed", head(after, 12));
            reader.drain().await;
            let mut taken = reader.ids().await;
            taken.sort();
            let newest = if after.contains("14") { 14 } else { 12 };
            let mut expected = ids(1..=newest);
            expected.sort();
            assert_eq!(taken, expected, "{before}, then {after}, {rule}");
        }
    }
}

/// As from a cache, or from another server of the feed, which follows after a while or never.
async fn an_older_further_page_hides_no_entry<B: Recording>(url: &str) {
    for (name, follows) in [("it follows", true), ("it does not follow", false)] {
        let fake = serving(&Atom::of(21..=30).link("next", "/2")).await;
        let page = |numbers| Atom::of(numbers).link("next", "/3").xml();
        fake.at("/2", Reply::feed(page(11..=20)));
        fake.at("/3", Reply::feed(Atom::of(1..=10).xml()));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=30)).await;
        serve(&fake, &Atom::of(36..=45).link("next", "/2"));
        let asked = AtomicU32::new(0);
        fake.each("/2", move |_| {
            let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            Reply::feed(page(if is_first || !follows {
                11..=20
            } else {
                26..=35
            }))
        });
        fake.at("/3", Reply::feed(Atom::of(1..=25).xml()));
        fake.news();
        if follows {
            reader.takes(&ids(1..=45)).await;
        } else {
            assert_eq!(reader.poll().await, Ok(Polled::Halted));
            assert_eq!(reader.ids().await, ids(1..=30));
        }
        for asked in fake.news() {
            let cached = asked.path() == "/feed";
            let expected = (!cached).then_some("no-cache");
            assert_eq!(asked.header("cache-control"), expected, "{}", asked.target);
        }
    }
}

/// A walk back cannot continue where it has failed.
async fn a_further_page_is_asked_for_again<B: Recording>(url: &str) {
    let fake = serving(&Atom::of(11..=20).link("next", "/2")).await;
    let asked = AtomicU32::new(0);
    fake.each("/2", move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::status(503),
        1 => Reply::status(429).header("retry-after", "1"),
        _ => Reply::feed(Atom::of(1..=10).xml()),
    });
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=20)).await;
    assert_eq!(fake.targets(), ["/feed", "/2", "/2", "/2", "/feed"]);
}

/// Most of two documents was edited at once, and comes first.
async fn edits_of_many_entries_hide_no_page<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let serve_pages = |pages: &[String]| {
        for (number, entries) in pages.iter().enumerate() {
            let page = feed(entries);
            let page = match number + 1 < pages.len() {
                true => page.link("next", &format!("/{}", number + 1)),
                false => page,
            };
            let path = match number {
                0 => "/feed".to_owned(),
                older => format!("/{older}"),
            };
            fake.at(&path, Reply::feed(page.xml()));
        }
    };
    let down = |first: u32, last| (first..=last).rev().map(|n| n.to_string());
    let edited = |first: u32, last| (first..=last).rev().map(|n| format!("{n}'{}", n + 60));
    let page = |entries: Vec<String>| entries.join(" ");
    serve_pages(&[page(down(11, 20).collect()), page(down(1, 10).collect())]);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=20)).await;
    serve_pages(&[
        page(edited(11, 20).collect()),
        page(edited(6, 10).chain(down(56, 60)).collect()),
        page(down(41, 55).collect()),
        page(down(21, 40).collect()),
        page(down(1, 5).collect()),
    ]);
    reader.drain().await;
    let mut taken = reader.ids().await;
    taken.sort();
    let mut expected = ids(1..=60);
    expected.sort();
    assert_eq!(taken, expected);
}

/// It shows more entries than a window remembers.
async fn a_document_of_thousands_of_entries_continues<B: Recording>(url: &str) {
    let fake = serving(&Atom::of(1..=2_500)).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    for newest in [2_501, 2_502, 2_520] {
        serve(&fake, &Atom::of(1..=newest));
        reader.drain().await;
        assert_eq!(reader.status().await.halted, None);
        assert_eq!(reader.ids().await.len(), newest as usize);
    }
}

async fn a_document_that_shrinks_for_a_while_continues<B: Recording>(url: &str) {
    let fake = serving(&Atom::of(1..=300)).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    for shown in [Atom::of(291..=300), Atom::of(1..=301)] {
        serve(&fake, &shown);
        reader.drain().await;
        assert_eq!(reader.status().await.halted, None);
    }
    assert_eq!(reader.ids().await.len(), 301);
}

async fn pages_that_grow_or_lose_entries_continue<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let serve_pages = |head: Atom, older: Atom| {
        serve(&fake, &head.link("next", "/older"));
        fake.at("/older", Reply::feed(older.xml()));
    };
    serve_pages(Atom::of(101..=160), Atom::of(41..=100));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(41..=160)).await;
    let without = |numbers: std::ops::RangeInclusive<u32>, gone: &[u32]| {
        let numbers = numbers.rev().filter(|number| !gone.contains(number));
        Atom::foreign(numbers.map(Entry::foreign))
    };
    for (newest, head, older) in [
        // The newest one was deleted, and some on the page behind it.
        (
            161,
            without(102..=161, &[160]),
            without(42..=101, &[50, 60]),
        ),
        // Each shows more than before, and the newest one was deleted.
        (162, without(41..=162, &[160, 161]), Atom::of(1..=40)),
    ] {
        serve_pages(head, older);
        reader.drain().await;
        assert_eq!(reader.status().await.halted, None, "{newest}");
        assert!(reader.ids().await.contains(&ids([newest])[0]));
    }
}

/// As in a failover to a server that was behind, while the consumer runs: its position in memory is ahead of the stored one.
async fn a_database_that_lost_its_last_commits_applies_them_again<B: Recording>(url: &str) {
    let (fake, mut reader) = at_ten::<B>("order", url).await;
    tables::run(url, "CREATE TABLE kept AS SELECT * FROM feed_partition").await;
    let page = |entries: &str, older: &str| Reply::feed(feed(entries).link("next", older).xml());
    fake.at("/feed", page("20 19 18 17", "/2"));
    fake.at("/2", page("16 15 14 13", "/3"));
    fake.at("/3", Reply::feed(feed("12 11 10 9 8 7 6 5").xml()));
    reader.takes(&ids(1..=20)).await;
    let lost = ids(11..=20).join("', '");
    let position = ["anchor", "updated", "etag", "last_modified"];
    let position = position.map(|name| {
        format!(
            "{name} = (SELECT {name} FROM kept WHERE kept.partition = feed_partition.partition)"
        )
    });
    for sql in [
        format!("DELETE FROM effect WHERE event_id IN ('{lost}')"),
        format!("DELETE FROM feed_claim WHERE event_id IN ('{lost}')"),
        format!("UPDATE feed_partition SET {}", position.join(", ")),
    ] {
        tables::run(url, &sql).await;
    }
    fake.at("/feed", page("24 23 22 21", "/newer"));
    fake.at("/newer", page("20 19 18 17", "/2"));
    reader.takes(&ids(1..=24)).await;
}
