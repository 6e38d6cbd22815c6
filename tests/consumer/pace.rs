//! How often a server is asked: as rarely as it demands, and never in a hot loop.

use std::time::{Duration, SystemTime};

use feed_core::Subscription;
use harness::fake::{Asked, Atom, Fake, Numbered, Reply};
use harness::until;

use crate::support::{INTERVAL, Reader, Recording, numbered};

harness::on_both_databases! {
    retry_after_is_the_least_pause
    a_meaningless_retry_after_does_not_shorten_the_pause
    the_heads_freshness_is_the_least_pause
    a_fresh_head_does_not_delay_catching_up
    a_fresh_head_does_not_delay_the_rest_of_its_data
    freshness_is_read_in_every_spelling
    expired_freshness_is_no_pause
    a_server_that_does_not_wait_is_not_asked_in_a_loop
    a_server_that_fails_is_not_asked_in_a_loop
    the_first_request_does_not_wait_at_the_server
    a_fresh_answer_counts_as_contact
    waits_that_are_cut_become_shorter
    a_slow_server_is_asked_at_the_poll_interval
    a_server_that_holds_answers_back_is_asked_all_the_time
    errors_are_no_reason_to_ask_more_often
    an_error_of_a_server_that_holds_answers_back_is_tried_again_soon
}

/// What is lost between a server's clock and ours.
const SLACK: Duration = Duration::from_millis(50);

/// Polls `fake` until it was asked `count` times; returns the times between.
async fn pauses<B: Recording>(
    name: &str,
    url: &str,
    fake: &Fake,
    interval: Duration,
    count: usize,
) -> Vec<Duration> {
    let reader = Reader::<B>::with(name, "one", interval, url, &fake.url("/feed")).await;
    reader.run();
    let asked: Vec<Asked> = until(&format!("{name}: {count} requests"), async || {
        let asked = fake.asked();
        (asked.len() >= count).then_some(asked)
    })
    .await;
    let pairs = asked.windows(2).take(count - 1);
    pairs.map(|pair| pair[1].at - pair[0].at).collect()
}

/// Fails unless all of `pauses` are at least so long.
fn assert_at_least(name: &str, pauses: &[Duration], least: Duration) {
    let long_enough = pauses.iter().all(|pause| *pause + SLACK >= least);
    assert!(long_enough, "{name}: {pauses:?}, not {least:?} each");
}

async fn retry_after_is_the_least_pause<B: Recording>(url: &str) {
    // A date has whole seconds, so this is three to four from when it is asked.
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let seconds = || "3".to_owned();
    let busy = async |name: &str, status, retry_after: fn() -> String| {
        let fake = Fake::start().await;
        fake.each("/feed", move |_| {
            Reply::status(status).header("retry-after", retry_after())
        });
        let pauses = pauses::<B>(name, url, &fake, INTERVAL, 2).await;
        assert_at_least(name, &pauses, Duration::from_secs(3));
    };
    tokio::join!(
        busy("seconds", 503, seconds),
        busy("date", 503, date),
        busy("429", 429, seconds),
        busy("403", 403, seconds),
    );
}

async fn a_meaningless_retry_after_does_not_shorten_the_pause<B: Recording>(url: &str) {
    let strange = async |name: &str| {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::status(503).header("retry-after", name));
        let pauses = pauses::<B>(name, url, &fake, INTERVAL, 3).await;
        assert_at_least(name, &pauses, Duration::from_millis(200));
    };
    tokio::join!(
        strange("0"),
        strange("-1"),
        strange("soon"),
        strange("Thu, 01 Jan 1970 00:00:00 GMT"),
    );
}

/// A feed with that caching, and with nothing else that sets the pause.
async fn fresh(name: &str, caching: &str, age: &str) -> Fake {
    let fake = Fake::start().await;
    let tagged = name.starts_with("tagged");
    let feed = Reply::feed(Atom::of(1..=2).xml());
    let feed = if tagged {
        feed.header("etag", "\"tag\"")
    } else {
        feed
    };
    let caching = caching.to_owned();
    let age = age.to_owned();
    fake.each("/feed", move |asked| {
        let answer = match asked.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => feed.clone(),
        };
        answer.header("cache-control", &caching).header("age", &age)
    });
    fake
}

/// A feed that says how long it is fresh is not asked again before.
async fn assert_fresh<B: Recording>(name: &str, url: &str, caching: &str, age: &str) {
    let fake = fresh(name, caching, age).await;
    let pauses = pauses::<B>(name, url, &fake, INTERVAL, 3).await;
    assert_at_least(name, &pauses, Duration::from_secs(2));
}

