//! Session settings that we require, whatever a role, a database or a pooler sets, and the check that they hold: also that
//! the session stays the same for as long as the connection lasts.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqlSafeStr, SqlStr};

use crate::store::DatabaseError;

/// How our transactions begin. The rest of what they rely on is in [`SETTINGS`].
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE";

/// Settings that correctness, bounded waits and plans rest on, as `SHOW` writes them. One that a server does not
/// know yet (`transaction_timeout` came with 17) is left out.
const SETTINGS: &[(&str, &str)] = &[
    // A consumer that waits for a row expects to see it as it was committed; numbering takes a snapshot after
    // its lock. Stricter levels would fail instead.
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    // Bounded, since a waiting statement occupies a connection that others need.
    ("lock_timeout", LOCK_TIMEOUT),
    // An instance that freezes inside a transaction must not hold the head for ever.
    ("idle_in_transaction_session_timeout", "15s"),
    // The limits of `database/timeout.rs` hold; migrations and exports may take longer.
    ("statement_timeout", "0"),
    ("transaction_timeout", "0"),
    // One connection does nothing but listen.
    ("idle_session_timeout", "0"),
    // Some statements have a backslash in a text.
    ("standard_conforming_strings", "on"),
    // The next two are for our statements only: OWN_PLANNER undoes them before an effect. A
    // connection keeps its plans. One that reads a whole table because that is still empty would make the
    // first million events take hours; each statement has an index to go by.
    ("enable_seqscan", "off"),
    // What is off counts as costly, and what is costly would be compiled first: for statements as short as
    // these that takes longer than they do.
    ("jit", "off"),
    // A ROLLBACK outside a transaction is a warning on each release; errors are errors still.
    ("client_min_messages", "error"),
];

#[cfg(feature = "consume")]
/// The columns of a `SELECT` that gives the rest of the transaction the planner's settings back that the session
/// would have without us: those that [`begin_pooled`] has remembered, else those of the role and the database.
pub(super) const OWN_PLANNER: &str =
    "set_config('enable_seqscan', NULLIF(current_setting('feed.enable_seqscan', true), ''), true),
     set_config('jit', NULLIF(current_setting('feed.jit', true), ''), true)";

/// What [`OWN_PLANNER`] restores, remembered for the transaction.
const REMEMBER_PLANNER: &str =
    "SELECT set_config('feed.enable_seqscan', current_setting('enable_seqscan'), true),
            set_config('feed.jit', current_setting('jit'), true)";

/// How long a statement waits for what another transaction has locked.
const LOCK_TIMEOUT: &str = "3s";

/// [`SETTINGS`] as a table.
fn wanted() -> String {
    let rows: Vec<String> = SETTINGS
        .iter()
        .map(|(name, value)| format!("('{name}', '{value}')"))
        .collect();
    format!("(VALUES {}) AS wanted (name, value)", rows.join(", "))
}

/// The statement that sets [`SETTINGS`], for the session or for the transaction. A commit is on disk before an
/// event is shown to others: where a role has turned that off, it is turned on. A statement that we have given up
/// ends with its connection, and not when it is done: servers on other systems than Linux may refuse to look.
fn set(for_transaction: bool) -> String {
    format!(
        "SELECT -- session::prepare
         set_config(name, value, {for_transaction}) FROM {}
         WHERE current_setting(name, true) IS NOT NULL
         UNION ALL
         SELECT set_config('synchronous_commit', 'on', {for_transaction})
         WHERE current_setting('synchronous_commit') = 'off'
         UNION ALL
         SELECT set_config('client_connection_check_interval', '2s', {for_transaction})
         WHERE current_setting('client_connection_check_interval', true) IS NOT NULL
           AND version() LIKE '%linux%'",
        wanted()
    )
}

/// Puts [`SETTINGS`] in force for the session, and `schema` before its `search_path`, in one round trip. Not by startup
/// parameters: poolers refuse or drop them. Returns true if the server is a standby, which cannot be written to: it
/// accepts connections, and each statement that writes would fail.
pub(super) async fn prepare(
    session: &mut PgConnection,
    schema: Option<&str>,
) -> sqlx::Result<bool> {
    let path = match schema {
        Some(schema) => format!(
            "\nUNION ALL SELECT set_config('search_path', {}, false)",
            path_from(schema)
        ),
        None => String::new(),
    };
    let sql = AssertSqlSafe(format!("{}{path};\nSELECT pg_is_in_recovery()", set(false)));
    let rows = session.fetch_all(sql).await?;
    rows.last().map_or(Ok(false), |row| row.try_get(0))
}

/// The `search_path` that begins with `schema` and continues as that of the session.
fn path_from(schema: &str) -> String {
    let first = quoted(&format!("\"{}\"", schema.replace('"', "\"\"")));
    format!(
        "CASE WHEN starts_with(current_setting('search_path'), {first})
              THEN current_setting('search_path')
              ELSE concat_ws(', ', {first}, NULLIF(current_setting('search_path'), '')) END"
    )
}

