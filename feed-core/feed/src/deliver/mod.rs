//! `feed deliver`: follows a feed, and applies each event by SQL of the team's own, in its own database, or sends it to a
//! webhook.
//!
//! [`script`] is that SQL with its parameters, [`parameter`] their values, and [`webhook`] sends requests, from a
//! [`source`]. [`effect`] does either in the transaction that claims the event. Everything else is that of any consumer.

mod effect;
mod parameter;
mod script;
mod source;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use clap::builder::BoolishValueParser;
use feed_chassis::{parse_duration, parse_url, read_once};
use feed_console::StartError;
use feed_console::service::{self, Config, Service, ServiceOn, Site};
use feed_console::subscription::Again;
use feed_console::subscription::command::Command;
use feed_core::consumer::{Handle, redact_url};
use feed_core::transfer::{Migrations, Table};
use feed_core::{Backend, Database};
use sha2::{Digest, Sha256};
use tracing::warn;
use url::Url;

use effect::{Delivering, Execute, Target};
pub(crate) use parameter::as_json;
use script::Script;
use source::parse_source;
use webhook::{LONGEST_TIMEOUT, Secret, Webhook};

use crate::types::parse_type;

/// Defaults, by field name.
pub(crate) const DEFAULTS: &[(&str, &str)] = <Deliver as Service>::DEFAULTS;

/// Flags that its commands have as well, beside those of each consumer.
pub(crate) const SHARED: &[&str] = &["idempotent"];

const EXAMPLES: &str = "\
Example: deliver --feed-url http://127.0.0.1:8081/feed --database-url postgres://bill@localhost/bill --call on_event
Example: deliver --feed-url http://127.0.0.1:8081/feed --database-url sqlite:bill.db --sql on_event.sql
Example: deliver --feed-url http://127.0.0.1:8081/feed --to https://bill.example/hook --secret-file secret
Example: deliver --database-url postgres://bill@localhost/bill parked

A function that `--call` names takes the event as JSON: id, type, subject, sequence, time and data. PostgreSQL alone \
has such functions:

  CREATE FUNCTION on_event(event jsonb) RETURNS void LANGUAGE sql AS $$
      INSERT INTO bill (order_id) VALUES ((event -> 'data' ->> 'id')::bigint)
  $$

A file that `--sql` names has one or more statements, in which parameters stand for the event:

  INSERT INTO bill (order_id) VALUES (CAST(:data ->> 'id' AS BIGINT))

  :id :type :subject :sequence :time   as the feed has them; the id without `urn:uuid:`
  :data                                the data, which must be JSON
  :text                                the data as it is
  :event                               all of it as JSON

On PostgreSQL, `:data`, `:event` and what a function takes are jsonb, in which U+FFFD is in place of U+0000 and of half a \
surrogate pair; `:text` has their escapes.

Both run in the transaction that records the event as taken: it commits once for each event. An error rolls it back. An \
error of the database itself, such as a deadlock, is retried at once; one of the event or the SQL parks the event, and \
the later events of its subject wait for it. A function that returns a text had nothing to do, for that reason.

`--to` sends each event as a CloudEvent, at least once, in sequence within a subject. The header `webhook-id` is the \
event's id, and `webhook-signature` is that of Standard Webhooks; without `--secret-file` there is none. An answer 2xx counts as delivered. 408, 421, 425, 429, \
502, 503, 504 and no answer stop the delivery for a while, as long as `Retry-After` says (five minutes at most); so do \
401, 403, 407, 1xx, and 3xx, since a redirect is not followed. After a dozen attempts the event is parked, and the next \
ones are tried. Other 5xx are retried, and other 4xx park the event.";

/// With what is demanded by [`main`], and not by clap: a probe needs no target.
const USAGE: &str = "feed deliver [OPTIONS] <--call <FUNCTION>|--sql <FILE>|--to <URL>>
       feed deliver [OPTIONS] <COMMAND>";

