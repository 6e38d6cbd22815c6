//! `shop export` and `shop import`: the three databases to other ones, such as from SQLite to
//! PostgreSQL. Each service moves its own; this module knows where they are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueHint;
use feed_console::command::CommandError;
use feed_console::transfer::Command;
use feed_core::DatabaseOptions;
use feed_core::http::with_causes;
use feed_core::transfer::Moved;

pub(crate) const EXAMPLES: &str = "\
Examples:
  shop export moving
      writes the data below data/ to moving/order.jsonl, moving/invoice.jsonl, moving/shipping.jsonl
  shop import --data-dir elsewhere moving
      creates another shop from these files
  ORDER_DATABASE_URL=postgres://… INVOICE_DATABASE_URL=postgres://… \\
  SHIPPING_DATABASE_URL=postgres://… shop import moving
      moves it to PostgreSQL, into three new databases

Stop the shop first. `shop` is short for `cargo run --`.";

/// The consumers first: so none of them has applied an event that the order service does not have.
const SERVICES: [(&str, Moved); 3] = [
    ("invoice", invoice::MOVED),
    ("shipping", shipping::MOVED),
    ("order", order::MOVED),
];

/// Where the databases are, and the files.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The directory with a file for each service
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,

    /// The directory of the SQLite files, if the services have no URLs
    #[arg(long, env, value_name = "DIRECTORY", value_hint = ValueHint::DirPath, default_value = "data")]
    data_dir: PathBuf,

    /// The order service's database; may contain a password, so set it in the environment
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

    /// The databases of [`SERVICES`]: all by their URLs, or all below the directory.
    fn urls(&self) -> anyhow::Result<[String; 3]> {
        let given = [
            &self.invoice_database_url,
            &self.shipping_database_url,
            &self.order_database_url,
        ];
        match given {
            [Some(invoice), Some(shipping), Some(order)] => {
                Ok([invoice, shipping, order].map(String::clone))
            }
            [None, None, None] => Ok(SERVICES.map(|(name, _)| sqlite(&self.data_dir, name))),
            _ => bail!(
                "set the URLs of all three databases (INVOICE_DATABASE_URL, SHIPPING_DATABASE_URL, \
                 ORDER_DATABASE_URL), or none: then they are below DATA_DIR"
            ),
        }
    }

    async fn each(&self, command: impl Fn(PathBuf) -> Command) -> anyhow::Result<()> {
        for ((name, service), url) in SERVICES.iter().zip(self.urls()?) {
            let database = DatabaseOptions::new(url);
            let done = command(self.file(name)).execute(&database, service).await;
            done.map_err(|error| explained(name, error))?;
        }
        Ok(())
    }
}

/// Writes all three to files.
pub(crate) async fn export(config: &Config) -> ExitCode {
    let export = async {
        std::fs::create_dir_all(&config.directory)
            .with_context(|| format!("cannot create {}", config.directory.display()))?;
        // A directory has all of one export or nothing: half of an older one would pass for it.
        for (name, _) in SERVICES {
            let file = config.file(name);
            if file.exists() {
                bail!("{} exists: export into a new directory", file.display());
            }
        }
        config.each(|file| Command::Export { file }).await
    };
    ended(export.await)
}

/// Fills three new databases from files, after all three have been checked.
pub(crate) async fn import(config: &Config) -> ExitCode {
    let import = async {
        for (name, _) in SERVICES {
            let file = config.file(name);
            std::fs::metadata(&file).with_context(|| format!("cannot use {}", file.display()))?;
        }
        config.each(|file| Command::Try { file }).await?;
        config.each(|file| Command::Import { file }).await
    };
    ended(import.await)
}

/// The database of a service that has no URL of its own.
pub(crate) fn sqlite(data_dir: &Path, name: &str) -> String {
    let file = data_dir.join(format!("{name}.db")).display().to_string();
    // The driver decodes the path of a URL, and takes what follows a question mark for parameters.
    format!("sqlite:{}", file.replace('%', "%25").replace('?', "%3F"))
}

/// What went wrong, in terms of this program's settings.
fn explained(name: &str, error: CommandError) -> anyhow::Error {
    let variable = format!("{}_DATABASE_URL", name.to_uppercase());
    match error {
        CommandError::Open(error) => anyhow::Error::new(error).context(format!(
            "the database of {name} cannot be used ({variable} or DATA_DIR)"
        )),
        CommandError::NoDatabase(file) => anyhow::anyhow!(
            "there is no database {}: set that of {name} ({variable} or DATA_DIR)",
            file.display()
        ),
        error => anyhow::Error::new(error).context(name.to_owned()),
    }
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_causes(error.as_ref()));
            ExitCode::from(2)
        }
    }
}
