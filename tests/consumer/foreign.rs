//! Any Atom feed works: what RFC 4287 leaves open changes nothing.

use harness::Original;
use harness::fake::{Atom, Entry, Fake, Reply};

use crate::support::{Reader, Recording, ids, serving};

harness::on_both_databases! {
    the_feed_of_the_original_is_read_repeatedly
    the_order_of_entries_has_no_meaning
    ids_are_compared_character_by_character
    a_link_without_rel_is_not_followed
    dates_in_all_their_forms_are_read
    foreign_markup_and_signatures_are_passed_over
    another_namespace_with_our_prefix_is_not_ours
    relative_addresses_have_a_base
    an_entry_may_have_a_base_of_its_own
    a_link_may_have_a_base_of_its_own
    the_public_address_of_a_feed_has_a_base
    after_a_redirect_the_new_address_is_the_base
}

async fn the_feed_of_the_original_is_read_repeatedly<B: Recording>(url: &str) {
    let original = Original::default();
    let mut reader = Reader::<B>::open(url, &original.serve().await).await;
    let id = |n: &u32| format!("tag:example.com/microservice-atom/order/{n}");
    for (place, seen) in [([7, 3], [3, 7].as_slice()), ([20, 11], &[3, 7, 11, 20])] {
        for id in place {
            original.place(id);
        }
        reader.takes(&seen.iter().map(id).collect::<Vec<_>>()).await;
    }
    assert!(reader.data().await[1].contains("\"id\": 7"));
}

async fn the_order_of_entries_has_no_meaning<B: Recording>(url: &str) {
    for (name, order) in [
        ("newest first", [5, 4, 3, 2, 1]),
        ("oldest first", [1, 2, 3, 4, 5]),
        ("shuffled", [3, 5, 1, 4, 2]),
    ] {
        let fake = serving(&Atom::foreign(order.map(Entry::foreign))).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=5)).await;
    }
}

async fn ids_are_compared_character_by_character<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let alike = [
        "/events/%7Ea",
        "/events/~a",
        "/events/%7ea",
        "/events/~A",
        "/events/./~a",
        "/events/~a/",
        "/events/~a#",
    ];
    let alike: Vec<String> = alike.iter().map(|path| fake.url(path)).collect();
    let of = |ids: &[String]| {
        let entries = ids.iter().zip(1..).map(|(id, number)| {
            let known = Entry::foreign(number);
            Entry {
                id: id.clone(),
                ..known
            }
        });
        Reply::feed(Atom::foreign(entries).xml())
    };
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // Later ones are new, however similar to a known one.
    for known in [1, 3, alike.len()] {
        fake.at("/feed", of(&alike[..known]));
        reader.takes(&alike[..known]).await;
    }
    let elsewhere = fake.asked().iter().any(|asked| asked.target != "/feed");
    assert!(!elsewhere, "an id is no address: {:?}", fake.asked());
}

async fn a_link_without_rel_is_not_followed<B: Recording>(url: &str) {
    let entry = Entry::foreign(1).with("<link href=\"/order/1\"/><link href=\"\"/>");
    let feed = Atom::foreign([Entry::foreign(2), entry]);
    let fake = serving(&feed.with("<link href=\"/index.html\"/>")).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    assert!(fake.targets().iter().all(|target| target == "/feed"));
}

async fn dates_in_all_their_forms_are_read<B: Recording>(url: &str) {
    // In their order in time, which is not their order as text.
    let dates = [
        "2015-06-30T23:59:60Z",
        "2016-12-31T23:59:60.25Z",
        "2017-01-01T00:59:60.5+01:00",
        "2017-05-01T12:00:01+02:00",
        "2017-05-01T10:00:02.5Z",
        "2017-05-01T10:00:02.500000001Z",
        "2017-05-01T05:00:03-05:00",
        "2017-05-01T10:00:04-00:00",
        "2017-05-01T10:00:05.123456789123Z",
        "9999-12-31T23:59:59Z",
    ];
    let mut entries: Vec<Entry> = dates
        .iter()
        .map(|date| Entry::new(&format!("tag:{date}"), date).text("x"))
        .collect();
    entries.rotate_left(4);
    let published = "<published>2016-12-31T23:59:60Z</published>";
    entries[0] = entries[0].clone().with(published);
    let fake = serving(&Atom::foreign(entries)).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&dates.map(|date| format!("tag:{date}"))).await;
}

async fn foreign_markup_and_signatures_are_passed_over<B: Recording>(url: &str) {
    let signature = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
                     <ds:Reference URI=\"\"><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>\
                     </ds:SignedInfo><ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>";
    // Names of Atom's own elements, in another namespace.
    let traps = "<x:id>trap</x:id><x:updated>never</x:updated><x:content src=\"/trap\"/>\
                 <x:link rel=\"next\" href=\"/trap\"/><x:entry><id>trap</id></x:entry>\
                 <plain xmlns=\"urn:none\"><id>trap</id><link rel=\"next\" href=\"/trap\"/></plain>";
    let inside = "<link rel=\"alternate\" href=\"/1\" x:a=\"1\"><x:b><x:c/>text</x:b></link>\
                  <author><name>A</name><x:b/></author><!-- <id>trap</id> --><?php trap ?>";
    let entry = Entry::foreign(1).with(&format!("{signature}{traps}{inside}"));
    let feed = Atom::foreign([Entry::foreign(2), entry])
        .attribute("xmlns:x", "urn:foreign")
        .attribute("x:mood", "good")
        .with(&format!("{signature}{traps}{inside}"));
    let fake = serving(&feed).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    assert_eq!(reader.data().await, ["{\"id\":1}", "{\"id\":2}"]);
    assert!(fake.targets().iter().all(|target| target == "/feed"));
}