/// Follow a feed, and execute SQL of your own for each event, once; or send it to a webhook
///
/// Keeps what it knows of the feed in tables of its own in your database. Its pages and commands show what was taken and
/// what has failed. Run as many instances as you like: they share the work by subject.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = USAGE,
    subcommand_help_heading = "Commands, whether it runs or not",
    subcommand_negates_reqs = true
)]
pub(crate) struct Deliver {
    #[command(flatten)]
    config: Config<Delivery>,

    /// The command to execute instead
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with events.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct Delivery {
    /// What is done for each event
    #[command(flatten)]
    target: Targets,

    /// The secret that signs requests to a webhook: a file with `whsec_` and the Base64 of 24 to 64 bytes in
    /// one line; without it they are not signed
    #[arg(long, env, value_name = "FILE", value_parser = read_once(Secret::of_file), requires = "to", conflicts_with_all = SQL)]
    secret_file: Option<Secret>,

    /// The `source` of the CloudEvents that a webhook gets, such as that in the feed's own CloudEvents [default: the
    /// address of the feed, without its query]
    #[arg(
        long = "source",
        env = "DELIVER_SOURCE",
        value_name = "URI",
        value_parser = parse_source,
        requires = "to",
        conflicts_with_all = SQL
    )]
    source: Option<String>,

    /// How long a webhook may take to answer; 8s at most
    #[arg(
        long,
        env = "WEBHOOK_TIMEOUT",
        value_name = "DURATION",
        value_parser = parse_timeout,
        default_value = "5s",
        conflicts_with_all = SQL
    )]
    timeout: Duration,

    /// An event may be delivered again without harm, as with ON CONFLICT DO NOTHING; `replay` and `resume --from-start`
    /// need it
    #[arg(long, env = "DELIVER_IDEMPOTENT", value_parser = BoolishValueParser::new())]
    idempotent: bool,

    /// Deliver only events of this type; for more types, repeat it or write commas between them. Events of other types
    /// are passed over for good
    #[arg(
        long = "type",
        env = "DELIVER_TYPES",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = parse_type
    )]
    types: Vec<String>,

    /// An event of this type erases the data of the earlier events of its subject, as after a person has asked to be
    /// forgotten: its own data replaces that of the parked ones. Give it as `--type` as well, if your own tables have such data
    #[arg(
        long,
        env = "DELIVER_ERASED_BY",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = parse_type
    )]
    erased_by: Vec<String>,

    /// The name of the subscription: several in one database need different names
    #[arg(long, env = "SUBSCRIPTION", value_name = "NAME", value_parser = parse_name, default_value = "feed")]
    subscription: String,
}

/// The targets that are no webhook. What a webhook alone needs conflicts with them: clap drops what an option requires if that
/// conflicts with another one that is given, as `--to` does with these.
const SQL: [&str; 2] = ["call", "sql"];

#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
struct Targets {
    /// A function of your PostgreSQL that takes the event as jsonb, with its schema if need be
    #[arg(long, env = "DELIVER_CALL", value_name = "FUNCTION", value_parser = Script::call)]
    call: Option<Script>,

    /// A file with SQL
    #[arg(long, env = "DELIVER_SQL", value_name = "FILE", value_parser = read_once(Script::of_file))]
    sql: Option<Script>,

    /// The address of a webhook
    #[arg(long, env = "DELIVER_TO", value_name = "URL", value_parser = parse_hook)]
    to: Option<Url>,
}

/// Separates the version of the program from the [name](Delivery::name) of its delivery.
const SEPARATOR: &str = ", ";

/// The bytes of a digest that a name has: enough to tell apart what instances of one subscription deliver.
const DIGEST: usize = 4;

/// The most instances that are compared.
const MOST_COMPARED: u32 = 100;

impl Targets {
    fn is_given(&self) -> bool {
        self.call.is_some() || self.sql.is_some() || self.to.is_some()
    }

    fn script(&self) -> Option<&Script> {
        self.call.as_ref().or(self.sql.as_ref())
    }

    /// Names where events are delivered. Path and query of a webhook's address may be secret, as its credentials are.
    fn name(&self) -> String {
        let script = self.script().and_then(|script| script.statements.first());
        match (&self.to, script) {
            (Some(url), _) => {
                let port = url.port().map(|port| format!(":{port}"));
                let host = url.host_str().unwrap_or_default();
                format!("a webhook of {host}{}", port.unwrap_or_default())
            }
            (None, Some(statement)) => statement.place.clone(),
            (None, None) => "nothing".to_owned(),
        }
    }
}

