//! Proxies as an operator configures and sees them: in the environment, as a setting, and in the
//! log.

use std::time::Duration;

use harness::fake::{Atom, Fake, Numbered, Reply};
use harness::{Backend, Service, until};

crate::on_both! {
    a_proxy_of_the_environment_is_ignored
    a_proxy_is_named_in_the_first_lines
    a_proxy_that_would_see_credentials_stops_the_start
    a_wait_that_is_cut_is_logged_once
}

/// A consumer of that feed, with these settings.
async fn consumer(backend: Backend, feed: &str, settings: &[(&'static str, String)]) -> Service {
    let mut invoice = Service::new("invoice", backend).await;
    invoice.set("FEED_URL", feed.to_owned());
    invoice.set("RUST_LOG", "info".to_owned());
    for (name, value) in settings {
        invoice.set(name, value.clone());
    }
    invoice
}

fn log(service: &Service) -> String {
    service.process().unwrap().log()
}

async fn is_asked(fake: &Fake) {
    until("it is asked", async || {
        (!fake.asked().is_empty()).then_some(())
    })
    .await;
}

fn empty(fake: &Fake) {
    fake.at("/feed", Reply::feed(Atom::foreign([]).xml()));
}

async fn a_proxy_of_the_environment_is_ignored(backend: Backend) {
    let (feed, through) = (Fake::start().await, Fake::start().await);
    empty(&feed);
    let address = through.url("/").replace("//", "//eve:s3cret@");
    let settings = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, address.clone()));
    let mut invoice = consumer(backend, &feed.url("/feed"), &settings).await;
    invoice.start().await;
    is_asked(&feed).await;
    assert_eq!(through.asked().len(), 0);
    let log = log(&invoice);
    let said = log
        .matches("not followed: HTTP_PROXY, http_proxy, ALL_PROXY")
        .count();
    assert_eq!(said, 1, "{log}");
    assert!(
        log.contains("FEED_PROXY") && !log.contains("s3cret"),
        "{log}"
    );
}

async fn a_proxy_is_named_in_the_first_lines(backend: Backend) {
    let (feed, through) = (Fake::start().await, Fake::start().await);
    empty(&feed);
    let address = through.url("/");
    let secret = address.replace("//", "//eve:s3cret@");
    let settings = [("FEED_PROXY", secret), ("HTTP_PROXY", feed.url("/"))];
    let mut invoice = consumer(backend, &feed.url("/feed"), &settings).await;
    invoice.start().await;
    is_asked(&through).await;
    let log = log(&invoice);
    let following = format!(
        "(following {} through the proxy {address})",
        feed.url("/feed")
    );
    assert!(log.contains(&following), "{log}");
    assert!(
        !log.contains("s3cret") && !log.contains("not followed"),
        "{log}"
    );
    let status = invoice.client.get("status", &[]).await.body;
    assert!(!status.contains("s3cret"), "{status}");
}

async fn a_proxy_that_would_see_credentials_stops_the_start(backend: Backend) {
    let through = Fake::start().await;
    let secret = through.url("/").replace("//", "//eve:s3cret@");
    let mut invoice = consumer(backend, "http://feed.example/feed", &[]).await;
    let file = invoice.file("shown", "reader:s3cret");
    invoice.set("FEED_CREDENTIALS_FILE", file);
    invoice.set("FEED_PROXY", secret);
    let process = invoice.launch();
    let (code, log) = (process.ended().await, process.log());
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    for said in [
        &through.url("/"),
        "(FEED_PROXY)",
        "FEED_PROXY_SEES_CREDENTIALS=true",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(!log.contains("s3cret"), "{log}");
    invoice.set("FEED_PROXY_SEES_CREDENTIALS", "true".to_owned());
    invoice.start().await;
    is_asked(&through).await;
    assert!(through.asked()[0].header("authorization").is_some());
}

async fn a_wait_that_is_cut_is_logged_once(backend: Backend) {
    let fake = Fake::start().await;
    let feed = Numbered::new(0);
    fake.each("/feed", move |asked| {
        let wait = asked.wait().map(|wait| wait.as_secs());
        match (wait, asked.query("after")) {
            (Some(1), _) => feed.reply(asked).after(Duration::from_secs(1)),
            (Some(_), None) => Reply::status(504).after(Duration::from_millis(2_100)),
            _ => feed.reply(asked),
        }
    });
    let mut invoice = consumer(backend, &fake.url("/feed"), &[]).await;
    invoice.start().await;
    until("it waits for less", async || {
        let asked = fake.asked().into_iter();
        let shorter = asked.filter(|asked| asked.wait() == Some(Duration::from_secs(1)));
        (shorter.count() > 2).then_some(())
    })
    .await;
    let log = log(&invoice);
    assert_eq!(log.matches("were cut after 2 s").count(), 1, "{log}");
    assert!(
        !log.contains("WARN") && !log.contains("following order again"),
        "{log}"
    );
}
