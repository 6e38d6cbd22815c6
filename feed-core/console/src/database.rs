//! The database of a service.

use feed_core::transfer::Migrations;
use feed_core::{Backend, Database, DatabaseError, DatabaseOptions};

/// Opens a service's database with its schema up to date, unless it is only read; `table` lists its migrations there. A service without
/// migrations has no tables of its own: its database may be that of another program.
///
/// # Errors
///
/// The database is out of reach or of another service, or its schema cannot be brought up to date.
pub async fn open_database<B: Backend>(
    options: DatabaseOptions,
    table: &'static str,
    migrations: Migrations,
) -> Result<Database<B>, DatabaseError> {
    let changes_nothing = options.read_only;
    let database = Database::open(options).await?;
    if migrations.is_empty() {
        return Ok(database);
    }
    database.belongs_to(table).await?;
    if !changes_nothing {
        database.migrate(table, migrations).await?;
    }
    Ok(database)
}
