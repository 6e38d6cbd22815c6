//! Contents that a server refuses while it serves the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use harness::fake::{Atom, Entry, Reply};
use harness::until;

use crate::support::{Reader, Recording, ids, serving};

harness::on_both_databases! {
    a_busy_server_is_read_in_parts
    one_content_that_fails_stops_no_other
    a_server_that_is_away_parks_nothing
    a_cut_content_of_any_type_is_parked
}

/// An entry whose content is at `/NUMBER`.
fn linking(number: u32) -> Entry {
    let bare = Entry::new(&ids([number])[0], &Entry::foreign(number).updated);
    let content = format!("<content type=\"application/json\" src=\"/{number}\"/>");
    bare.with(&content)
}

fn data() -> Reply {
    Reply::ok("application/json", "{}")
}

async fn a_busy_server_is_read_in_parts<B: Recording>(url: &str) {
    let fake = serving(&Atom::foreign((1..=20).map(linking))).await;
    let requests = AtomicUsize::new(0);
    fake.each("/*", move |_| {
        match requests.fetch_add(1, Ordering::Relaxed) % 5 {
            4 => Reply::status(503),
            _ => data(),
        }
    });
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    for _ in 0..20 {
        let _ = reader.poll().await;
    }
    assert_eq!(reader.ids().await, ids(1..=20));
    assert!(reader.parked().await.is_empty());
}

async fn one_content_that_fails_stops_no_other<B: Recording>(url: &str) {
    for status in [400_u16, 402, 403, 406, 451, 203, 204, 206, 304, 500] {
        let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
        fake.at("/*", data());
        fake.at("/2", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.ids().await, ids([1, 3]), "{status}");
        let parked = reader.parked().await;
        assert_eq!(parked.len(), 1, "{status}");
        assert!(parked[0].retry_at.is_some(), "{status}");
        let reason = parked[0].reason.clone().unwrap_or_default();
        let names_it = reason.contains(&status.to_string()) && reason.contains("/2");
        assert!(names_it, "{reason}");
        if status == 500 {
            fake.at("/2", data());
            until("it is fetched again", async || {
                reader.poll().await.unwrap();
                (reader.ids().await.len() == 3).then_some(())
            })
            .await;
        }
    }
}

async fn a_server_that_is_away_parks_nothing<B: Recording>(url: &str) {
    for status in [401_u16, 403, 429, 500, 503] {
        let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
        fake.at("/*", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        for _ in 0..2 {
            let error = reader.fails().await;
            assert!(error.contains(&status.to_string()), "{error}");
        }
        assert!(reader.parked().await.is_empty(), "{status}");
        fake.at("/*", data());
        reader.takes(&ids(1..=3)).await;
    }
}

async fn a_cut_content_of_any_type_is_parked<B: Recording>(url: &str) {
    let typed = |media_type: &str| format!("Content-Type: {media_type}\r\n");
    for (name, header) in [
        ("binary", typed("application/octet-stream")),
        ("text", typed("text/plain")),
        ("none", String::new()),
    ] {
        let fake = serving(&Atom::foreign([linking(1), Entry::foreign(2)])).await;
        // Its end is that of the connection.
        let cut = format!("HTTP/1.0 200 OK\r\n{header}\r\n{{\"id\":1,\"tot");
        fake.at("/1", Reply::raw(cut));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.ids().await, ids([2]), "{name}");
        let reason = reader.parked().await.remove(0).reason.unwrap_or_default();
        assert!(reason.contains("is cut"), "{reason}");
    }
}
