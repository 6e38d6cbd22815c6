//! Partitions of a feed without sequences change hands while it moves on by pages: their positions
//! differ, walks are interrupted, and the claims of another instance prove nothing about them.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;
use feed_core::consumer::Polled;
use harness::fake::{Atom, Entry, Fake, Reply};
use harness::{tables, until};

use crate::support::{Reader, Recording, ids};

harness::on_both_databases! {
    several_instances_take_each_entry_of_many_pages_once
    a_survivor_takes_what_the_others_left
    partitions_that_change_hands_lose_nothing
    a_window_that_moved_past_some_partitions_halts
    a_partition_without_a_window_keeps_those_of_others
}

/// Entries of a page.
const PAGE: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Pages of this many entries, linked by `next`.
    Paged(u32),
    /// Pages that stay as they are, and a head of what is in none.
    Archived,
    /// A head alone.
    Alone,
}

/// A feed as one life of an instance sees it.
#[derive(Debug, Clone, Copy)]
struct Feed {
    kind: Kind,
    newest: u32,
    /// An entry at the top of each document.
    pinned: Option<u32>,
    /// So many of the oldest entries were edited, and are in the first document, too.
    edited: u32,
    /// An entry whose data is away.
    away: Option<u32>,
}

impl Feed {
    fn new(kind: Kind, newest: u32) -> Self {
        Self {
            kind,
            newest,
            pinned: None,
            edited: 0,
            away: None,
        }
    }

    /// The document that a reader asks for first.
    fn first(self, numbers: RangeInclusive<u32>) -> Atom {
        let edited = (1..=self.edited).map(|number| {
            let entry = Entry::foreign(number);
            let published = format!("<published>{}</published>", entry.updated);
            Entry {
                updated: Entry::foreign(self.newest).updated,
                ..entry.with(&published)
            }
        });
        let mut document = self.document(numbers);
        document.entries.splice(0..0, edited);
        document
    }

    fn document(self, numbers: RangeInclusive<u32>) -> Atom {
        let numbers = numbers.rev();
        let pinned = self.pinned.into_iter();
        let entry = |number| match Some(number) == self.away {
            true => Entry::new(&ids([number])[0], &Entry::foreign(number).updated).src("/away"),
            false => Entry::foreign(number),
        };
        let pins = pinned.chain(numbers.filter(|number| Some(*number) != self.pinned));
        Atom::foreign(pins.map(entry))
    }