/// A text as it stands in SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// True if the server follows another one, and cannot be written to.
pub(super) async fn is_standby(session: &mut PgConnection) -> sqlx::Result<bool> {
    let row = session
        .fetch_one("SELECT -- session::is_standby\n pg_is_in_recovery()")
        .await?;
    row.try_get(0)
}

/// The encoding of the database.
pub(super) async fn encoding(session: &mut PgConnection) -> sqlx::Result<String> {
    let sql = "SELECT -- session::encoding\n current_setting('server_encoding')";
    session.fetch_one(sql).await?.try_get(0)
}

/// True if there is such a schema.
pub(super) async fn has_schema(session: &mut PgConnection, schema: &str) -> sqlx::Result<bool> {
    let sql = AssertSqlSafe(format!(
        "SELECT -- session::has_schema
         EXISTS (SELECT FROM pg_namespace WHERE nspname = {})",
        quoted(schema)
    ));
    session.fetch_one(sql).await?.try_get(0)
}

/// Makes the schema.
pub(super) async fn create_schema(session: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let name = schema.replace('"', "\"\"");
    let sql = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{name}\""));
    session.execute(sql).await.map(drop)
}

/// Puts `schema` before the `search_path` of the session.
pub(super) async fn enter(session: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let path = path_from(schema);
    let sql = AssertSqlSafe(format!("SELECT set_config('search_path', {path}, false)"));
    session.execute(sql).await.map(drop)
}

/// Refuses a session that finds `table` in another schema than `schema`, or the one in which it would make it: a second set
/// of tables would begin anew, and with two sets, single statements would go to the other one.
pub(super) async fn check_place(
    session: &mut PgConnection,
    table: &str,
    schema: Option<&str>,
) -> Result<(), DatabaseError> {
    let places = sqlx::query_as(
        "SELECT -- session::check_place
         schemaname::text, COALESCE($2, current_schema()::text)
         FROM pg_tables WHERE tablename = $1 AND schemaname = ANY (current_schemas(false))
         ORDER BY array_position(current_schemas(false), schemaname)",
    );
    let places: Vec<(String, String)> = places.bind(table).bind(schema).fetch_all(session).await?;
    match places.first() {
        Some((found, place)) if found != place => {
            let (found, place) = (found.clone(), place.clone());
            Err(match places.iter().any(|(found, _)| *found == place) {
                false => DatabaseError::Elsewhere(found, place),
                true => DatabaseError::Pool(format!(
                    "its sessions find the tables of the schema {found} before those of {place}; put {place} first in \
                     their search_path (PgConnectOptions::options)"
                )),
            })
        }
        _ => Ok(()),
    }
}

