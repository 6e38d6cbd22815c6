//! `feed serve`: publishes the outbox of an application as a feed. [`command`] has the operator's commands for it.

mod command;

use std::collections::BTreeMap;
use std::process::ExitCode;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::Redirect;
use axum::routing::get;
use clap::builder::BoolishValueParser;
use feed_chassis::html::stylesheet;
use feed_chassis::openapi::About;
use feed_chassis::{Mounted, Settings, describe_health, health, run};
use feed_console::feed::{Events, described};
use feed_console::{DatabaseSettings, StartError, mount};
use feed_core::http::Problem;
use feed_core::{Backend, Database, Feed, FeedSettings, Kind, feed};
use serde_json::Value;
use sqlx::{Postgres, Sqlite};
use tokio_util::sync::CancellationToken;

use command::Command;

/// Defaults, by field name.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("listen", "127.0.0.1:8081"),
    ("database_url", "sqlite:data/feed.db"),
];

const ABOUT: About = About {
    title: "Feed",
    description: "The events of an application as an Atom feed",
    version: env!("CARGO_PKG_VERSION"),
};

/// The links on each page.
const MENU: &[(&str, &str)] = &[("feed", "Feed")];

const EXAMPLES: &str = "\
Example: serve --database-url sqlite:shop.db
Example: serve --database-url postgres://shop@localhost/shop --database-schema feed

The application publishes in the transaction of its change, on both databases by

  INSERT INTO feed_outbox (event_type, subject, data)
  VALUES ('order.placed', 'order/17', '{\"id\": 17}')

and on PostgreSQL also by SELECT feed_append('order.placed', 'order/17', '{\"id\": 17}'). With --database-schema feed, both \
have the schema before them, as in feed.feed_outbox and feed.feed_append, unless it is in the search_path of the application.";

/// Publish the outbox of an application as a feed
///
/// Makes its tables in the database of the application, gives each event that has committed a sequence, and serves the
/// feed. The application does not depend on it: events wait in the database while it is down. Run as many instances as
/// you like.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = EXAMPLES,
    subcommand_help_heading = "Commands, whether it runs or not"
)]
pub(crate) struct Serve {
    #[command(flatten)]
    database: DatabaseSettings,

    #[command(flatten)]
    settings: Settings,

    /// Serve the feed of a copy of the database that cannot be written to, such as a hot standby of PostgreSQL
    #[arg(long, env = "FEED_READ_ONLY", help_heading = "Feed", value_parser = BoolishValueParser::new())]
    read_only: bool,

    /// A directory with the JSON Schema of the data of each event type, in files such as order.placed.json
    #[arg(long, env = "FEED_SCHEMAS", help_heading = "Feed", value_name = "DIRECTORY", value_parser = Schemas::in_directory)]
    schemas: Option<Schemas>,

    /// The title of the feed
    #[arg(
        long,
        env = "FEED_TITLE",
        help_heading = "Feed",
        value_name = "TEXT",
        default_value = "Events"
    )]
    title: String,

    /// What the events are about, as the subtitle of the feed
    #[arg(
        long,
        env = "FEED_SUBTITLE",
        help_heading = "Feed",
        value_name = "TEXT"
    )]
    subtitle: Option<String>,

    /// The author of the feed [default: its title]
    #[arg(long, env = "FEED_AUTHOR", help_heading = "Feed", value_name = "TEXT")]
    author: Option<String>,

    /// The command to execute instead
    #[command(subcommand)]
    command: Option<Command>,
}

/// The JSON Schema of each event type.
#[derive(Debug, Clone, Default)]
struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    fn in_directory(path: &str) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("cannot read the directory: {error}");
        let mut schemas = BTreeMap::new();
        for file in std::fs::read_dir(path).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            let (Some("json"), Some(name)) = (
                path.extension().and_then(|suffix| suffix.to_str()),
                path.file_stem().and_then(|name| name.to_str()),
            ) else {
                continue;
            };
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let schema = serde_json::from_str(&text);
            let schema: Value =
                schema.map_err(|error| format!("{} is no JSON: {error}", path.display()))?;
            // JSON Schema 2020-12, section 4.3.
            if !schema.is_object() && !schema.is_boolean() {
                return Err(format!(
                    "{} is no JSON Schema, which is an object, true or false",
                    path.display()
                ));
            }
            schemas.insert(name.to_owned(), schema);
        }
        Ok(Self(schemas))
    }
}