async fn the_heads_freshness_is_the_least_pause<B: Recording>(url: &str) {
    let others = "public,max-age=2 , stale-if-error=600";
    tokio::join!(
        assert_fresh::<B>("alone", url, "max-age=2", "0"),
        assert_fresh::<B>("among others", url, others, "0"),
        assert_fresh::<B>("with age", url, "max-age=32", "30"),
        assert_fresh::<B>("tagged", url, "max-age=2", "0"),
        assert_fresh::<B>("tagged and aged", url, "max-age=10", "8"),
    );
}

/// Puts a feed on a server whose head is fresh for an hour.
fn serve_fresh(fake: &Fake, newest: i64) {
    let feed = Numbered::new(newest);
    feed.serve(fake);
    fake.each("/feed", move |asked| {
        let answer = feed.reply(asked);
        match asked.query("after") {
            Some(_) => answer,
            None => answer.header("cache-control", "max-age=3600"),
        }
    });
}

/// How often the head was asked, so far.
fn heads(fake: &Fake) -> usize {
    let asked = fake.asked();
    asked.iter().filter(|asked| asked.target == "/feed").count()
}

/// More documents than are read in one round.
async fn a_fresh_head_does_not_delay_catching_up<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve_fresh(&fake, 1_055);
    let seen = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    seen.has(1_055).await;
    assert_eq!(heads(&fake), 1);
    assert_eq!(seen.ids().await, Numbered::ids(1_055));
}

/// The head has more data than is applied at once.
async fn a_fresh_head_does_not_delay_the_rest_of_its_data<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    serve_fresh(&fake, 12);
    let data = format!("\"{}\"", "x".repeat(4 * 1024 * 1024));
    fake.at("/batch/*", Reply::status(404));
    fake.at("/events/*", Reply::ok("application/json", data));
    let seen = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    seen.has(12).await;
    assert_eq!(heads(&fake), 1);
    assert_eq!(seen.ids().await, Numbered::ids(12));
}

/// RFC 9111, 5.2: names in any case, and arguments in quotes too.
async fn freshness_is_read_in_every_spelling<B: Recording>(url: &str) {
    tokio::join!(
        assert_fresh::<B>("in capitals", url, "Max-Age=2", "0"),
        assert_fresh::<B>("in quotes", url, "max-age=\"2\"", "0"),
    );
}

async fn expired_freshness_is_no_pause<B: Recording>(url: &str) {
    let polled = async |name: &str, caching: &str, age: &str| {
        let fake = fresh(name, caching, age).await;
        let pauses = pauses::<B>(name, url, &fake, INTERVAL, 10).await;
        // Nine times a whole second would be nine.
        let all: Duration = pauses.iter().sum();
        assert!(all < Duration::from_secs(8), "{name}: {pauses:?}");
    };
    tokio::join!(
        polled("zero", "max-age=0", "0"),
        polled("older than that", "max-age=2", "3"),
        polled("as old", "max-age=86400", "86400"),
        polled("negative", "max-age=-5", "0"),
        polled("no number", "max-age=soon", "0"),
        polled("not to be stored", "no-store", "0"),
        polled("not to be stored for long", "max-age=86400, no-store", "0"),
        polled("not to be used unasked", "no-cache, max-age=86400", "0"),
    );
}

async fn a_server_that_does_not_wait_is_not_asked_in_a_loop<B: Recording>(url: &str) {
    let interval = Duration::from_millis(200);
    // A fifth of it is jitter.
    let least = interval.mul_f64(0.8);
    let ours = async {
        let fake = numbered(1).await;
        // To the events, and then three rounds in which the tag becomes known.
        let pauses = pauses::<B>("ours", url, &fake, interval, 8).await;
        assert_at_least("ours", &pauses[4..], least);
        let last = fake.asked().pop();
        assert!(last.is_some_and(|asked| asked.wait() == Some(Duration::from_secs(20))));
    };
    let old = async {
        // Does not know conditions.
        let fake = Fake::start().await;
        let feed = Numbered::new(1).head().xml();
        fake.at("/events/1", Reply::ok("application/json", "{}"));
        fake.at("/feed", Reply::feed(feed).header("etag", "\"tag\""));
        let pauses = pauses::<B>("old", url, &fake, interval, 8).await;
        assert_at_least("old", &pauses[4..], least);
    };
    let delta = async {
        // Always has something new, in which there is nothing.
        let fake = numbered(1).await;
        let nothing = Numbered::new(1).document(2, 1).xml();
        fake.each("/feed", move |asked| match asked.header("if-none-match") {
            Some(_) => Reply::status(226)
                .header("im", "feed")
                .header("etag", "\"tag\"")
                .body(nothing.clone()),
            None => Reply::feed(Numbered::new(1).head().xml()).header("etag", "\"tag\""),
        });
        let pauses = pauses::<B>("delta", url, &fake, interval, 8).await;
        assert_at_least("delta", &pauses[4..], least);
    };
    let foreign = async {
        let fake = fresh("tagged", "max-age=0", "0").await;
        let pauses = pauses::<B>("foreign", url, &fake, interval, 8).await;
        assert_at_least("foreign", &pauses[2..], least);
    };
    tokio::join!(ours, old, delta, foreign);
}

