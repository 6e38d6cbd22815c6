//! Feeds in many documents: at first all of it, oldest first, each page once; later only what is
//! new.

use harness::fake::{Atom, Entry, Fake, Reply};

use crate::support::{Reader, Recording, assert_says, ids, serving};

harness::on_both_databases! {
    a_paged_feed_is_read_from_its_beginning
    an_archived_feed_is_read_from_its_beginning
    later_rounds_stop_at_the_first_known_entry
    the_latest_state_of_a_repeated_entry_counts
    a_page_that_is_gone_holds_all_that_is_newer
    a_gap_in_the_middle_holds_all_that_is_newer
    a_page_that_is_gone_holds_nothing_where_the_head_is_enough
    pages_that_link_in_a_circle_are_detected
    a_relation_may_be_written_as_an_address_or_in_capitals
    a_page_for_people_is_not_the_next_document
    a_page_for_people_alone_ends_a_feed
}

/// Entries of a page.
const PAGE: u32 = 10;

/// Which way a feed's documents lead to older ones.
#[derive(Clone, Copy)]
enum Kind {
    /// RFC 5005, section 3: pages whose entries move to older pages as new ones are added.
    Paged,
    /// RFC 5005, section 4: pages that stay as they are.
    Archived,
}

/// Puts a feed of that many entries on a server.
fn serve(fake: &Fake, kind: Kind, newest: u32) {
    match kind {
        Kind::Paged => {
            let pages = newest.div_ceil(PAGE);
            for page in 1..=pages {
                let last = newest - (page - 1) * PAGE;
                let mut feed = Atom::of(last.saturating_sub(PAGE - 1).max(1)..=last)
                    .link("first", "/feed")
                    .link("last", &format!("/feed?page={pages}"));
                if page > 1 {
                    feed = feed.link("previous", &format!("/feed?page={}", page - 1));
                }
                if page < pages {
                    feed = feed.link("next", &format!("/feed?page={}", page + 1));
                }
                fake.at(&format!("/feed?page={page}"), Reply::feed(feed.xml()));
                if page == 1 {
                    fake.at("/feed", Reply::feed(feed.xml()));
                }
            }
        }
        Kind::Archived => {
            let sealed = (newest - 1) / PAGE;
            let older = |feed: Atom, page: u32| match page {
                1 => feed,
                _ => feed.link("prev-archive", &format!("/archive/{}", page - 1)),
            };
            for page in 1..=sealed {
                let feed = Atom::of((page - 1) * PAGE + 1..=page * PAGE).archive();
                let feed = feed.link("current", "/feed");
                let feed = feed.link("next-archive", &format!("/archive/{}", page + 1));
                let feed = older(feed, page);
                fake.at(&format!("/archive/{page}"), Reply::feed(feed.xml()));
            }
            let head = Atom::of(sealed * PAGE + 1..=newest).link("self", "/feed");
            fake.at("/feed", Reply::feed(older(head, sealed + 1).xml()));
        }
    }
}

async fn a_paged_feed_is_read_from_its_beginning<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve(&fake, Kind::Paged, 37);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.poll().await.unwrap();
    let pages = ["/feed", "/feed?page=2", "/feed?page=3", "/feed?page=4"];
    assert_eq!(fake.targets(), pages, "each page once, in one round");
    reader.takes(&ids(1..=37)).await;
    let data = reader.data().await;
    assert_eq!(
        (data[0].as_str(), data[36].as_str()),
        ("{\"id\":1}", "{\"id\":37}")
    );
}

async fn an_archived_feed_is_read_from_its_beginning<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve(&fake, Kind::Archived, 37);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.poll().await.unwrap();
    let pages = ["/feed", "/archive/3", "/archive/2", "/archive/1"];
    assert_eq!(fake.targets(), pages, "each page once, in one round");
    reader.takes(&ids(1..=37)).await;
}

