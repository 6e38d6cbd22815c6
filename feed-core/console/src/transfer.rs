//! `export` and `import` on a service's command line. A service flattens [`Command`] into its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use sqlx::{Postgres, Sqlite};

use crate::command::{self, CommandError, Done};
use feed_chassis::{LogFormat, counted};
use feed_core::Backend;
use feed_core::transfer::{Import, Migrations, Moved, Table, TransferError, export, import};
use feed_core::{Database, DatabaseOptions, Kind, redact_url};

use crate::{DatabaseSettings, open_database};

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
    /// Write the service's data to a file, to move it to another database
    ///
    /// Use it to move from SQLite to PostgreSQL, or back. Stop the service first: later changes are not
    /// in the file. The file has one line of JSON per row, and contains personal data: protect it like
    /// the database.
    #[command(after_help = "Example: export order.jsonl")]
    Export {
        /// The file to write; an existing export is replaced
        file: PathBuf,
    },

    /// Fill a new database (`DATABASE_URL`) from the file of `export`, completely or not at all
    ///
    /// All numbers and ids stay, so the service continues where it was: with the same `BASE_URL`, its
    /// readers see no difference. Never run both services.
    #[command(after_help = "Example: import order.jsonl")]
    Import {
        /// The file to read
        file: PathBuf,
    },

    /// As `import`, and rolls everything back, to see whether it works.
    #[command(skip)]
    Try {
        /// The file to read
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
    /// Returns an error if it fails; an import then leaves the database unchanged.
    pub async fn execute(
        &self,
        database: &DatabaseOptions,
        service: &Moved,
    ) -> Result<Done, CommandError> {
        let (table, tables) = (service.migrations, service.tables);
        let (kind, options) = (self.kind(database)?, database.clone());
        match kind {
            Kind::Sqlite => {
                self.move_rows::<Sqlite>(options, table, service.sqlite, tables)
                    .await
            }
            Kind::Postgres => {
                self.move_rows::<Postgres>(options, table, service.postgres, tables)
                    .await
            }
        }
    }

    /// As [`execute`](Self::execute), for a service that supports one database.
    pub(crate) async fn execute_on<B: Backend>(
        &self,
        database: DatabaseOptions,
        table: &'static str,
        migrations: Migrations,
        tables: &[Table],
    ) -> Result<Done, CommandError> {
        self.kind(&database)?;
        self.move_rows::<B>(database, table, migrations, tables)
            .await
    }

    /// Returns the kind of the database, if it exists, or the file to import does.
    fn kind(&self, database: &DatabaseOptions) -> Result<Kind, CommandError> {
        let url = &database.url;
        match self {
            Self::Export { .. } => command::existing(url),
            Self::Import { file } | Self::Try { file } => match File::open(file) {
                Ok(_) => Ok(url.parse()?),
                Err(error) => Err(TransferError::File(file.clone(), error).into()),
            },
        }
    }

    async fn move_rows<B: Backend>(
        &self,
        options: DatabaseOptions,
        table: &'static str,
        migrations: Migrations,
        tables: &[Table],
    ) -> Result<Done, CommandError> {
        let place = redact_url(&options.url);
        let database: Database<B> = open_database(options, table, migrations).await?;
        let moved = match self {
            Self::Export { file } => export(&database, tables, file).await,
            Self::Import { file } => import(&database, tables, file, Import::ForGood).await,
            Self::Try { file } => import(&database, tables, file, Import::OnTrial).await,
        };
        database.close().await;
        let rows = counted(moved?, "row");
        match self {
            Self::Export { file } => command::say(&format!(
                "Exported {rows} of {place} to {}.",
                file.display()
            )),
            Self::Import { file } => command::say(&format!(
                "Imported {rows} of {} into {place}.",
                file.display()
            )),
            Self::Try { .. } => Ok(Done::Well),
        }
    }
}
