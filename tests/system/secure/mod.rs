//! No access without the configured credentials (I12), nor by abuse of a browser that has them; and
//! no personal data in logs.

mod consumers;
mod logs;
mod matrix;
mod pages;
mod routes;
mod shop;

use harness::{Backend, System};

/// Two to read and three to operate, so that each can be replaced while another one is valid.
const CREDENTIALS: &str = "\
# Who may read.
read reader:first-pass
read second-reader-token
# Who may do all.
operate eve:pass:wörd
operate mallory:other pass
operate operator-token==
";

/// `reader:first-pass`
const READER: &str = "Basic cmVhZGVyOmZpcnN0LXBhc3M=";
const SECOND_READER: &str = "Bearer second-reader-token";
/// `eve:pass:wörd`
const EVE: &str = "Basic ZXZlOnBhc3M6d8O2cmQ=";
/// `mallory:other pass`
const MALLORY: &str = "Basic bWFsbG9yeTpvdGhlciBwYXNz";
const OPERATOR: &str = "Bearer operator-token==";

/// Three services that are not started yet and require [`CREDENTIALS`]; tests operate, and the
/// consumers read.
async fn protected(backend: Backend) -> System {
    let mut system = System::new(backend).await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.protect(CREDENTIALS, EVE);
    }
    for consumer in [&mut system.invoice, &mut system.shipping] {
        let file = consumer.file("feed-credentials", "reader:first-pass\n");
        consumer.set("FEED_CREDENTIALS_FILE", file);
    }
    system
}

/// The same, when they answer.
async fn started(backend: Backend) -> System {
    let mut system = protected(backend).await;
    for service in [&mut system.order, &mut system.invoice, &mut system.shipping] {
        service.start().await;
    }
    system
}