async fn later_rounds_stop_at_the_first_known_entry<B: Recording>(url: &str) {
    for (name, kind, few, many) in [
        ("paged", Kind::Paged, 0, ["/feed?page=2", "/feed?page=3"]),
        ("archived", Kind::Archived, 0, ["/archive/5", "/archive/4"]),
    ] {
        let fake = Fake::start().await;
        serve(&fake, kind, 33);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=33)).await;
        fake.news();
        // Two more: known entries are beside them.
        serve(&fake, kind, 35);
        reader.poll().await.unwrap();
        let older = fake.targets().len() - 1;
        assert_eq!(older, few, "{name}");
        // So many that they span three documents; in the last of them there is a known one.
        serve(&fake, kind, 57);
        reader.poll().await.unwrap();
        assert_eq!(fake.targets()[1..], many, "{name}");
        reader.takes(&ids(1..=57)).await;
        // Nothing new costs one request.
        fake.news();
        reader.poll().await.unwrap();
        assert_eq!(fake.targets(), ["/feed"], "{name}");
    }
}

async fn the_latest_state_of_a_repeated_entry_counts<B: Recording>(url: &str) {
    let state = |updated: &str, data: &str| {
        let at = format!("2026-05-01T00:00:{updated}Z");
        Entry::new("tag:twice", &at).text(data)
    };
    let (old, new) = (state("01", "old"), state("02", "new"));
    let other = Entry::foreign(50);
    let tie = |data| state("02", data);
    for (name, head, page) in [
        (
            "in the head",
            vec![new.clone(), other.clone()],
            vec![old.clone()],
        ),
        (
            "in the page",
            vec![old.clone(), other.clone()],
            vec![new.clone()],
        ),
        (
            "newer first",
            vec![new.clone(), old.clone(), other.clone()],
            vec![],
        ),
        ("older first", vec![old, new, other.clone()], vec![]),
        // Of the same date, the one in the document that was changed last.
        ("a tie", vec![tie("new"), other], vec![tie("old")]),
    ] {
        let mut head = Atom::foreign(head).link("prev-archive", "/page");
        "2026-05-02T00:00:00Z".clone_into(&mut head.updated);
        let fake = serving(&head).await;
        let page = Atom::foreign(page).archive().link("current", "/feed");
        fake.at("/page", Reply::feed(page.xml()));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let [fifty] = ids([50]).try_into().unwrap();
        reader.takes(&["tag:twice".to_owned(), fifty]).await;
        assert_eq!(reader.data().await[0], "new", "{name}");
    }
}

async fn a_page_that_is_gone_holds_all_that_is_newer<B: Recording>(url: &str) {
    for status in [403_u16, 404, 410] {
        let fake = Fake::start().await;
        serve(&fake, Kind::Archived, 37);
        fake.at("/archive/1", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        for _ in 0..2 {
            let error = reader.fails().await;
            assert!(error.contains("/archive/1"), "{error}");
            assert!(error.contains(&status.to_string()), "{error}");
            assert_eq!(reader.ids().await, ids([]), "nothing from beyond the hole");
        }
        assert_eq!(reader.status().await.halted, None);
        serve(&fake, Kind::Archived, 37);
        reader.takes(&ids(1..=37)).await;
    }
}

async fn a_gap_in_the_middle_holds_all_that_is_newer<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve(&fake, Kind::Archived, 15);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=15)).await;
    serve(&fake, Kind::Archived, 48);
    fake.at("/archive/3", Reply::status(404));
    let error = reader.fails().await;
    assert!(error.contains("/archive/3"), "{error}");
    assert_eq!(reader.ids().await, ids(1..=15));
    serve(&fake, Kind::Archived, 52);
    reader.takes(&ids(1..=52)).await;
}