impl Delivery {
    /// Names what an instance delivers, and where: the same for each instance of a subscription. The digest at the end is of
    /// all that decides about the effect of an event.
    fn name(&self) -> String {
        let types = match self.types.as_slice() {
            [] => String::new(),
            [one] => format!(" for {one}"),
            [one, more @ ..] => format!(" for {one} and {} more", more.len()),
        };
        format!("{}{types} ({})", self.target.name(), self.digest())
    }

    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        // Texts of SQL and addresses have no byte 0.
        let mut add = |text: &str| {
            digest.update(text);
            digest.update([0]);
        };
        let script = self.target.script().into_iter();
        for statement in script.flat_map(|script| &script.statements) {
            let (sql, parameters) = statement.for_postgres();
            add(&sql);
            add(&format!("{parameters:?}"));
        }
        if let Some(mut url) = self.target.to.clone() {
            // A password may change while instances run. Both fail without a host alone.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            add(url.as_str());
            add(self.source.as_deref().unwrap_or_default());
        }
        let types: BTreeSet<&String> = self.types.iter().collect();
        for name in types {
            add(name);
        }
        let erased_by: BTreeSet<&String> = self.erased_by.iter().collect();
        for name in erased_by {
            // No type has a control character.
            add(&format!("\n{name}"));
        }
        let bytes = digest.finalize().into_iter().take(DIGEST);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Warns if instances of one subscription deliver different events, or to different targets: each event has the effect of
/// one of these alone.
async fn compare_instances<B: Backend>(
    database: &Database<B>,
    config: &Config<Delivery>,
) -> sqlx::Result<()> {
    let (subscription, own) = (&config.own.subscription, config.own.name());
    // The same SQL may be at another path.
    let same = format!("({})", config.own.digest());
    let handle = Handle::to_read(database.clone(), config.follow.subscription(subscription));
    for other in handle.instances(MOST_COMPARED).await? {
        let version = other.version.unwrap_or_default();
        if let Some(target) = other_target(other.alive, &version, &same) {
            warn!(
                "instance {} of the subscription {subscription} delivers to {target}, and this one to {own}: they share the \
                 events, so that each event reaches only one of these. For two targets, or other types, use two \
                 subscriptions (--subscription). If you have changed what is delivered, restart the others as well",
                other.instance
            );
        }
    }
    Ok(())
}

/// Warns where nothing signs the requests to a webhook.
fn check_secret(delivery: &Delivery) {
    if delivery.target.to.is_some() && delivery.secret_file.is_none() {
        warn!(
            "requests to the webhook are not signed, so it cannot tell who sends them: --secret-file (SECRET_FILE) names a \
             file with a secret that signs them"
        );
    }
}

/// Warns before the first start of a subscription beside others of the same feed: a name that was changed, or misspelt,
/// looks like a new subscription.
async fn compare_subscriptions<B: Backend>(
    database: &Database<B>,
    config: &Config<Delivery>,
) -> sqlx::Result<()> {
    let own = &config.own.subscription;
    let known = Handle::subscriptions(database).await?;
    if known.contains(own) {
        return Ok(());
    }
    for other in known {
        let handle = Handle::to_read(database.clone(), config.follow.subscription(&other));
        if handle.status().await?.feed == redact_url(&config.follow.feed_url) {
            warn!(
                "the subscription {own} is new and begins at the first event of the feed, which the subscription {other} \
                 in this database follows too: each event is delivered by both. If {own} was meant to continue {other}, \
                 stop it, and start it with --subscription {other}"
            );
        }
    }
    Ok(())
}

/// Returns where an instance of this version delivers to, if it is alive and that is not what the digest `same` is of.
fn other_target<'v>(alive: bool, version: &'v str, same: &str) -> Option<&'v str> {
    let (_, target) = version.split_once(SEPARATOR)?;
    (alive && !target.ends_with(same)).then_some(target)
}

