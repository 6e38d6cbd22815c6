//! A service in few lines: what it gets beside its own routes.

use axum::Router;
use axum::routing::get;
use feed_chassis::openapi::{About, Answer, Description, Operation, Schema};
use feed_console::StartError;
use feed_console::service::{CommandLine, Config, Service, ServiceOn, Site, open, start_on};
use feed_core::transfer::{Migrations, Table};
use feed_core::{CancellationToken, Kind};
use harness::{Answer as Got, assert_described, request};

use crate::support::{Recorder, Testable};

harness::on_both_databases! {
    its_own_routes_have_all_that_belongs_to_a_service
    it_is_not_on_a_database_of_another_kind
}

/// The least that a service says.
#[derive(Debug)]
struct Tally;

/// A setting of its own.
#[derive(Debug, Clone, clap::Args)]
struct Own {
    #[arg(long, default_value = "nothing")]
    motto: String,
}

impl Service for Tally {
    const NAME: &'static str = "tally";
    const VERSION: &'static str = "1.2.3";
    const ABOUT: &'static str = "Counts";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:0"),
        ("database_url", "sqlite:tally.db"),
        ("feed_url", "http://127.0.0.1:9/feed"),
    ];
    const SUBSCRIPTION: &'static str = "order";
    const MIGRATIONS_TABLE: &'static str = "_tally_migrations";
    const TABLES: &'static [Table] = &[Table::new("tally")];
    const TITLE: &'static str = "Tally";
    const OPEN: &'static [&'static str] = &["/open.txt"];

    type Settings = Own;

    fn open_routes() -> Router {
        Router::new().route("/open.txt", get(async || "open"))
    }

    fn description() -> Option<(About, Description)> {
        let about = About {
            title: "Tally",
            description: "",
            version: "1",
        };
        let text = || Answer::new(200, "It").content("text/plain", Schema::text());
        let operations = [
            Operation::get("/", "motto", "The motto").answer(text()),
            Operation::get("/open.txt", "open", "For everybody").answer(text()),
        ];
        Some((about, Description::of("Tally", "", operations)))
    }
}

impl<B: Testable> ServiceOn<B> for Tally {
    const MIGRATIONS: Migrations = &[(1, "tally", "CREATE TABLE tally (id BIGINT)")];

    type Effect = Recorder;
    type Expected = ();

    fn effect(_: &Config<Own>) -> Recorder {
        Recorder::default()
    }

    fn routes(_: Site<B>, own: &Own) -> Router {
        let motto = own.motto.clone();
        Router::new().route("/", get(async move || motto))
    }
}

fn config(url: &str) -> Config<Own> {
    let arguments = ["tally", "--database-url", url, "--motto", "all is counted"];
    CommandLine::<Tally>::try_parse_from(arguments)
        .unwrap()
        .config
}

async fn its_own_routes_have_all_that_belongs_to_a_service<B: Testable>(url: &str) {
    let service = open::<Tally, B>(&config(url), CancellationToken::new()).await;
    let service = service.unwrap();
    let ask = async |path: &str| -> Got { request(&service.router, "GET", path, &[], "").await };
    let own = ask("/").await;
    assert_eq!(own.body, "all is counted");
    assert_eq!(own.header("cache-control"), "private, no-cache");
    let link = "</openapi.json>; rel=\"service-desc\"; type=\"application/json\"";
    assert_eq!(own.header("link"), link);
    assert_eq!(ask("/open.txt").await.header("cache-control"), "");
    assert_eq!(ask("/health/ready").await.body, "ok\n");
    for path in ["/status", "/status/parked", "/style.css"] {
        assert_eq!(ask(path).await.status, 200, "{path}");
    }
    // Without a comparison nothing offers one, and nothing describes it.
    let document = assert_described(&service.router, &[]).await;
    assert!(document["paths"].get("/status/reconcile").is_none());
    assert!(!ask("/status").await.body.contains("reconcile"));
    // Its schema is there, and under its name.
    service
        .database
        .belongs_to("_tally_migrations")
        .await
        .unwrap();
    B::run(&service.database, "INSERT INTO tally VALUES (1)").await;
}

async fn it_is_not_on_a_database_of_another_kind<B: Testable>(url: &str) {
    let kind: Kind = url.parse().unwrap();
    let elsewhere = match kind {
        Kind::Sqlite => "postgres://127.0.0.1:9/tally",
        Kind::Postgres => "sqlite:tally.db",
    };
    let started = start_on::<Tally, B>(config(elsewhere), CancellationToken::new()).await;
    assert!(matches!(started, Err(StartError::OtherKind(_))));
}

#[test]
fn its_command_line_has_its_name_and_says_what_it_does() {
    let said = |argument| {
        let said = CommandLine::<Tally>::try_parse_from(["tally", argument]);
        said.unwrap_err().to_string()
    };
    assert_eq!(said("--version"), "tally 1.2.3\n");
    let help = said("--help");
    assert!(help.starts_with("Counts\n\nUsage: tally [OPTIONS] [COMMAND]\n"));
    for text in ["--motto <MOTTO>", "--feed-url <URL>", "status", "export"] {
        assert!(help.contains(text), "{text}: {help}");
    }
    let read = CommandLine::<Tally>::try_parse_from(["tally", "status", "--json"]);
    assert!(read.unwrap().command.is_some());
}