async fn a_server_that_fails_is_not_asked_in_a_loop<B: Recording>(url: &str) {
    let failing = async |name: &str, reply: Reply| {
        let fake = Fake::start().await;
        fake.at("/feed", reply);
        let pauses = pauses::<B>(name, url, &fake, INTERVAL, 4).await;
        assert_at_least(name, &pauses, Duration::from_millis(200));
        let growing = pauses[2] > Duration::from_millis(800);
        assert!(growing, "{name}: {pauses:?}");
    };
    let empty = Reply::feed(Atom::foreign([]).xml().replace("</feed>", ""));
    tokio::join!(
        failing("status", Reply::status(500)),
        failing("nonsense", Reply::raw("nonsense")),
        failing("truncated", empty),
        failing("not modified", Reply::status(304)),
    );
}

/// Otherwise it is unknown for 20 s after a start, or after a failure, whether the feed answers.
async fn the_first_request_does_not_wait_at_the_server<B: Recording>(url: &str) {
    let fake = numbered(3).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(3)).await;
    // Until it has the tag, and may be asked to wait.
    until("it asks what is new", async || {
        reader.poll().await.unwrap();
        let asked = fake.asked().pop()?;
        asked.wait().map(drop)
    })
    .await;
    fake.at("/feed", Reply::status(500));
    let seen = reader.again(url, &fake.url("/feed")).await.run();
    seen.error().await;
    let feed = Numbered::new(3);
    fake.each("/feed", move |asked| match asked.wait() {
        Some(_) => Reply::never(),
        None => feed.answer(asked),
    });
    until("the feed was heard", async || {
        let status = seen.status().await;
        (status.last_contact.is_some() && status.last_error.is_none()).then_some(())
    })
    .await;
}

/// While the answer is fresh, nothing is requested, and no alert may follow; once a feed has
/// failed, it must.
async fn a_fresh_answer_counts_as_contact<B: Recording>(url: &str) {
    let hour = Duration::from_secs(3600);
    let quiet = async |name: &str, fake: Fake, interval| {
        let reader = Reader::<B>::with(name, "one", interval, url, &fake.url("/feed")).await;
        let seen = reader.run();
        let first = until("there is contact", async || {
            seen.status()
                .await
                .last_contact
                .filter(|_| heads(&fake) > 0)
        })
        .await;
        let asked = until("there is contact again", async || {
            let at = seen.status().await.last_contact?;
            (at > first + Duration::from_secs(1)).then(|| heads(&fake))
        })
        .await;
        assert!(asked <= 2, "{name}: it was asked {asked} times");
        fake.at("/feed", Reply::status(500));
        fake.at("/feed*", Reply::status(500));
        seen.poll_now();
        seen.error().await;
        let last = seen.status().await.last_contact;
        let asked = fake.asked().len();
        until("it has failed again", async || {
            // It is seldom asked by itself, also after an error.
            seen.poll_now();
            (fake.asked().len() > asked + 1).then_some(())
        })
        .await;
        assert_eq!(seen.status().await.last_contact, last, "{name}");
    };
    let long = async {
        let fake = Fake::start().await;
        serve_fresh(&fake, 3);
        quiet("fresh", fake, INTERVAL).await;
    };
    let seldom = async {
        let fake = fresh("tagged", "max-age=0", "0").await;
        quiet("seldom asked", fake, hour).await;
    };
    tokio::join!(long, seldom);
}

/// A server that waits as requested, behind a proxy that allows `limit`, and then answers `cut`.
fn behind(fake: &Fake, limit: Duration, cut: Reply) {
    let feed = Numbered::new(3);
    fake.each("/feed", move |asked| {
        let answer = feed.reply(asked);
        match asked.wait() {
            Some(wait) if wait > limit => cut.clone().after(limit),
            Some(wait) => answer.after(wait),
            None => answer,
        }
    });
}

