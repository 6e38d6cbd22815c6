//! Data inside the entries (RFC 4287, 4.1.3.3), and data that cannot be read.

use feed_core::http::NAMESPACE;
use harness::fake::{Atom, Entry, Fake, Reply};
use harness::until;

use crate::support::{Reader, Recording, ids, serving};

harness::on_both_databases! {
    every_kind_of_content_is_read
    the_trace_context_is_read_with_the_data
    elements_are_read_as_well_formed_xml
    content_that_cannot_be_read_is_parked_alone
    content_that_is_unavailable_is_awaited
    missing_content_holds_its_subject_until_it_is_back
    a_retry_by_the_operator_fetches_content_again
    content_of_another_origin_is_applied_once_the_feed_is_read_there
    a_retry_of_unreadable_inline_content_parks_it_again
}

/// An entry with that content and nothing else.
fn entry(number: u32, content: &str) -> Entry {
    let bare = Entry::foreign(number);
    Entry {
        markup: content.to_owned(),
        ..bare
    }
}

async fn every_kind_of_content_is_read<B: Recording>(url: &str) {
    const JSON: &str = "{\"total\": 1.50, \"of\": \"<b>ä</b>\"}";
    let escaped = JSON.replace('<', "&lt;");
    let contents = [
        format!("<content>{escaped}</content>"),
        format!("<content type=\"text\">{escaped}</content>"),
        format!("<content type=\"text\"><![CDATA[{JSON}]]></content>"),
        format!("<content type=\"text/plain\">{escaped}</content>"),
        format!("<content type=\"TEXT/PLAIN; charset=utf-8\">{escaped}</content>"),
        format!("<content type=\"text/json\">{escaped}</content>"),
        format!("<content type=\"html\">{escaped}</content>"),
        "<content type=\"application/json\">eyJ0b3RhbCI6IDEuNTAsICJvZiI6ICI8Yj7DpDwvYj4ifQ==\
         </content>"
            .to_owned(),
        "<content type=\"application/json; charset=utf-8\">\n\t eyJ0b3RhbCI6IDEu\r\n  NTAsICJvZiI6\
         ICI8Yj7D&#10;pDwvYj4ifQ=\n=\n </content>"
            .to_owned(),
        "<content type=\"application/vnd.shop+json\"><![CDATA[eyJ0b3RhbCI6IDEuNTAsICJvZiI6ICI8Yj7D\
         pDwvYj4ifQ==]]></content>"
            .to_owned(),
        "<summary>s</summary><content type=\"application/json\" src=\"/data\"/>".to_owned(),
        "<summary>s</summary><content src=\"/data\"/>".to_owned(),
        "<summary>s</summary><content type=\"application/json\" src=\"/data\"></content>"
            .to_owned(),
    ];
    let numbered = contents.iter().zip(1..);
    let feed = Atom::foreign(numbered.map(|(content, number)| entry(number, content)));
    let fake = serving(&feed).await;
    fake.at("/data", Reply::ok("application/hal+json", JSON));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    for (data, content) in reader.data().await.iter().zip(&contents) {
        assert_eq!(data, JSON, "{content}");
    }
    reader.takes(&ids(1..=13)).await;
}

/// As in a batch; `CloudEvents` in binary mode has it in a header.
async fn the_trace_context_is_read_with_the_data<B: Recording>(url: &str) {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let contents = [(1, "/traced"), (2, "/untraced")];
    let entries = contents.map(|(number, src)| {
        entry(
            number,
            &format!("<content type=\"application/json\" src=\"{src}\"/>"),
        )
    });
    let fake = serving(&Atom::foreign(entries)).await;
    let data = || Reply::ok("application/json", "{}");
    fake.at("/traced", data().header("ce-traceparent", TRACE));
    fake.at("/untraced", data());
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    assert_eq!(reader.traces().await, [TRACE, ""]);
}