    fn serve(self, fake: &Fake) {
        fake.at("/away", Reply::status(503));
        let newest = self.newest;
        match self.kind {
            Kind::Paged(size) => {
                for page in 1..=newest.div_ceil(size) {
                    let last = newest - (page - 1) * size;
                    let numbers = last.saturating_sub(size - 1).max(1)..=last;
                    let mut feed = match page {
                        1 => self.first(numbers),
                        _ => self.document(numbers),
                    };
                    if last > size {
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
                    let feed = self.document((page - 1) * PAGE + 1..=page * PAGE).archive();
                    let feed = older(feed, page);
                    fake.at(&format!("/archive/{page}"), Reply::feed(feed.xml()));
                }
                let head = older(self.first(sealed * PAGE + 1..=newest), sealed + 1);
                fake.at("/feed", Reply::feed(head.xml()));
            }
            Kind::Alone => {
                let first = newest.saturating_sub(PAGE - 1).max(1);
                fake.at("/feed", Reply::feed(self.document(first..=newest).xml()));
            }
        }
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

async fn several_instances_take_each_entry_of_many_pages_once<B: Recording>(url: &str) {
    for count in [2, 4] {
        let fake = Fake::start().await;
        let mut feed = Feed::new(Kind::Paged(PAGE), 50);
        feed.serve(&fake);
        let name = format!("of {count}");
        let mut seen = Vec::new();
        for n in 0..count {
            // Each sees the feed at other moments.
            let interval = Duration::from_millis(10 + 40 * n);
            let feed = fake.url("/feed");
            let instance = n.to_string();
            let reader = Reader::<B>::with(&name, &instance, interval, url, &feed).await;
            seen.push(reader.run());
        }
        let seen = &seen[0];
        until("all have partitions", async || {
            let owners = format!(
                "SELECT count(DISTINCT lease_owner) FROM feed_partition WHERE subscription = '{name}'"
            );
            (seen.number(&owners).await == count as i64).then_some(())
        })
        .await;
        for _ in 0..6 {
            seen.has(feed.newest as usize).await;
            feed.newest += 40;
            feed.serve(&fake);
        }
        seen.has(feed.newest as usize).await;
        assert_eq!(sorted(seen.ids().await), sorted(ids(1..=feed.newest)));
        assert_eq!(seen.status().await.halted, None);
    }
}

/// Gives some partitions to an instance that does nothing, and the others to nobody.
async fn hand_over(url: &str, name: &str, kept: &HashSet<i64>) {
    let kept: Vec<String> = kept.iter().map(i64::to_string).collect();
    let kept = kept.join(", ");
    let until = "(SELECT max(lease_until) FROM feed_partition)";
    tables::run(
        url,
        &format!("DELETE FROM feed_instance WHERE subscription = '{name}'"),
    )
    .await;
    tables::run(
        url,
        &format!(
            "UPDATE feed_partition SET lease_owner = 'another', lease_until = {until}
             WHERE subscription = '{name}';
             UPDATE feed_partition SET lease_owner = NULL
             WHERE subscription = '{name}' AND partition IN ({kept})"
        ),
    )
    .await;
}

/// An instance that is killed, and one that has taken its share and then takes over the rest.
async fn a_survivor_takes_what_the_others_left<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut feed = Feed::new(Kind::Paged(PAGE), 10);
    feed.serve(&fake);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    feed.newest = 60;
    feed.serve(&fake);
    for kept in [0..8, 0..16] {
        drop(reader);
        hand_over(url, "order", &kept.collect()).await;
        reader = Reader::<B>::open(url, &fake.url("/feed")).await;
        reader.drain().await;
    }
    assert_eq!(sorted(reader.ids().await), sorted(ids(1..=60)));
}

async fn partitions_that_change_hands_lose_nothing<B: Recording>(url: &str) {
    for seed in 0..8 {
        let mut rng = Rng::with_seed(seed);
        let kinds = [
            Kind::Paged(PAGE),
            Kind::Archived,
            Kind::Paged(2),
            Kind::Paged(1),
        ];
        let kind = kinds[seed as usize % 4];
        let mut feed = Feed {
            pinned: rng.bool().then_some(4),
            ..Feed::new(kind, 20)
        };
        let name = format!("seed {seed}: {kind:?}, {:?}", feed.pinned);
        let fake = Fake::start().await;
        feed.serve(&fake);
        let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
        reader.drain().await;
        for _ in 0..5 {
            drop(reader);
            let before = feed.newest;
            feed.newest += rng.u32(0..45);
            feed.edited = rng.u32(0..4);
            feed.away =
                (rng.bool() && before < feed.newest).then(|| rng.u32(before + 1..=feed.newest));
            feed.serve(&fake);
            let some = rng.i64(1..=15);
            let kept = (0..16).filter(|_| rng.i64(0..16) < some).chain([some]);
            hand_over(url, &name, &kept.collect()).await;
            reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            for _ in 0..rng.u32(1..3) {
                let polled = reader.poll().await;
                assert_ne!(polled, Ok(Polled::Halted), "{name}");
            }
        }
        drop(reader);
        feed.away = None;
        feed.serve(&fake);
        hand_over(url, &name, &(0..16).collect()).await;
        let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(
            sorted(reader.ids().await),
            sorted(ids(1..=feed.newest)),
            "{name}"
        );
        assert_eq!(reader.status().await.halted, None, "{name}");
    }
}

/// A feed without further documents: what it shows no longer is lost, and must be reported. What is shown
/// to all partitions in time does not halt it.
async fn a_window_that_moved_past_some_partitions_halts<B: Recording>(url: &str) {
    let (mut halts, mut complete) = (0, 0);
    for seed in 0..12 {
        let mut rng = Rng::with_seed(seed);
        let mut feed = Feed::new(Kind::Alone, 10);
        let name = format!("seed {seed}");
        let fake = Fake::start().await;
        feed.serve(&fake);
        let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
        reader.drain().await;
        let (patient, mut halted) = (seed % 2 == 0, false);
        for _ in 0..6 {
            feed.newest += rng.u32(1..9);
            feed.serve(&fake);
            let some: HashSet<i64> = (0..16).filter(|_| rng.bool()).chain([3]).collect();
            let others = (0..16)
                .filter(|one| patient && !some.contains(one))
                .collect();
            for kept in [some.clone(), others] {
                if kept.is_empty() || halted {
                    continue;
                }
                drop(reader);
                hand_over(url, &name, &kept).await;
                reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
                halted = reader.poll().await == Ok(Polled::Halted);
            }
        }
        if !halted {
            drop(reader);
            hand_over(url, &name, &(0..16).collect()).await;
            reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
            halted = reader.poll().await == Ok(Polled::Halted);
        }
        assert!(!(patient && halted), "{name}: nothing is missing");
        let taken = sorted(reader.ids().await);
        let whole = taken == sorted(ids(1..=feed.newest));
        assert!(
            halted || whole,
            "{name}: {} of {}",
            taken.len(),
            feed.newest
        );
        let once: HashSet<&String> = taken.iter().collect();
        assert_eq!(once.len(), taken.len(), "{name}");
        halts += u32::from(halted);
        complete += u32::from(whole);
    }
    assert!(
        halts > 1 && complete > 1,
        "{halts} halts, {complete} complete"
    );
}

/// An instance has read the feed, another one was killed in its first read, and the survivor is interrupted in its next.
async fn a_partition_without_a_window_keeps_those_of_others<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut feed = Feed::new(Kind::Paged(PAGE), 20);
    feed.serve(&fake);
    drop(Reader::<B>::open(url, &fake.url("/feed")).await);
    hand_over(url, "order", &(0..8).collect()).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    let taken = reader.ids().await;
    // What is on the older page is applied before.
    feed.away = (11..=20).find(|number| !taken.contains(&ids([*number])[0]));
    feed.serve(&fake);
    drop(reader);
    hand_over(url, "order", &(0..16).collect()).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let _ = reader.poll().await;
    assert!(reader.ids().await.len() > taken.len());
    let windows = "SELECT count(*) FROM feed_partition WHERE anchor IS NOT NULL";
    assert_eq!(reader.number(windows).await, 8);
    feed = Feed::new(Kind::Alone, 50);
    feed.serve(&fake);
    assert_eq!(reader.poll().await, Ok(Polled::Halted));
}
