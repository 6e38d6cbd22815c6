//! `export` and `import` on a service's command line. A service flattens [`Command`] into its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use sqlx::{Postgres, Sqlite};

use crate::command::{self, CommandError, Done};
use feed_chassis::{LogFormat, counted};
use feed_core::Backend;
use feed_core::transfer::{Import, Migrations, Moved, TransferError, export, import};
use feed_core::{Database, DatabaseOptions, Kind, redact_url};

use crate::DatabaseSettings;

impl From<TransferError> for CommandError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Database(error) => Self::Database(error),
            error => Self::Other(Box::new(error)),
        }
    }
}

/// Moves all data of a service to another database.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Write all data of this service to a file, to move it to another database
    ///
    /// Use it to move from SQLite to PostgreSQL, or back. Stop the service first: the file does not
    /// contain later changes. The file has one readable line of JSON for each row; it contains
    /// personal data, so protect it as you protect the database.
    #[command(after_help = "Example: export order.jsonl")]
    Export {
        /// Where to write; an existing export is replaced
        file: PathBuf,
    },

    /// Fill a new database (`DATABASE_URL`) from an export, all or nothing
    ///
    /// All numbers and ids stay unchanged, so the service continues where it was: give it the same
    /// `BASE_URL`, and its readers notice nothing. Do not run both services.
    #[command(after_help = "Example: import order.jsonl")]
    Import {
        /// The export to read
        file: PathBuf,
    },

    /// As `import`, and rolls all of it back: whether it would work.
    #[command(skip)]
    Try {
        /// The export to read
        file: PathBuf,
    },
}

impl Command {
    /// Implements a service's `main` for one of these.
    pub async fn run(
        &self,
        log: LogFormat,
        database: &DatabaseSettings,
        service: &Moved,
    ) -> ExitCode {
        command::run_anywhere(log, async || {
            self.execute(&database.options(), service).await
        })
        .await
    }

    /// Executes it on a database of `service`. An import creates the database if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if it fails; the new database is then unchanged.
    pub async fn execute(
        &self,
        database: &DatabaseOptions,
        service: &Moved,
    ) -> Result<Done, CommandError> {
        let url = &database.url;
        let kind = match self {
            Self::Export { .. } => command::existing(url)?,
            Self::Import { file } | Self::Try { file } => match File::open(file) {
                Ok(_) => url.parse()?,
                Err(error) => return Err(TransferError::File(file.clone(), error).into()),
            },
        };
        match kind {
            Kind::Sqlite => {
                let database = Database::<Sqlite>::open(database.clone()).await?;
                self.execute_on(database, url, service, service.sqlite)
                    .await
            }
            Kind::Postgres => {
                let database = Database::<Postgres>::open(database.clone()).await?;
                self.execute_on(database, url, service, service.postgres)
                    .await
            }
        }
    }

    async fn execute_on<B: Backend>(
        &self,
        database: Database<B>,
        url: &str,
        service: &Moved,
        migrations: Migrations,
    ) -> Result<Done, CommandError> {
        database.belongs_to(service.migrations).await?;
        database.migrate(service.migrations, migrations).await?;
        let (place, tables) = (redact_url(url), service.tables);
        let rows = |count: u64| counted(i64::try_from(count).unwrap_or(i64::MAX), "row");
        let moved =
            match self {
                Self::Export { file } => export(&database, tables, file).await.map(|count| {
                    Some(format!(
                        "Exported {} of {place} to {}.",
                        rows(count),
                        file.display()
                    ))
                }),
                Self::Import { file } => import(&database, tables, file, Import::ForGood)
                    .await
                    .map(|count| {
                        Some(format!(
                            "Imported {} of {} into {place}.",
                            rows(count),
                            file.display()
                        ))
                    }),
                Self::Try { file } => import(&database, tables, file, Import::OnTrial)
                    .await
                    .map(|_| None),
            };
        database.close().await;
        match moved? {
            Some(told) => command::say(&told),
            None => Ok(Done::Well),
        }
    }
}