/// What single statements rely on in the sessions of a host's pool, and is not so there.
pub(super) async fn unfit(
    session: &mut PgConnection,
    schema: Option<&str>,
) -> sqlx::Result<Vec<String>> {
    let path = match schema {
        Some(schema) => format!(
            "UNION ALL SELECT 'search_path with ' || quote_ident({schema})
             WHERE {schema} <> ALL (current_schemas(false))",
            schema = quoted(schema)
        ),
        None => String::new(),
    };
    let sql = AssertSqlSafe(format!(
        "SELECT -- session::unfit
         concat(name, ' = ', value)
         FROM (VALUES ('default_transaction_isolation', 'read committed'),
                      ('default_transaction_read_only', 'off'),
                      ('standard_conforming_strings', 'on')) AS wanted (name, value)
         WHERE current_setting(name) <> value
         UNION ALL
         SELECT 'synchronous_commit = on' WHERE current_setting('synchronous_commit') = 'off'
         {path}"
    ));
    let rows = session.fetch_all(sql).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The settings that are not in force.
pub(super) async fn not_in_force(session: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let sql = AssertSqlSafe(format!(
        "SELECT -- session::not_in_force
         name FROM {} WHERE current_setting(name, true) <> value",
        wanted()
    ));
    let rows = session.fetch_all(sql).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The message that begins a transaction at a pooler that gives each one another session: everything that
/// it relies on is set for this transaction, in the same round trip. `search_path` is that of our sessions: another
/// client of the pooler may have left its own. `clean` also removes the prepared statements that sqlx
/// has left in this session from an earlier transaction, where no pooler keeps them apart.
pub(super) fn begin_pooled(search_path: &str, clean: bool) -> SqlStr {
    const CLEAN: &str = "DO $$ DECLARE statement text; BEGIN
         FOR statement IN SELECT name FROM pg_prepared_statements WHERE starts_with(name, 'sqlx_s_')
         LOOP EXECUTE format('DEALLOCATE %I', statement); END LOOP;
     END $$";
    let sql = format!(
        "{BEGIN}, READ WRITE; SELECT set_config('search_path', {}, true); {REMEMBER_PLANNER}; {}{}",
        quoted(search_path),
        set(true),
        if clean {
            format!("; {CLEAN}")
        } else {
            String::new()
        }
    );
    AssertSqlSafe(sql).into_sql_str()
}

/// The message that begins a transaction in a session of the host: everything that it relies on is set for this
/// transaction.
pub(super) fn begin_adopted(schema: Option<&str>) -> SqlStr {
    let path = match schema {
        Some(schema) => format!(
            "SELECT set_config('search_path', {}, true); ",
            path_from(schema)
        ),
        None => String::new(),
    };
    let sql = format!(
        "{BEGIN}, READ WRITE; {path}{REMEMBER_PLANNER}; {}",
        set(true)
    );
    AssertSqlSafe(sql).into_sql_str()
}

/// How often the connections are compared. Nearly always once is enough: a pooler gives the session that came
/// back last, or the next one in turn. Other clients may come in between.
const COMPARISONS: u32 = 3;

/// A transaction that lasts while another connection is asked, whatever the role says of idle ones.
const PATIENT: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";

/// True if a pooler gives sessions for a transaction at a time: two connections have met the same session, or
/// one of them several. Sets nothing, which another client of the pooler would inherit.
pub(super) async fn is_pooled(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> sqlx::Result<bool> {
    for _ in 0..COMPARISONS {
        let session = id(one).await?;
        if id(one).await? != session {
            return Ok(true);
        }
        let mut tx = other.begin_with(PATIENT).await?;
        if id(&mut tx).await? == session || id(one).await? != session {
            return Ok(true);
        }
        tx.rollback().await?;
    }
    Ok(false)
}

/// What PostgreSQL calls the session. A simple statement, as those below: one that is prepared may not be found
/// again at a pooler.
pub(super) async fn id(connection: &mut PgConnection) -> sqlx::Result<i32> {
    let row = connection.fetch_one("SELECT pg_backend_pid()").await?;
    row.try_get(0)
}

/// Which database and schema this is, in a form to compare two addresses by; and the search path.
pub(super) async fn identity(connection: &mut PgConnection) -> sqlx::Result<(String, String)> {
    let sql = "SELECT -- session::identity
         concat_ws(' ', current_database(), current_schema(),
                          extract(epoch FROM pg_postmaster_start_time())),
                current_setting('search_path')";
    let row = connection.fetch_one(sql).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// True if prepared statements keep their names on the way to the server: then no pooler keeps those of several
/// clients apart. One that does renames them. Asked inside a transaction.
pub(super) async fn keeps_names(transaction: &mut PgConnection) -> sqlx::Result<bool> {
    let prepared = sqlx::query_scalar("SELECT -- session::prepared\n$1::int8").bind(1_i64);
    let _: i64 = prepared.fetch_one(&mut *transaction).await?;
    let sql =
        "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE starts_with(name, 'sqlx_s_'))";
    transaction.fetch_one(sql).await?.try_get(0)
}

/// The session that blocks the session `waiting`.
pub(super) async fn blocker(other: &sqlx::PgPool, waiting: i32) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT -- session::blocker
         concat('session ', pid, ' ', application_name, ' ', client_addr)
         FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1)) LIMIT 1",
    )
    .bind(waiting)
    .fetch_optional(other)
    .await
}

/// Ends a session that waits for a statement, if it has done so for some seconds. Returns true if that session is there no
/// more.
pub(super) async fn end_if_idle(other: &sqlx::PgPool, session: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT -- session::end_if_idle
         COALESCE((SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = $1 AND state LIKE 'idle%' AND state_change < clock_timestamp() - interval '4 s'),
                  NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1))",
    )
    .bind(session)
    .fetch_one(other)
    .await
}

/// How many connections the role and the database may have at this moment's settings, if that is limited.
pub(super) async fn connection_limit(session: &mut PgConnection) -> sqlx::Result<Option<i32>> {
    let sql = "SELECT -- session::connection_limit
         LEAST(NULLIF(rolconnlimit, -1), NULLIF(datconnlimit, -1))
         FROM pg_roles, pg_database
         WHERE rolname = current_user AND NOT rolsuper AND datname = current_database()";
    let row = session.fetch_optional(sql).await?;
    row.map_or(Ok(None), |row| row.try_get(0))
}

/// Returns the identity columns of `schema`, or of the one that is in use: the table, the column, and the statement that sets its sequence to the highest
/// number there if the next one would not be above it, and returns that.
pub(super) async fn identities(
    session: &mut PgConnection,
    schema: Option<&str>,
) -> sqlx::Result<Vec<(String, String, String)>> {
    let identities = sqlx::query_as(
        "SELECT -- session::identities
         relname::text, attname::text,
         format('SELECT setval(%L, rows.last) FROM (SELECT max(%I) AS last FROM %s) AS rows, %s AS numbers
                 WHERE rows.last >= numbers.last_value + numbers.is_called::int',
                numbers, attname, attrelid::regclass, numbers)
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
              JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = COALESCE($1, current_schema()),
              pg_get_serial_sequence(attrelid::regclass::text, attname) AS numbers
         WHERE attidentity <> '' AND NOT attisdropped
         ORDER BY relname",
    );
    identities.bind(schema).fetch_all(session).await
}
