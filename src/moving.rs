//! `shop export` and `shop import`: the three databases to another place, such as from SQLite to
//! PostgreSQL. Each service moves its own; here is only where they are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueHint;
use feed_core::consumer::command::CommandError;
use feed_core::service::with_causes;
use feed_core::transfer::Command;

pub(crate) const EXAMPLES: &str = "\
Examples:
  shop export moving
      writes what is below data/ to moving/order.jsonl, moving/invoice.jsonl, moving/shipping.jsonl
  shop import --data-dir elsewhere moving
      makes another shop of it
  ORDER_DATABASE_URL=postgres://… INVOICE_DATABASE_URL=postgres://… \\
  SHIPPING_DATABASE_URL=postgres://… shop import moving
      moves it to PostgreSQL, into three new databases

Stop the shop first. `cargo run --` stands for `shop`.";

/// Where the databases are, and the files.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The directory with a file for each service
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,

    /// Where SQLite files are, for each service that has no URL
    #[arg(long, env, value_name = "DIRECTORY", value_hint = ValueHint::DirPath, default_value = "data")]
    data_dir: PathBuf,

    /// The order service's database; may hold a password, so set it in the environment
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    order_database_url: Option<String>,

    /// The invoice service's database
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    invoice_database_url: Option<String>,

    /// The shipping service's database
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    shipping_database_url: Option<String>,
}

impl Config {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.jsonl"))
    }
}

/// Writes all three to files. The consumers first: so none of them has taken an event that the order
/// service does not have.
pub(crate) async fn export(config: &Config) -> ExitCode {
    let made = std::fs::create_dir_all(&config.directory)
        .with_context(|| format!("cannot make {}", config.directory.display()));
    if let Err(error) = made {
        return failed(&error);
    }
    ended(all(config, |file| Command::Export { file }).await)
}

/// Fills three new databases from files, if all three are there.
pub(crate) async fn import(config: &Config) -> ExitCode {
    for name in ["invoice", "shipping", "order"] {
        let file = config.file(name);
        let there = std::fs::metadata(&file);
        if let Err(error) = there.with_context(|| format!("cannot use {}", file.display())) {
            return failed(&error);
        }
    }
    ended(all(config, |file| Command::Import { file }).await)
}

async fn all(config: &Config, command: impl Fn(PathBuf) -> Command) -> anyhow::Result<()> {
    let file = |name: &str| command(config.file(name));
    let url = |name: &str, url: &Option<String>| match url {
        Some(url) => url.clone(),
        None => sqlite(&config.data_dir, name),
    };
    let of =
        |name: &'static str| move |error: CommandError| anyhow::Error::new(error).context(name);
    let invoice = url("invoice", &config.invoice_database_url);
    invoice::transfer(&invoice, &file("invoice"))
        .await
        .map_err(of("invoice"))?;
    let shipping = url("shipping", &config.shipping_database_url);
    shipping::transfer(&shipping, &file("shipping"))
        .await
        .map_err(of("shipping"))?;
    let order = url("order", &config.order_database_url);
    order::transfer(&order, &file("order"))
        .await
        .map_err(of("order"))?;
    Ok(())
}

/// The database of a service that has no URL of its own.
pub(crate) fn sqlite(data_dir: &Path, name: &str) -> String {
    format!("sqlite:{}", data_dir.join(format!("{name}.db")).display())
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", with_causes(error.as_ref()));
    ExitCode::from(2)
}