async fn another_namespace_with_our_prefix_is_not_ours<B: Recording>(url: &str) {
    let entry =
        |number| Entry::foreign(number).with("<event:sequence>7</event:sequence><event:subject/>");
    let feed = Atom::foreign([entry(2), entry(1)])
        .attribute("xmlns:event", "urn:another")
        .with("<event:cursor>tomorrow</event:cursor><event:epoch>stone</event:epoch>");
    let fake = serving(&feed).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
}

/// Answers each address with itself, so that the data shows where it came from.
async fn echoing() -> Fake {
    let fake = Fake::start().await;
    fake.each("/*", |asked| {
        Reply::ok("application/json", asked.target.clone())
    });
    fake
}

async fn relative_addresses_have_a_base<B: Recording>(url: &str) {
    let entry = |number, src: &str, base: &str| {
        let content = format!("<content type=\"application/json\" {base} src=\"{src}\"/>");
        let bare = Entry::foreign(number);
        Entry {
            markup: content,
            ..bare
        }
    };
    let fake = echoing().await;
    let feed = Atom::foreign([
        entry(1, "1", ""),
        entry(2, "/2", ""),
        entry(3, "3", "xml:base=\"deep/er/\""),
        entry(4, "4", "xml:base=\"/other/\""),
        entry(5, "?five", ""),
    ]);
    let feed = feed.attribute("xml:base", "/base/of/");
    fake.at("/some/feed", Reply::feed(feed.link("next", "older").xml()));
    let older = Atom::foreign([entry(0, "0", "")]);
    fake.at("/base/of/older", Reply::feed(older.xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/some/feed")).await;
    reader.takes(&ids(0..=5)).await;
    let from = [
        "/base/of/0",
        "/base/of/1",
        "/2",
        "/base/of/deep/er/3",
        "/other/4",
        "/base/of/?five",
    ];
    assert_eq!(reader.data().await, from);
}

async fn an_entry_may_have_a_base_of_its_own<B: Recording>(url: &str) {
    let fake = echoing().await;
    let entry = Entry::new("tag:one", "2026-05-01T00:00:00Z").src("1").xml();
    let entry = entry.replace("<entry>", "<entry xml:base=\"own/\">");
    let feed = Atom::foreign([]).attribute("xml:base", "/base/");
    fake.at(
        "/feed",
        Reply::feed(feed.xml().replace("</feed>", &format!("{entry}</feed>"))),
    );
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&["tag:one".to_owned()]).await;
    assert_eq!(reader.data().await, ["/base/own/1"]);
}

async fn a_link_may_have_a_base_of_its_own<B: Recording>(url: &str) {
    let link = "<link xml:base=\"archive/\" rel=\"next\" href=\"1\"/>";
    let fake = Fake::start().await;
    let feed = Atom::of(4..=6).attribute("xml:base", "/base/").with(link);
    fake.at("/feed", Reply::feed(feed.xml()));
    fake.at("/base/archive/1", Reply::feed(Atom::of(1..=3).xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=6)).await;
}

/// Its links are public, and it is read from an internal address.
async fn the_public_address_of_a_feed_has_a_base<B: Recording>(url: &str) {
    for (name, feed, own) in [
        ("of the feed", "https://shop.example/public/", ""),
        (
            "of the link",
            "/",
            "xml:base=\"https://shop.example/public/\"",
        ),
    ] {
        let own = format!("<link rel=\"self\" {own} href=\"feed\"/>");
        let next = "<link rel=\"next\" href=\"https://shop.example/public/older\"/>";
        let document = Atom::of(4..=6)
            .attribute("xml:base", feed)
            .with(&own)
            .with(next);
        let fake = Fake::start().await;
        fake.at("/internal/feed", Reply::feed(document.xml()));
        fake.at("/internal/older", Reply::feed(Atom::of(1..=3).xml()));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/internal/feed")).await;
        reader.takes(&ids(1..=6)).await;
    }
}

async fn after_a_redirect_the_new_address_is_the_base<B: Recording>(url: &str) {
    for (name, base, from) in [
        ("none", None, "/moved/1"),
        ("relative", Some("sub/"), "/moved/sub/1"),
    ] {
        let fake = echoing().await;
        fake.at("/feed", Reply::redirect(302, "/moved/feed"));
        let entry = Entry::new("tag:one", "2026-05-01T00:00:00Z").src("1");
        let feed = Atom::foreign([entry]);
        let feed = match base {
            Some(base) => feed.attribute("xml:base", base),
            None => feed,
        };
        fake.at("/moved/feed", Reply::feed(feed.xml()));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&["tag:one".to_owned()]).await;
        assert_eq!(reader.data().await, [from]);
    }
}
