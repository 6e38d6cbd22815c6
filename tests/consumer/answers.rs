//! Answers that are no feed, and connections that break: the error is reported, and nothing is
//! lost.

use harness::fake::{Atom, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, assert_says, ids, numbered, serving};

harness::on_both_databases! {
    every_other_status_is_an_error
    the_error_is_reported_while_it_lasts
    a_feed_is_recognised_by_its_content
    an_answer_that_is_no_feed_is_named
    broken_messages_are_errors
    interrupted_data_is_fetched_again
}

async fn every_other_status_is_an_error<B: Recording>(url: &str) {
    let fake = serving(&Atom::of(1..=1)).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=1)).await;
    let statuses = [
        201, 204, 206, 300, 400, 401, 403, 404, 406, 407, 418, 429, 500, 501, 502, 503, 504, 599,
    ];
    for (status, newest) in statuses.into_iter().zip(2..) {
        // A feed in its body must not be read.
        let feed = Atom::of(1..=newest).xml();
        fake.at("/feed", Reply::status(status).body(feed.clone()));
        let error = reader.fails().await;
        assert!(error.contains(&status.to_string()), "{status}: {error}");
        assert_eq!(reader.ids().await, ids(1..newest), "{status}");
        fake.at("/feed", Reply::feed(feed));
        reader.takes(&ids(1..=newest)).await;
    }
}

async fn the_error_is_reported_while_it_lasts<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let portal = Reply::ok("text/html", "<html><body>Please log in</body></html>");
    fake.at("/feed", portal);
    let seen = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    let error = seen.error().await;
    assert!(error.contains("/feed"), "{error}");
    let hole = Atom::of(10..=12).link("prev-archive", "/archive/1");
    fake.at("/feed", Reply::feed(hole.xml()));
    harness::until("the next error is reported", async || {
        let error = seen.status().await.last_error?;
        error.contains("/archive/1").then_some(())
    })
    .await;
    fake.at("/archive/1", Reply::feed(Atom::of(1..=9).archive().xml()));
    seen.has(12).await;
    harness::until("there is no error any more", async || {
        seen.status().await.last_error.is_none().then_some(())
    })
    .await;
    assert_eq!(seen.ids().await, ids(1..=12));
}

async fn a_feed_is_recognised_by_its_content<B: Recording>(url: &str) {
    for (number, media_type) in [
        "application/atom+xml;type=feed;charset=utf-8",
        "APPLICATION/ATOM+XML",
        "application/xml",
        "text/xml",
        "text/plain",
        "application/octet-stream",
    ]
    .iter()
    .enumerate()
    {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::ok(media_type, Atom::of(1..=2).xml()));
        let mut reader = Reader::<B>::of(&number.to_string(), url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=2)).await;
    }
    let fake = Fake::start().await;
    fake.at("/feed", Reply::status(200).body(Atom::of(1..=2).xml()));
    let mut reader = Reader::<B>::of("none", url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    // With a byte order mark, as some editors write it.
    let marked = format!("\u{feff}{}", Atom::of(1..=3).xml());
    fake.at("/feed", Reply::feed(marked));
    reader.takes(&ids(1..=3)).await;
}

