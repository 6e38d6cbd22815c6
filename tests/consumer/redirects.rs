//! Where a feed has moved to (RFC 9110, 15.4).

use harness::fake::{Atom, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, ids};

harness::on_both_databases! {
    a_permanent_redirect_is_remembered
    a_permanent_redirect_to_something_else_is_not_remembered
    a_remembered_address_that_fails_is_forgotten
    a_copy_without_new_events_is_forgotten
    a_temporary_redirect_is_not_remembered
    only_leading_permanent_redirects_are_remembered
    redirects_are_limited
    a_redirect_to_nowhere_is_an_error
}

async fn a_permanent_redirect_is_remembered<B: Recording>(url: &str) {
    for status in [301_u16, 308] {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::redirect(status, "/new/feed?x=1"));
        fake.at("/new/feed", Reply::feed(Atom::of(1..=2).xml()));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        reader.poll().await.unwrap();
        assert_eq!(fake.targets(), ["/feed", "/new/feed?x=1"]);
        fake.at("/new/feed", Reply::feed(Atom::of(1..=3).xml()));
        reader.poll().await.unwrap();
        reader.poll().await.unwrap();
        assert_eq!(
            fake.targets(),
            ["/new/feed?x=1", "/new/feed?x=1"],
            "{status}"
        );
        reader.takes(&ids(1..=3)).await;
    }
}

/// As during the maintenance of a server.
async fn a_permanent_redirect_to_something_else_is_not_remembered<B: Recording>(url: &str) {
    for (name, sorry) in [
        ("status", Reply::status(503)),
        ("page", Reply::ok("text/html", "<html>Sorry</html>")),
    ] {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::redirect(301, "/sorry"));
        fake.at("/sorry", sorry);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.fails().await;
        fake.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
        fake.forget("/sorry");
        reader.takes(&ids(1..=2)).await;
    }
}

async fn a_remembered_address_that_fails_is_forgotten<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    fake.at("/feed", Reply::redirect(301, "/new"));
    fake.at("/new", Reply::feed(Atom::of(1..=2).xml()));
    let mut reader = Reader::<B>::of("foreign", url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
    fake.forget("/new");
    reader.fails().await;
    reader.takes(&ids(1..=3)).await;
    // Catching up begins there too, and does not request the head.
    let fake = Fake::start().await;
    let feed = Numbered::new(2);
    feed.serve(&fake);
    fake.at("/feed", Reply::redirect(301, "/new"));
    fake.at("/new", Reply::feed(feed.head().xml()));
    let mut reader = Reader::<B>::of("ours", url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(2)).await;
    Numbered::new(3).serve(&fake);
    fake.forget("/new");
    for _ in 0..2 {
        reader.handle().poll_now();
        // The first fails at the old address, the second is answered at the new one.
        let _ = reader.poll().await;
    }
    assert_eq!(reader.ids().await, Numbered::ids(3));
}

/// During maintenance, readers were redirected to a copy of the feed, permanently by mistake.
async fn a_copy_without_new_events_is_forgotten<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let feed = Numbered::new(2);
    feed.serve(&fake);
    fake.at("/feed", Reply::redirect(301, "/copy"));
    fake.at("/copy", Reply::feed(feed.head().xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(2)).await;
    Numbered::new(3).serve(&fake);
    reader.takes(&Numbered::ids(2)).await;
    // As it does by itself after five minutes without anything new.
    reader.handle().poll_now();
    reader.takes(&Numbered::ids(3)).await;
}

async fn a_temporary_redirect_is_not_remembered<B: Recording>(url: &str) {
    for status in [302_u16, 303, 307] {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::redirect(status, "/for-now"));
        fake.at("/for-now", Reply::feed(Atom::of(1..=2).xml()));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=2)).await;
        fake.news();
        reader.poll().await.unwrap();
        assert_eq!(fake.targets(), ["/feed", "/for-now"], "{status}");
        // So that it can be undone.
        fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
        fake.forget("/for-now");
        reader.takes(&ids(1..=3)).await;
    }
}

async fn only_leading_permanent_redirects_are_remembered<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    fake.at("/feed", Reply::redirect(301, "/a"));
    fake.at("/a", Reply::redirect(308, "/b"));
    fake.at("/b", Reply::redirect(302, "/c"));
    fake.at("/c", Reply::redirect(301, "/d"));
    fake.at("/d", Reply::feed(Atom::of(1..=2).xml()));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    fake.news();
    reader.poll().await.unwrap();
    assert_eq!(fake.targets(), ["/b", "/c", "/d"]);
}

async fn redirects_are_limited<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // In a circle, and without end.
    fake.at("/feed", Reply::redirect(302, "/around"));
    fake.at("/around", Reply::redirect(302, "/feed"));
    reader.fails().await;
    let asked = fake.targets().len();
    assert!((2..=7).contains(&asked), "{asked} requests");
    fake.at("/feed", Reply::redirect(301, "/hop/1"));
    fake.each("/hop/*", |asked| {
        let hop: u32 = asked.target["/hop/".len()..].parse().unwrap_or_default();
        Reply::redirect(301, &format!("/hop/{}", hop + 1))
    });
    reader.fails().await;
    let asked = fake.targets().len();
    assert!((2..=7).contains(&asked), "{asked} requests");
    assert_eq!(reader.ids().await, ids([]));
    // Five are followed.
    fake.at("/feed", Reply::redirect(302, "/hop/1"));
    fake.at("/hop/5", Reply::feed(Atom::of(1..=2).xml()));
    reader.takes(&ids(1..=2)).await;
}

async fn a_redirect_to_nowhere_is_an_error<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    for nowhere in [
        Reply::status(301),
        Reply::status(302).body(Atom::of(7..=9).xml()),
        Reply::redirect(302, ""),
        Reply::redirect(301, "http://["),
        Reply::redirect(302, "file:///etc/passwd"),
        Reply::redirect(308, "/none"),
        Reply::status(300).body(Atom::of(7..=9).xml()),
    ] {
        fake.at("/feed", nowhere);
        reader.fails().await;
        assert_eq!(reader.ids().await, ids([]));
    }
    fake.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
    fake.at("/none", Reply::feed(Atom::of(1..=2).xml()));
    reader.takes(&ids(1..=2)).await;
}