/// Runs the service until `SIGTERM` or Ctrl-C, or executes the command.
pub(crate) async fn main(mut serve: Serve) -> ExitCode {
    if let Some(command) = serve.command.take() {
        return command::execute(serve, command).await;
    }
    run(
        serve.settings.clone(),
        async |settings, shutdown| -> Result<_, StartError> {
            let base = settings.base_url();
            let serve = Serve {
                settings,
                ..serve.clone()
            };
            let mounted = match serve.database.url().parse()? {
                Kind::Sqlite => open::<Sqlite>(&serve, shutdown).await?,
                Kind::Postgres => open::<Postgres>(&serve, shutdown).await?,
            };
            tracing::info!("the feed: {}", base.join("feed"));
            Ok(mounted)
        },
    )
    .await
}

async fn open<B: Backend>(
    serve: &Serve,
    shutdown: CancellationToken,
) -> Result<Mounted, StartError> {
    let frame = feed_chassis::html::Frame {
        feed: Some("feed"),
        ..serve.settings.frame("Feed", MENU)
    };
    let base = frame.base.clone();
    let options = match serve.read_only {
        true => serve.database.options_to_serve().read_only(),
        false => serve.database.options_to_serve(),
    };
    let database = Database::<B>::open(options).await?;
    let schemas = serve.schemas.clone().unwrap_or_default().0;
    let settings = FeedSettings::new(base.clone(), serve.title.clone());
    let settings = FeedSettings {
        author: serve.author.clone().unwrap_or(settings.author),
        schemas: schemas.clone(),
        subtitle: serve.subtitle.clone(),
        page: Some(feed_console::feed::page(frame.clone())),
        ..settings
    };
    let feed = match serve.read_only {
        true => Feed::open_read_only(database.clone(), settings, shutdown).await?,
        false => Feed::open(database.clone(), settings, shutdown).await?,
    };
    let start = base.join("feed").path().to_owned();
    // The parameters stay, for a reader that was given this address as that of the feed.
    let to_feed = async move |RawQuery(query): RawQuery| match query {
        Some(query) if !query.is_empty() => Redirect::to(&format!("{start}?{query}")),
        // The feed refuses an empty query.
        _ => Redirect::to(&start),
    };
    let routes = Router::new()
        .route("/", get(to_feed))
        .merge(health(ready::<B>).with_state(database.clone()))
        .merge(stylesheet())
        .merge(feed_console::feed::router(&feed, frame.clone()));
    let description = feed_console::feed::describe::<Value>().with(describe_health());
    // An application needs no schema to publish.
    let events = Events {
        schemas: &schemas,
        others: true,
    };
    let router = described(routes, description, ABOUT, events, &base);
    Ok(mount(router, database)
        .with_readable(feed::READABLE)
        .with_pages(frame)
        .with_metrics(feed.clone())
        .with_closing(feed.clone().finish())
        .with_task(feed.run()))
}

/// Fails unless the database answers and has our schema.
async fn ready<B: Backend>(database: Database<B>) -> Result<(), Problem> {
    database.ready().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_an_object_or_a_boolean() {
        for (text, taken) in [
            (r#"{"type": "object"}"#, true),
            ("true", true),
            ("[]", false),
            ("17", false),
            ("{", false),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join("order.placed.json"), text).expect("a file");
            let schemas = Schemas::in_directory(directory.path().to_str().expect("a path of text"));
            assert_eq!(schemas.is_ok(), taken, "{text}: {schemas:?}");
            let said = schemas.err().unwrap_or("order.placed.json".to_owned());
            assert!(said.contains("order.placed.json"), "{said}");
        }
    }
}