async fn an_answer_that_is_no_feed_is_named<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
    fake.at("/login", Reply::ok("text/html", page));
    let portal = "http://eve:s3cret@login.example:8080/sso/begin?token=s3cret#s3cret";
    for (answer, said) in [
        (
            Reply::ok("text/html; charset=utf-8", page),
            "/feed answered text/html instead of a feed: a login page or a captive portal?",
        ),
        (
            Reply::feed(page),
            "a web page instead of a feed: a login page",
        ),
        (
            Reply::redirect(302, "/login?token=s3cret"),
            "/login?token=… answered text/html instead of a feed",
        ),
        (
            Reply::redirect(302, portal),
            "redirects us to another origin: http://login.example:8080/sso/begin?… ; a login page",
        ),
        (
            Reply::redirect(308, &fake.url("/feed").replace("http:", "https:")),
            "if the feed has moved there, feed_url must say so",
        ),
        (
            Reply::redirect(302, "http://["),
            "to nowhere: \"http://[\" is no url",
        ),
        (Reply::status(302), "to nowhere: its answer has no location"),
        (
            Reply::ok("application/json", "{\"orders\": []}"),
            "answered application/json instead of a feed: feed_url must be",
        ),
        (
            Reply::ok("text/plain", "It works!"),
            "answered text/plain instead of a feed: feed_url must be",
        ),
        (
            Reply::ok("application/rss+xml", "<rss version=\"2.0\"></rss>"),
            "answered rss instead of a feed",
        ),
        (
            Reply::status(511).body(page),
            "answered 511: the network asks for a login first (a captive portal)",
        ),
        (Reply::status(407), "answered 407: a proxy on the way asks"),
    ] {
        fake.at("/feed", answer);
        let error = reader.fails().await;
        assert_says(&error.replace("?…;", "?… ;"), &[said]);
        assert!(!error.contains("s3cret"), "{error}");
    }
    // However long it is.
    let long = format!("https://login.example/{}", "x".repeat(20_000));
    fake.at("/feed", Reply::redirect(302, &long));
    let error = reader.fails().await;
    assert!(error.len() < 2_000, "{} bytes", error.len());
    fake.at("/feed", Reply::feed(Atom::of(1..=2).xml()));
    reader.takes(&ids(1..=2)).await;
}

async fn broken_messages_are_errors<B: Recording>(url: &str) {
    let feed = Atom::of(1..=9).xml();
    let fake = serving(&Atom::of(1..=1)).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=1)).await;
    let header = "x".repeat(4 * 1024 * 1024);
    let messages = [
        String::new(),
        "\r\n\r\n".to_owned(),
        "HTTP/1.1".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        feed.clone(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{feed}"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{feed}"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{feed}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{feed}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n{feed}"),
        format!("HTTP/1.1 200 OK\r\nx-long: {header}\r\ncontent-length: 5\r\n\r\n{feed}"),
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnone".to_owned(),
    ];
    for (message, newest) in messages.iter().zip(2..) {
        fake.at("/feed", Reply::raw(message.clone()));
        let error = reader.fails().await;
        assert!(error.contains("/feed"), "{error}");
        fake.at("/feed", Reply::feed(Atom::of(1..=newest).xml()));
        reader.takes(&ids(1..=newest)).await;
    }
    // No listener.
    let closed = harness::free_address();
    let mut reader = Reader::<B>::of("closed", url, &format!("http://{closed}/feed")).await;
    reader.fails().await;
    assert_eq!(reader.status().await.halted, None);
}

async fn interrupted_data_is_fetched_again<B: Recording>(url: &str) {
    let cuts = [Reply::cut_short as fn(Reply) -> Reply, Reply::cut_chunk];
    for (number, cut) in cuts.into_iter().enumerate() {
        let fake = numbered(1).await;
        let mut reader = Reader::<B>::of(&number.to_string(), url, &fake.url("/feed")).await;
        let one = Reply::ok("application/json", Numbered::data(1));
        fake.at("/batch/1-1", Reply::status(404));
        fake.at("/events/1", cut(one));
        reader.fails().await;
        assert_eq!(reader.ids().await, [""; 0]);
        fake.forget("/batch/1-1");
        fake.forget("/events/1");
        reader.takes(&Numbered::ids(1)).await;
        // And of many events: by the batch, or without it.
        Numbered::new(5).serve(&fake);
        let batch = Reply::ok("application/cloudevents-batch+json", Numbered::batch(2, 3));
        fake.at("/batch/*", cut(batch));
        let _ = reader.poll().await;
        Numbered::new(6).serve(&fake);
        reader.takes(&Numbered::ids(6)).await;
        let data: Vec<_> = (1..=6).map(Numbered::data).collect();
        assert_eq!(reader.data().await, data);
    }
}