async fn elements_are_read_as_well_formed_xml<B: Recording>(url: &str) {
    for (name, media_type) in [
        ("suffix", "application/vnd.order+xml"),
        ("whole", "application/xml"),
        ("picture", "image/svg+xml"),
        ("text", "text/xml"),
    ] {
        let content = format!(
            "<content type=\"{media_type}\"><order xmlns=\"urn:shop\" id=\"7\"><line>a &lt; b</line>\
             <empty/></order></content>"
        );
        let fake = serving(&Atom::foreign([entry(1, &content)])).await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids([1])).await;
        let data = reader.data().await.remove(0);
        // Well-formed by itself, with all that was in it.
        let parts = ["urn:shop", "id=\"7\"", "a &lt; b", "<empty"];
        let missing: Vec<_> = parts.iter().filter(|part| !data.contains(**part)).collect();
        assert!(missing.is_empty(), "{media_type}: no {missing:?} in {data}");
        assert!(is_well_formed(&data), "{media_type}: {data}");
    }
    // With a namespace that is declared outside.
    let content = "<content type=\"application/xml\">\n<o:order o:id=\"1\" a:b=\"\">\
                   <o:line i:type=\"t:line\">p:7</o:line></o:order></content>";
    let feed = Atom::foreign([entry(1, content)])
        .attribute("xmlns:o", "urn:order")
        .attribute("xmlns:a", "urn:a")
        .attribute("xmlns:i", "urn:i")
        // Names may be in values as well.
        .attribute("xmlns:t", "urn:t")
        .attribute("xmlns:p", "urn:p")
        .attribute("xmlns:unused", "urn:unused")
        .attribute("xmlns:ine", "urn:ine");
    let fake = serving(&feed).await;
    let mut reader = Reader::<B>::of("outside", url, &fake.url("/feed")).await;
    reader.takes(&ids([1])).await;
    assert_eq!(
        reader.data().await[0],
        "<o:order xmlns:o=\"urn:order\" xmlns:a=\"urn:a\" xmlns:i=\"urn:i\" xmlns:t=\"urn:t\" xmlns:p=\"urn:p\" \
         o:id=\"1\" a:b=\"\"><o:line i:type=\"t:line\">p:7</o:line></o:order>"
    );
    let xhtml = "<content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\"><b>7</b></div>\
                 </content>";
    let fake = serving(&Atom::foreign([entry(1, xhtml)])).await;
    let mut reader = Reader::<B>::of("xhtml", url, &fake.url("/feed")).await;
    reader.takes(&ids([1])).await;
    assert!(reader.data().await[0].contains("<b>7</b>"));
}

/// Puts markup into a document of its own, which can only be read if the markup is well-formed.
fn is_well_formed(markup: &str) -> bool {
    let document = Atom::foreign([]).with(markup).xml();
    document.parse::<atom_syndication::Feed>().is_ok()
}