/// The head shows the newest entry of before where it belongs.
async fn a_page_that_is_gone_holds_nothing_where_the_head_is_enough<B: Recording>(url: &str) {
    for (name, status, address, is_gone) in [
        ("404", 404, "/feed?page=2", true),
        ("410", 410, "/feed?page=2", true),
        ("elsewhere", 200, "http://other.example/feed?page=2", true),
        ("403", 403, "/feed?page=2", false),
        ("500", 500, "/feed?page=2", false),
    ] {
        let fake = Fake::start().await;
        serve(&fake, Kind::Paged, 20);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=20)).await;
        fake.at("/feed?page=2", Reply::status(status));
        for newest in [23, 29] {
            let head = Atom::of(newest - 9..=newest).link("next", address);
            fake.at("/feed", Reply::feed(head.xml()));
            if is_gone || newest == 23 {
                reader.takes(&ids(1..=newest)).await;
            } else {
                reader.fails().await;
            }
        }
        // It does not show what came after that one.
        let head = Atom::of(41..=50).link("next", address);
        fake.at("/feed", Reply::feed(head.xml()));
        reader.fails().await;
        assert_eq!(reader.status().await.halted, None);
        serve(&fake, Kind::Paged, 50);
        reader.takes(&ids(1..=50)).await;
    }
}

async fn pages_that_link_in_a_circle_are_detected<B: Recording>(url: &str) {
    for rel in ["next", "prev-archive"] {
        for (name, way) in [
            ("two", vec!["/one", "/two", "/one"]),
            ("three", vec!["/one", "/two", "/three", "/one"]),
            ("the head", vec!["/one", "/feed"]),
        ] {
            let fake = serving(&Atom::of(30..=32).link(rel, way[0])).await;
            for (number, step) in (0..).zip(way.windows(2)) {
                let page = Atom::of(number * 10 + 1..=number * 10 + 3).link(rel, step[1]);
                fake.at(step[0], Reply::feed(page.xml()));
            }
            let name = format!("{rel} to {name}");
            let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            let error = reader.fails().await;
            assert_says(
                &error,
                &["circle", "cycle", "loop", "twice", "again", "already"],
            );
            assert_eq!(reader.ids().await, ids([]), "{name}");
            let asked = fake.asked().len();
            assert!(asked <= way.len() + 1, "{name}: {asked} requests");
            // Corrected, it is read.
            fake.at("/feed", Reply::feed(Atom::of(30..=32).xml()));
            reader.takes(&ids(30..=32)).await;
        }
    }
}

/// RFC 4287, 4.2.7.2; RFC 8288, 2.1.1.
async fn a_relation_may_be_written_as_an_address_or_in_capitals<B: Recording>(url: &str) {
    let iana = "http://www.iana.org/assignments/relation/";
    for rel in ["prev-archive", "next", "Prev-Archive", "NEXT"] {
        for written in [rel.to_owned(), format!("{iana}{rel}")] {
            let fake = serving(&Atom::of(4..=6).link(&written, "/older")).await;
            fake.at("/older", Reply::feed(Atom::of(1..=3).xml()));
            let mut reader = Reader::<B>::of(&written, url, &fake.url("/feed")).await;
            reader.takes(&ids(1..=6)).await;
        }
    }
}

async fn a_page_for_people_is_not_the_next_document<B: Recording>(url: &str) {
    for (n, media_type) in [
        "",
        "type=\"application/atom+xml; charset=utf-8\"",
        "type=\"text/xml\"",
    ]
    .into_iter()
    .enumerate()
    {
        let links = format!(
            "<link rel=\"next\" type=\"text/html\" href=\"/page\"/>\
             <link rel=\"next\" {media_type} href=\"/older\"/>"
        );
        let fake = serving(&Atom::of(4..=6).with(&links)).await;
        fake.at("/page", Reply::ok("text/html", "<html>Page 2</html>"));
        fake.at("/older", Reply::feed(Atom::of(1..=3).xml()));
        let mut reader = Reader::<B>::of(&format!("{n}"), url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=6)).await;
    }
}

/// Nothing else is the next document of this feed.
async fn a_page_for_people_alone_ends_a_feed<B: Recording>(url: &str) {
    for rel in ["next", "prev-archive"] {
        let page = format!("<link rel=\"{rel}\" type=\"text/html\" href=\"/page\"/>");
        let fake = serving(&Atom::of(1..=3).with(&page)).await;
        let mut reader = Reader::<B>::of(rel, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=3)).await;
        assert!(!fake.targets().contains(&"/page".to_owned()));
    }
}
