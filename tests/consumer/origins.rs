//! A feed must not make us fetch from another origin. "Another" is a second server that must get no
//! request.

use harness::fake::{Atom, Entry, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, credentials, ids, numbered, serving};

harness::on_both_databases! {
    content_elsewhere_is_parked_alone
    a_page_elsewhere_is_an_error
    a_batch_elsewhere_is_not_fetched
    a_feed_that_moves_elsewhere_is_an_error
    a_base_elsewhere_is_refused
    credentials_go_to_the_origin_of_the_feed_alone
    credentials_from_a_file_go_to_the_origin_of_the_feed_alone
    refused_credentials_are_read_again
}

/// A server with everything that a feed could link to.
async fn elsewhere() -> Fake {
    let other = Fake::start().await;
    other.each("/*", |_| Reply::feed(Atom::of(1..=9).xml()));
    other
}

fn assert_untouched(other: &Fake) {
    let asked = other.asked();
    assert!(asked.is_empty(), "asked at another origin: {asked:?}");
}

async fn content_elsewhere_is_parked_alone<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let home = Fake::start().await;
    home.at("/moved", Reply::redirect(302, &other.url("/moved")));
    home.at("/good", Reply::ok("application/json", "{}"));
    let host = other.url("").replace("http:", "");
    let addresses = [
        other.url("/src"),
        format!("{host}/without-scheme"),
        "/moved".to_owned(),
        home.url("/good").replace("127.0.0.1", "localhost"),
        other.url("/").replace("http://", "http://127.0.0.1:80@"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:application/json,{}".to_owned(),
        "http://[".to_owned(),
    ];
    let numbered = addresses.iter().zip(10..);
    let entry = |(src, number): (&String, u32)| {
        let bare = Entry::new(&ids([number])[0], &Entry::foreign(number).updated);
        bare.src(src)
    };
    let good = Entry::new(&ids([9])[0], "2026-01-01T00:00:00Z").src("/good");
    let good = [good, Entry::foreign(50)];
    home.at(
        "/feed",
        Reply::feed(Atom::foreign(numbered.map(entry).chain(good)).xml()),
    );
    let mut reader = Reader::<B>::open(url, &home.url("/feed")).await;
    reader.drain().await;
    assert_untouched(&other);
    assert_eq!(reader.ids().await, ids([9, 50]));
    let parked = reader.parked().await;
    let mut reasons = parked.iter().map(|event| event.reason.clone());
    assert!(reasons.all(|reason| reason.is_some_and(|reason| !reason.is_empty())));
    let parked: Vec<_> = parked.into_iter().map(|event| event.id).collect();
    assert_eq!(parked, ids(10..21));
}

async fn a_page_elsewhere_is_an_error<B: Recording>(url: &str) {
    let other = elsewhere().await;
    for (name, rel, href) in [
        ("prev-archive", "prev-archive", other.url("/page")),
        ("next", "next", other.url("/page")),
        ("redirected", "prev-archive", "/moved".to_owned()),
        ("file", "next", "file:///etc/passwd".to_owned()),
    ] {
        let home = serving(&Atom::of(10..=12).link(rel, &href)).await;
        home.at("/moved", Reply::redirect(301, &other.url("/page")));
        let mut reader = Reader::<B>::of(name, url, &home.url("/feed")).await;
        reader.fails().await;
        assert_eq!(reader.ids().await, ids([]), "{name}");
        assert_untouched(&other);
        home.at("/feed", Reply::feed(Atom::of(10..=12).xml()));
        reader.takes(&ids(10..=12)).await;
    }
}

async fn a_batch_elsewhere_is_not_fetched<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let home = numbered(3).await;
    let feed = Numbered::new(3).head().xml();
    let moved = feed.replace("\"/batch/", &format!("\"{}", other.url("/batch/")));
    assert_ne!(feed, moved);
    home.at("/feed", Reply::feed(moved));
    let mut reader = Reader::<B>::open(url, &home.url("/feed")).await;
    // Whether it is refused with the document or without: each event is fetched at home, or none.
    let _ = reader.poll().await;
    assert_untouched(&other);
    home.at("/batch/*", Reply::redirect(302, &other.url("/batch")));
    home.at("/feed", Reply::feed(feed));
    let _ = reader.poll().await;
    assert_untouched(&other);
    Numbered::new(4).serve(&home);
    reader.takes(&Numbered::ids(4)).await;
    assert_eq!(reader.data().await[0], Numbered::data(1));
}

