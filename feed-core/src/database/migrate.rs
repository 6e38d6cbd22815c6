//! Migrations: which there are, and which a database has had.

use std::fmt::Write;
use std::sync::PoisonError;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use tracing::{info, warn};

use super::Database;
use super::schema::Schema;
use super::timeout::STATEMENT;
use crate::http::with_causes;
use crate::store::{AppliedMigration, Backend, DatabaseError};

/// Where feed-core lists its own.
const TABLE: &str = "_feed_migrations";

/// One of feed-core's migrations, for a host that runs them by a tool of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationSql {
    /// They run in the order of these numbers, each of them once.
    pub version: i64,
    /// What it brings.
    pub name: &'static str,
    /// Several statements, to be run in one transaction as they are. The last ones record the migration in the table
    /// `_feed_migrations`, where [`Database::open`] looks for it.
    pub sql: String,
}

impl<B: Backend> Database<B> {
    /// The migrations that [`Database::open`] runs, as data. A host that runs them by a tool of its own opens the
    /// database [`without_migrations`](super::DatabaseOptions::without_migrations).
    ///
    /// On PostgreSQL they make their tables in the first schema of the session's `search_path`. See to it that this stays
    /// the same: in another one they would make a second, empty set.
    #[must_use]
    pub fn migrations() -> Vec<MigrationSql> {
        let migration = |migration: &Migration, name| {
            let hex = migration
                .checksum
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
            let (list, [begin, end]) = (B::MIGRATION_LIST, B::BYTES);
            let (version, sql) = (migration.version, migration.sql.as_str());
            let stored = &migration.description;
            let sql = format!(
                "{sql}
CREATE TABLE IF NOT EXISTS {TABLE} ({list});
INSERT INTO {TABLE} (version, description, success, checksum, execution_time)
VALUES ({version}, '{stored}', TRUE, {begin}{hex}{end}, 0);
"
            );
            MigrationSql { version, name, sql }
        };
        let files = B::MIGRATIONS.iter();
        files
            .map(|file| migration(&of_file(file), file.1))
            .collect()
    }

    /// Brings feed-core's own tables up to date; or only checks whether they are, if the host does that.
    pub(super) async fn migrate_own(&self, may_migrate: bool) -> Result<(), DatabaseError> {
        if may_migrate {
            return self.migrate(TABLE, B::MIGRATIONS).await;
        }
        let (reader, place) = (&self.shared.pools.reader, self.shared.schema.as_deref());
        self.within(STATEMENT, B::check_place(reader, TABLE, place))
            .await?;
        let schema = Schema::of(TABLE, B::MIGRATIONS);
        let applied = self.applied(TABLE).await?;
        if let Some(newer) = schema.unknown(&applied) {
            return Err(MigrateError::VersionMissing(newer.version).into());
        }
        let missing = B::MIGRATIONS.iter().filter(|(version, ..)| {
            let mut applied = applied.iter();
            applied.all(|applied| applied.version != *version)
        });
        let missing: Vec<String> = missing
            .map(|(version, name, _)| format!("{version} ({name})"))
            .collect();
        if !missing.is_empty() {
            return Err(DatabaseError::Pending(missing.join(", ")));
        }
        self.knows(schema);
        if !self.shared.read_only {
            self.raise_sequences(B::MIGRATIONS).await;
        }
        Ok(())
    }

