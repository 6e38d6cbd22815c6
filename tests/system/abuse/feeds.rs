//! A feed that attacks a consumer's memory and time.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::fake::{Atom, Fake, Reply};
use harness::{Backend, Service, until};

use super::{mebibytes, serves_pages};

/// The most that a consumer reads of one answer.
const MOST: usize = 16 * 1024 * 1024;

/// How many MiB a consumer may use at any moment; some 50 of them from the start.
const BOUND: u64 = 300;

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(text).unwrap();
    zipped.finish().unwrap()
}

/// A small document that decompresses to the most that is allowed.
fn full_of(begin: &str, part: &str, end: &str) -> Vec<u8> {
    let count = (MOST - begin.len() - end.len()) / part.len();
    zipped(format!("{begin}{}{end}", part.repeat(count)).as_bytes())
}

fn hostile(fake: &Fake) -> Vec<(&'static str, Reply)> {
    let feed = "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:m=\"urn:m\">";
    let parts =
        |part| Reply::feed(full_of(feed, part, "</feed>")).header("content-encoding", "gzip");
    let open = Atom::of(1..=1)
        .xml()
        .replace("</content></entry>\n</feed>", "");
    let problem = Reply::status(500)
        .header("content-type", "application/problem+json")
        .header("content-encoding", "gzip");
    vec![
        (
            "a bomb",
            Reply::feed(zipped(&vec![b' '; 8 * MOST])).header("content-encoding", "gzip"),
        ),
        ("many entries", parts("<entry/>")),
        ("many attributes", parts("<m:a b=\"\"/>")),
        ("many entries with elements", parts("<entry><m:a/></entry>")),
        (
            "many values in an error",
            problem.clone().body(full_of("[0", ",0", "]")),
        ),
        (
            "a long detail",
            problem.body(full_of("{\"detail\":\"\\u0000", "x", "\"}")),
        ),
        ("an entry of 100 MB", Reply::feed(open).endless(100_000_000)),
        ("a loop", Reply::redirect(302, &fake.url("/feed"))),
        ("a chain", Reply::redirect(302, "/chain/1")),
        ("zeros", Reply::feed(vec![0; MOST])),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_feed_takes_little_memory() {
    let fake = Fake::start().await;
    let healthy = Reply::feed(Atom::foreign([]).xml());
    fake.at("/feed", healthy.clone());
    fake.each("/chain/*", |asked| {
        let number: u32 = asked.target["/chain/".len()..].parse().unwrap();
        Reply::redirect(302, &format!("/chain/{}", number + 1))
    });
    let mut invoice = Service::new("invoice", Backend::Sqlite).await;
    invoice.set("FEED_URL", fake.url("/feed"));
    invoice.start().await;
    for (name, reply) in hostile(&fake) {
        fake.at("/feed", reply);
        let log = |invoice: &Service| {
            invoice
                .process()
                .unwrap()
                .log()
                .matches("cannot follow")
                .count()
        };
        let before = log(&invoice);
        until(name, async || {
            serves_pages(&invoice.client).await;
            (log(&invoice) > before).then_some(())
        })
        .await;
        let peak = mebibytes(invoice.process().unwrap().id(), "VmHWM:");
        println!("{name}: up to {peak} MiB so far");
        assert!(peak < BOUND, "{name}: {peak} MiB");
        // Corrected, it is followed again.
        fake.at("/feed", healthy.clone());
        let again = |invoice: &Service| {
            invoice
                .process()
                .unwrap()
                .log()
                .matches("following")
                .count()
        };
        let before = again(&invoice);
        until("it is followed again", async || {
            invoice.client.post_form("poll", &[]).await;
            (again(&invoice) > before).then_some(())
        })
        .await;
    }
}