/// Parses the address of a webhook.
fn parse_hook(text: &str) -> Result<Url, String> {
    let url = parse_url(text);
    url.map_err(|_| {
        "a webhook has an http: or https: address, such as https://bill.example/hook".to_owned()
    })
}

/// Parses the name of a subscription: a blank one is a variable that was left empty.
fn parse_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("write a name, such as feed".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        timeout if timeout > LONGEST_TIMEOUT => Err(format!("it is {LONGEST_TIMEOUT:?} at most")),
        timeout => Ok(timeout),
    }
}

/// Runs the consumer until `SIGTERM` or Ctrl-C, or executes the command.
pub(crate) async fn main(deliver: Deliver) -> ExitCode {
    let is_given = deliver.config.own.target.is_given();
    let Some(command) = deliver.command else {
        // A probe asks the service that runs, and delivers nothing.
        if !is_given && !deliver.config.settings.probe {
            eprintln!(
                "give --call, --sql or --to (DELIVER_CALL, DELIVER_SQL, DELIVER_TO): what is done for each event"
            );
            return ExitCode::from(2);
        }
        return service::run::<Deliver>(deliver.config).await;
    };
    if command.may_apply() && !is_given {
        eprintln!("give --call, --sql or --to as the service has it, before the command");
        return ExitCode::from(2);
    }
    service::execute::<Deliver>(deliver.config, command).await
}

impl Service for Deliver {
    const NAME: &'static str = "feed deliver";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "Follow a feed, and execute SQL of your own for each event, once; or send it to a webhook";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8082"),
        ("database_url", "sqlite:data/deliver.db"),
        ("instance", "deliver"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];

    const SUBSCRIPTION: &'static str = "feed";
    // It has no tables beside those of any consumer.
    const MIGRATIONS_TABLE: &'static str = "_deliver_migrations";
    const TABLES: &'static [Table] = &[];
    const TITLE: &'static str = "Delivery";

    type Settings = Delivery;

    fn subscription(settings: &Delivery) -> &str {
        &settings.subscription
    }

    fn again(settings: &Delivery) -> Again {
        match settings.idempotent {
            true => Again::Harmless,
            false => Again::Doubles(
                "it would deliver events again, and nothing here knows which effects are still there; give --idempotent \
                 (DELIVER_IDEMPOTENT=true) if that does no harm, as with INSERT … ON CONFLICT DO NOTHING",
            ),
        }
    }

    fn version(settings: &Delivery) -> String {
        format!("{}{SEPARATOR}{}", Self::VERSION, settings.name())
    }
}

impl<B: Execute> ServiceOn<B> for Deliver {
    const MIGRATIONS: Migrations = &[];

    type Effect = Delivering;
    type Expected = ();

    fn effect(config: &Config<Delivery>) -> Delivering {
        let Delivery {
            target,
            secret_file,
            source,
            timeout,
            types,
            erased_by,
            ..
        } = config.own.clone();
        let source = source.unwrap_or_else(|| {
            // Its query may have a secret, such as the token of a private feed.
            let mut feed = config.follow.feed_url.clone();
            feed.set_query(None);
            feed.into()
        });
        let target = match target {
            Targets { to: Some(url), .. } => {
                Target::Webhook(Webhook::new(url, source, secret_file, timeout))
            }
            Targets { call, sql, .. } => call.or(sql).map_or(Target::Unknown, Target::Script),
        };
        Delivering::new(target, types, erased_by)
    }

    async fn check(database: &Database<B>, config: &Config<Delivery>) -> Result<(), StartError> {
        <Self as ServiceOn<B>>::effect(config)
            .check(database)
            .await?;
        check_secret(&config.own);
        let compared = async {
            compare_subscriptions(database, config).await?;
            compare_instances(database, config).await
        };
        let compared = compared.await;
        compared.map_err(|error| StartError::Database(error.into()))
    }

    fn routes(site: Site<B>, _: &Delivery) -> Router {
        let status = site.frame.base.join("status");
        Router::new().route("/", get(async move || Redirect::to(status.path())))
    }
}