async fn content_that_cannot_be_read_is_parked_alone<B: Recording>(url: &str) {
    let contents = [
        // Many programs write it, although it is not Base64.
        (
            "<content type=\"application/json\">{\"total\": 1.50}</content>",
            "Base64",
        ),
        (
            "<content type=\"application/json\">eyJ0b3RhbCI6IDEu%%%</content>",
            "Base64",
        ),
        (
            "<content type=\"application/json\">eyJ0b3RhbCI6IDEuNTB</content>",
            "Base64",
        ),
        (
            "<content type=\"application/octet-stream\">/////w==</content>",
            "UTF-8",
        ),
        (
            "<content type=\"application/json\" src=\"/bytes\"/>",
            "UTF-8",
        ),
        (
            "<content type=\"application/json\" src=\"/login\"/>",
            "login page",
        ),
        ("<content type=\"application/json\" src=\"/none\"/>", "404"),
        ("<content type=\"application/json\" src=\"/gone\"/>", "410"),
        (
            "<content type=\"application/json\" src=\"\">e30=</content>",
            "that of the feed",
        ),
    ];
    let bad = contents.iter().zip(10..);
    let bad = bad.map(|((content, _), number)| entry(number, content));
    let good = [Entry::foreign(5), Entry::foreign(50)];
    let fake = serving(&Atom::foreign(bad.chain(good))).await;
    fake.at("/bytes", Reply::ok("application/json", [0xff, 0xfe, b'{']));
    fake.at("/gone", Reply::status(410));
    let login = Reply::ok("text/html; charset=utf-8", "<form>Who are you?</form>");
    fake.at("/login", login);
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.ids().await, ids([5, 50]), "nothing else waits");
    let parked = reader.parked().await;
    assert_eq!(parked.len(), contents.len());
    for ((event, (content, reason)), number) in parked.iter().zip(contents).zip(10..) {
        assert_eq!(event.id, ids([number])[0]);
        let said = event.reason.as_deref().unwrap_or_default();
        assert!(said.contains(reason), "{content}: {said}");
    }
    // Nor in a later round.
    let more = Atom::foreign([Entry::foreign(60), Entry::foreign(50)]);
    fake.at("/feed", Reply::feed(more.xml()));
    reader.drain().await;
    assert_eq!(reader.ids().await, ids([5, 50, 60]));
}

