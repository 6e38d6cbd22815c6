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

/// Moves all that a service has to another database.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Write all that this service has to a file, to move it to another database
    ///
    /// Use it to go from SQLite to PostgreSQL, or back. Stop the service first: what happens after the
    /// export is not in the file. Whole and readable, a line of JSON for each row; it holds personal
    /// data, so keep it as you keep the database.
    #[command(after_help = "Example: export order.jsonl")]
    Export {
        /// Where to write; an export that is there is replaced
        file: PathBuf,
    },

    /// Fill a new database (`DATABASE_URL`) with what `export` has written, all or nothing
    ///
    /// All numbers and ids stay as they were, so the service goes on where it was: give it the same
    /// `BASE_URL`, and its readers notice nothing. Do not let both services run.
    #[command(after_help = "Example: import order.jsonl")]
    Import {
        /// What to read
        file: PathBuf,
    },

    /// As `import`, and takes all of it back: whether it would work.
    #[command(skip)]
    Try {
        /// What to read
        file: PathBuf,
    },
}

impl Command {
    /// All of a service's `main` for one of these.
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

    /// Carries it out on a database, which is `service`'s. To import makes it where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be carried out; a database that was to be filled is as it was.
    pub async fn execute(
        &self,
        database: &DatabaseOptions,
        service: &Moved,
    ) -> Result<Done, CommandError> {
        let (table, tables) = (service.migrations, service.tables);
        match self.kind(database)? {
            Kind::Sqlite => {
                let options = database.clone();
                self.move_rows::<Sqlite>(options, table, service.sqlite, tables)
                    .await
            }
            Kind::Postgres => {
                let options = database.clone();
                self.move_rows::<Postgres>(options, table, service.postgres, tables)
                    .await
            }
        }
    }

    /// The same for a service on one kind of database.
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

    /// The kind of the database, if it or the file that is to fill it is there.
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