async fn waits_that_are_cut_become_shorter<B: Recording>(url: &str) {
    let limit = Duration::from_millis(2_200);
    let shorter = async |name: &str, cut: Reply| {
        let fake = numbered(3).await;
        behind(&fake, limit, cut);
        let seen = Reader::<B>::of(name, url, &fake.url("/feed")).await.run();
        let waits = || {
            let asked = fake.asked().into_iter();
            let waits = asked.filter_map(|asked| asked.wait());
            waits.map(|wait| wait.as_secs()).collect::<Vec<_>>()
        };
        until("it waits for less", async || {
            // It never looks like an outage.
            assert_eq!(seen.status().await.last_error, None, "{name}");
            (waits().len() >= 4).then_some(())
        })
        .await;
        assert_eq!(waits()[..4], [20, 20, 1, 1], "{name}");
        assert_eq!(seen.ids().await, Numbered::ids(3));
        // A feed that is down is reported as before.
        fake.at("/feed", Reply::status(504));
        let error = seen.error().await;
        assert!(error.contains("504"), "{name}: {error}");
    };
    tokio::join!(
        shorter("504", Reply::status(504).body("a page of the proxy's own")),
        shorter("503", Reply::status(503).header("retry-after", "1")),
        shorter("reset", Reply::reset()),
        shorter("closed", Reply::raw("")),
    );
}

/// A feed with a tag, whose answers without news take `time` and have these headers.
async fn slow(time: Duration, headers: &'static [(&'static str, &'static str)]) -> Fake {
    let fake = Fake::start().await;
    let feed = Reply::feed(Atom::of(1..=2).xml()).header("etag", "\"tag\"");
    fake.each("/feed", move |asked| match asked.header("if-none-match") {
        Some(_) => {
            let nothing = Reply::status(304).after(time);
            headers
                .iter()
                .fold(nothing, |reply, (name, value)| reply.header(name, value))
        }
        None => feed.clone(),
    });
    fake
}

async fn a_slow_server_is_asked_at_the_poll_interval<B: Recording>(url: &str) {
    let interval = Duration::from_secs(3);
    let fake = slow(Duration::from_millis(1_200), &[]).await;
    let pauses = pauses::<B>("slow", url, &fake, interval, 4).await;
    assert_at_least("slow", &pauses[1..], interval.mul_f64(0.9));
}

/// If it does not say so, the time does.
async fn a_server_that_holds_answers_back_is_asked_all_the_time<B: Recording>(url: &str) {
    const APPLIED: &[(&str, &str)] = &[("preference-applied", "Wait=2; x, other")];
    for (name, time, headers, wait) in [
        ("says so", 1_200, APPLIED, 20),
        ("does not say so", 1_900, &[], 2),
        ("less than asked", 2_200, &[], 4),
    ] {
        let fake = slow(Duration::from_millis(time), headers).await;
        let subscription = Subscription {
            poll_interval: Duration::from_hours(1),
            wait: Duration::from_secs(wait),
            ..Subscription::new(name, fake.url("/feed").parse().unwrap())
        };
        Reader::<B>::subscribed(url, subscription).await.run();
        until(name, async || (fake.asked().len() >= 4).then_some(())).await;
    }
}

async fn errors_are_no_reason_to_ask_more_often<B: Recording>(url: &str) {
    let interval = Duration::from_secs(2);
    for status in [403, 404, 410, 429, 500] {
        let fake = Fake::start().await;
        fake.at("/feed", Reply::status(status));
        let name = status.to_string();
        let pauses = pauses::<B>(&name, url, &fake, interval, 3).await;
        assert_at_least(&name, &pauses, interval.mul_f64(0.9));
    }
}

async fn an_error_of_a_server_that_holds_answers_back_is_tried_again_soon<B: Recording>(url: &str) {
    let held = || Reply::status(304).header("preference-applied", "wait=20");
    let fake = slow(
        Duration::from_millis(1_200),
        &[("preference-applied", "wait=20")],
    )
    .await;
    let name = "soon";
    let hour = Duration::from_hours(1);
    let reader = Reader::<B>::with(name, "one", hour, url, &fake.url("/feed")).await;
    let seen = reader.run();
    until("it waits", async || (fake.asked().len() >= 3).then_some(())).await;
    fake.at("/feed", Reply::status(503));
    seen.error().await;
    fake.at("/feed", held());
    until("it is asked again", async || {
        seen.status().await.last_error.is_none().then_some(())
    })
    .await;
}