async fn content_that_is_unavailable_is_awaited<B: Recording>(url: &str) {
    for status in [401_u16, 403, 500, 503] {
        let feed = Atom::foreign([entry(1, "<content src=\"/one\"/>"), Entry::foreign(2)]);
        let fake = serving(&feed).await;
        fake.at("/one", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        let error = reader.fails().await;
        assert!(error.contains(&status.to_string()), "{error}");
        assert_eq!(
            reader.status().await.parked,
            0,
            "it is not the event's fault"
        );
        fake.at("/one", Reply::ok("application/json", "{}"));
        reader.takes(&ids(1..=2)).await;
    }
}

/// Entries of one subject, whose data is at `/1`, `/2` …, and one of another subject.
fn of_one_subject(numbers: std::ops::RangeInclusive<u32>) -> Atom {
    let entries = numbers.map(|number| {
        let content = format!("<content src=\"/{number}\"/>");
        entry(number, &content).with("<event:subject>order/17</event:subject>")
    });
    let entries = entries.chain([Entry::foreign(50)]);
    Atom::foreign(entries).attribute("xmlns:event", NAMESPACE)
}

async fn missing_content_holds_its_subject_until_it_is_back<B: Recording>(url: &str) {
    let fake = serving(&of_one_subject(1..=3)).await;
    let data = |number: u32| Reply::ok("application/json", format!("{{\"id\":{number}}}"));
    fake.at("/2", data(2));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.ids().await, ids([50]));
    let status = reader.status().await;
    assert_eq!((status.parked, status.waiting), (1, 2), "{status:?}");
    let first = reader.parked().await.remove(0);
    assert!(first.retry_at.is_some(), "it is tried again: {first:?}");
    // The consumer finds it by itself. The third is missing too, which shows when its turn is.
    fake.at("/1", data(1));
    until("the first two are applied", async || {
        reader.poll().await.unwrap();
        (reader.ids().await.len() == 3).then_some(())
    })
    .await;
    assert_eq!(reader.ids().await, ids([50, 1, 2]));
    let third = reader.parked().await.remove(0);
    let reason = third.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("404") && third.retry_at.is_some(),
        "{third:?}"
    );
    fake.at(
        "/3",
        data(3).header(
            "ce-traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    );
    until("the third is applied", async || {
        reader.poll().await.unwrap();
        (reader.ids().await.len() == 4).then_some(())
    })
    .await;
    reader.takes(&ids([50, 1, 2, 3])).await;
    assert_eq!(
        reader.data().await[1..],
        ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"]
    );
    assert_eq!(
        reader.traces().await[3],
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
}

async fn a_retry_by_the_operator_fetches_content_again<B: Recording>(url: &str) {
    let other = Fake::start().await;
    other.at("/1", Reply::ok("application/json", "{\"id\":\"not ours\"}"));
    for (name, wrong) in [
        ("gone", Reply::status(410)),
        ("unreadable", Reply::ok("application/json", [0xff, 0xfe])),
        ("elsewhere", Reply::redirect(302, &other.url("/1"))),
        (
            "large",
            Reply::ok("application/json", " ").endless(20 << 20),
        ),
    ] {
        let fake = serving(&of_one_subject(1..=1)).await;
        fake.at("/1", wrong);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        let parked = reader.parked().await.remove(0);
        assert_eq!(
            parked.retry_at, None,
            "{name}: a person decides: {parked:?}"
        );
        // While the cause remains, nothing changes; a server that fails does not affect the others.
        for (attempts, reason) in [(2, None), (3, Some("503"))] {
            if let Some(status) = reason {
                fake.at("/1", Reply::status(status.parse().unwrap()));
            }
            reader
                .handle()
                .retry_selected(&feed_core::consumer::Selection::default(), "eve")
                .await
                .unwrap();
            let again = until("it is tried again", async || {
                reader.poll().await.unwrap();
                let parked = reader.parked().await.remove(0);
                (parked.attempts >= attempts).then_some(parked)
            })
            .await;
            let expected = reason.or(parked.reason.as_deref()).unwrap_or_default();
            let said = again.reason.unwrap_or_default();
            assert!(said.contains(expected), "{name}: {said}");
        }
        fake.at("/1", Reply::ok("application/json", "{\"id\":1}"));
        reader
            .handle()
            .retry_selected(&feed_core::consumer::Selection::default(), "eve")
            .await
            .unwrap();
        until("it is applied", async || {
            reader.poll().await.unwrap();
            (reader.ids().await.len() == 2).then_some(())
        })
        .await;
        assert_eq!(reader.data().await, ["{\"id\":50}", "{\"id\":1}"], "{name}");
    }
    assert!(other.asked().is_empty(), "it is another origin still");
}

async fn content_of_another_origin_is_applied_once_the_feed_is_read_there<B: Recording>(url: &str) {
    let there = Fake::start().await;
    there.at("/data", Reply::ok("application/json", "{\"id\":1}"));
    // Relative to another base, which is not part of the address itself.
    let base = format!("<content xml:base=\"{}\" src=\"data\"/>", there.url("/"));
    let feed = Atom::foreign([entry(1, &base)]);
    let here = serving(&feed).await;
    let mut reader = Reader::<B>::open(url, &here.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.parked().await.len(), 1);
    assert!(there.asked().is_empty(), "it is another origin");
    // FEED_URL was wrong.
    there.at("/feed", Reply::feed(feed.xml()));
    let mut reader = reader.again(url, &there.url("/feed")).await;
    reader
        .handle()
        .retry_selected(&feed_core::consumer::Selection::default(), "eve")
        .await
        .unwrap();
    until("it is applied", async || {
        reader.poll().await.unwrap();
        (reader.ids().await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(reader.data().await, ["{\"id\":1}"]);
}

async fn a_retry_of_unreadable_inline_content_parks_it_again<B: Recording>(url: &str) {
    let unreadable = entry(1, "<content type=\"application/json\">%%%</content>");
    let fake = serving(&Atom::foreign([unreadable])).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    reader
        .handle()
        .retry_selected(&feed_core::consumer::Selection::default(), "eve")
        .await
        .unwrap();
    until("it is tried again", async || {
        reader.poll().await.unwrap();
        let again = reader
            .parked()
            .await
            .first()
            .is_none_or(|one| one.attempts == 2);
        again.then_some(())
    })
    .await;
    assert_eq!(reader.ids().await, ids([]));
    let reason = reader.parked().await.remove(0).reason.unwrap_or_default();
    assert!(reason.contains("Base64"), "{reason}");
}