async fn a_feed_that_moves_elsewhere_is_an_error<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let home = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &home.url("/feed")).await;
    for status in [301, 302, 303, 307, 308] {
        home.at("/feed", Reply::redirect(status, &other.url("/feed")));
        reader.fails().await;
        // Nor through a second redirect.
        home.at("/feed", Reply::redirect(status, "/around"));
        home.at("/around", Reply::redirect(status, &other.url("/feed")));
        reader.fails().await;
        assert_untouched(&other);
        assert_eq!(reader.ids().await, ids([]));
    }
    // Where it moved to is not remembered.
    home.forget("/around");
    home.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
    home.at("/around", Reply::feed(Atom::of(1..=2).xml()));
    reader.takes(&ids(1..=2)).await;
    assert_untouched(&other);
}

async fn a_base_elsewhere_is_refused<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let entry = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("data");
    let feed = Atom::foreign([entry, Entry::foreign(2)]);
    let home = serving(&feed.attribute("xml:base", &other.url("/"))).await;
    home.at("/data", Reply::ok("application/json", "{}"));
    let mut reader = Reader::<B>::open(url, &home.url("/feed")).await;
    reader.drain().await;
    assert_untouched(&other);
    assert_eq!(reader.ids().await, ids([2]));
    assert_eq!(reader.parked().await[0].id, ids([1])[0]);
}

async fn credentials_go_to_the_origin_of_the_feed_alone<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let entry = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("/data");
    let feed = Atom::foreign([entry, Entry::foreign(2)]);
    let home = serving(&feed).await;
    home.at("/data", Reply::redirect(302, &other.url("/data")));
    let address = home.url("/feed").replace("http://", "http://user:secret@");
    let mut reader = Reader::<B>::open(url, &address).await;
    let _ = reader.poll().await;
    assert_untouched(&other);
    let head = home.asked().remove(0);
    assert_eq!(head.header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    // Nor into the status.
    let parked = reader.parked().await;
    let status = format!("{:?}{parked:?}", reader.status().await);
    assert!(!status.contains("secret"), "{status}");
}

async fn credentials_from_a_file_go_to_the_origin_of_the_feed_alone<B: Recording>(url: &str) {
    let other = elsewhere().await;
    let (_directory, shown) = credentials("user:secret");
    let entry = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("/data");
    let there = Entry::new(&ids([2])[0], "2026-05-01T00:00:00Z").src(&other.url("/data"));
    let moved = Entry::new(&ids([3])[0], "2026-05-01T00:00:00Z").src("/moved");
    let feed = Atom::foreign([entry, there, moved]);
    let home = serving(&feed.link("next", "/page")).await;
    home.at("/page", Reply::redirect(302, "/around"));
    home.at(
        "/around",
        Reply::feed(Atom::foreign([Entry::foreign(4)]).xml()),
    );
    home.at("/data", Reply::ok("application/json", "{}"));
    home.at("/moved", Reply::redirect(302, &other.url("/data")));
    let mut reader = Reader::<B>::showing(url, &home.url("/feed"), shown).await;
    reader.drain().await;
    assert_untouched(&other);
    assert_eq!(reader.ids().await, ids([4, 1]));
    let asked = home.asked();
    assert!(asked.len() >= 5, "{asked:?}");
    for asked in asked {
        let shown = asked.header("authorization");
        assert_eq!(shown, Some("Basic dXNlcjpzZWNyZXQ="), "{asked:?}");
    }
    let parked = reader.parked().await;
    let status = format!("{:?}{parked:?}", reader.status().await);
    assert!(
        !status.contains("secret") && !status.contains("dXNl"),
        "{status}"
    );
}

async fn refused_credentials_are_read_again<B: Recording>(url: &str) {
    let (directory, shown) = credentials("first");
    let home = Fake::start().await;
    let feed = Atom::of(1..=3).xml();
    let only = |expected: &'static str| {
        let feed = feed.clone();
        home.each("/feed", move |asked| match asked.header("authorization") {
            Some(shown) if shown == expected => Reply::feed(feed.clone()),
            _ => Reply::status(401).header("www-authenticate", "Bearer"),
        });
    };
    only("Bearer second");
    let mut reader = Reader::<B>::showing(url, &home.url("/feed"), shown).await;
    let error = reader.fails().await;
    assert!(
        error.contains("401") && error.contains("Subscription::credentials"),
        "{error}"
    );
    assert_eq!(home.targets(), ["/feed"], "once: nothing has changed");
    let file = directory.path().join("credentials");
    // What cannot be read is not shown.
    std::fs::write(&file, "# nothing").unwrap();
    reader.fails().await;
    assert_eq!(home.targets(), ["/feed"]);
    std::fs::write(&file, "second").unwrap();
    reader.poll().await.unwrap();
    assert_eq!(home.targets()[..2], ["/feed", "/feed"], "at once");
    reader.takes(&ids(1..=3)).await;
    home.news();
    only("Bearer third");
    reader.fails().await;
    assert_eq!(home.targets(), ["/feed"]);
}