    /// Runs the migrations in `files`, (number, name, SQL), that `table` does not list yet.
    /// Safe when several instances start at once.
    ///
    /// Programs of two versions share a database for as long as an upgrade takes. A migration beside which
    /// the version before can work on has a name that begins with `expand`: that version stays ready, and
    /// starts again, although it does not know of it. What takes something away or changes its meaning
    /// has to wait for the next version, when no program uses the old form any more; its name begins otherwise.
    ///
    /// # Errors
    ///
    /// A migration fails, or one that has run was changed since; or `table` is in another schema of PostgreSQL than the one
    /// in which it would be made now ([`DatabaseError::Elsewhere`]).
    pub async fn migrate(
        &self,
        table: &'static str,
        files: &[(i64, &'static str, &'static str)],
    ) -> Result<(), DatabaseError> {
        let migrations = files.iter().map(of_file).collect();
        let mut migrator = Migrator::with_migrations(migrations);
        migrator.dangerous_set_table_name(table);
        let schema = Schema::of(table, files);
        let applied = self.applied(table).await?;
        migrator.set_ignore_missing(schema.unknown(&applied).is_none());
        // What has been applied is only checked: no start waits for the lock then.
        let is_applied = |version| applied.iter().any(|applied| applied.version == version);
        migrator.set_locking(!files.iter().all(|&(version, ..)| is_applied(version)));
        B::run_migrations(
            &self.shared.pools.writer,
            &migrator,
            self.shared.schema.as_deref(),
            &self.shared.health,
        )
        .await?;
        // Of a file, the one that made it says so.
        if table == TABLE && applied.is_empty() && self.shared.file.is_none() {
            info!(
                "created the tables of a new, empty database at {self}; if there was one before, stop the service and \
                 restore that"
            );
        }
        self.knows(schema);
        self.raise_sequences(files).await;
        Ok(())
    }

    /// Repairs the sequences of the tables that these migrations create. A logical replication copies the rows alone: the
    /// numbers would be given out again, and events of one subject be applied in another order than they came (I6).
    async fn raise_sequences(&self, files: &[(i64, &'static str, &'static str)]) {
        let ours = |table: &str| {
            let create = format!("CREATE TABLE {table} (");
            files.iter().any(|(_, _, sql)| sql.contains(&create))
        };
        let raised = B::raise_sequences(
            &self.shared.pools.writer,
            self.shared.schema.as_deref(),
            ours,
        );
        match self.statement(raised).await {
            Ok(raised) => {
                for (column, last) in raised {
                    warn!(
                        "the sequence of {column} was behind the rows of its table, and is at {last} now: a replication \
                         copies rows, and no sequences"
                    );
                }
            }
            Err(error) => warn!(
                error = with_causes(&error),
                "cannot check that no sequence is behind the rows of its table, as after a replication"
            ),
        }
    }

    /// Compares it from now on with what is there.
    fn knows(&self, schema: Schema) {
        let mut schemas = self
            .shared
            .schemas
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        schemas.push(schema);
    }

    /// The migrations that `table` lists, if it is there.
    async fn applied(&self, table: &'static str) -> sqlx::Result<Vec<AppliedMigration>> {
        let tables = self.migration_tables().await?;
        match tables.iter().any(|there| there == table) {
            true => {
                self.statement(B::migrations(&self.shared.pools.reader, table))
                    .await
            }
            false => Ok(Vec::new()),
        }
    }

    async fn migration_tables(&self) -> sqlx::Result<Vec<String>> {
        self.statement(B::migration_tables(
            &self.shared.pools.reader,
            self.shared.schema.as_deref(),
        ))
        .await
    }

    /// For a service with a database of its own: refuses one in which another service has
    /// its tables. `table` is where this one lists its migrations.
    ///
    /// # Errors
    ///
    /// The database is another service's, or out of reach.
    pub async fn belongs_to(&self, table: &str) -> Result<(), DatabaseError> {
        // Ours, and that of `sqlx migrate`.
        let known = [table, TABLE, "_sqlx_migrations"];
        let mut tables = self.migration_tables().await?.into_iter();
        match tables.find(|other| !known.contains(&other.as_str())) {
            Some(other) => Err(DatabaseError::Others(other)),
            None => Ok(()),
        }
    }

    pub(super) fn schemas(&self) -> Vec<Schema> {
        let schemas = self.shared.schemas.lock();
        schemas.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The description is the name with spaces, by which older programs recognize an expansion.
fn of_file(&(version, name, sql): &(i64, &'static str, &'static str)) -> Migration {
    let (name, sql) = (name.replace('_', " ").into(), sql.into_sql_str());
    Migration::new(version, name, MigrationType::Simple, sql, false)
}
