//! Delivers each event in the transaction that claims it: by SQL of a team, or to a webhook.

use std::error::Error;

use feed_console::StartError;
use feed_core::dialect::Answer;
use feed_core::{Backend, Batch, Database, DatabaseError, Effect, EffectError, Received};
use sqlx::{AssertSqlSafe, Executor, Postgres, Row, SqlSafeStr, Sqlite, Transaction};

use super::script::{Script, Statement};
use super::webhook::Webhook;
use crate::types;

/// Where events are delivered to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Script(Script),
    Webhook(Webhook),
    /// For commands, which need none. Events that come all the same must not be taken for delivered.
    Unknown,
}

/// Delivers events of some types.
#[derive(Debug, Clone)]
pub(crate) struct Delivering {
    target: Target,
    /// The types to deliver; all if there are none.
    types: Vec<String>,
    /// The types whose events erase the data of earlier ones.
    erased_by: Vec<String>,
}

impl Delivering {
    pub(super) fn new(target: Target, types: Vec<String>, erased_by: Vec<String>) -> Self {
        Self {
            target,
            types,
            erased_by,
        }
    }

    /// Lets the database parse all statements and find what they name.
    pub(super) async fn check<B: Execute>(&self, database: &Database<B>) -> Result<(), StartError> {
        let Target::Script(script) = &self.target else {
            return Ok(());
        };
        for statement in &script.statements {
            let refused = |what: &str, error: Box<dyn Error + Send + Sync>| {
                StartError::Effect(format!("{what} cannot be executed here"), error)
            };
            // The error names the place.
            let own = statement.check(B::is_parameter);
            own.map_err(|error| refused("the SQL", error.into()))?;
            let prepared = B::prepare(database, statement).await;
            prepared.map_err(|error| match DatabaseError::from(error) {
                // The server has gone away, and will come back.
                error if error.may_pass() => error.into(),
                DatabaseError::Prepare(error) => refused(&statement.place, error.into()),
                error => error.into(),
            })?;
        }
        Ok(())
    }
}

impl<B: Execute> Effect<B> for Delivering {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            if !types::include(&self.types, event) {
                let other = event.event_type.as_deref().unwrap_or("none");
                let reason = format!("an event of type {other}, which is not delivered");
                events.pass_over(event, reason);
                continue;
            }
            match &self.target {
                Target::Script(script) => {
                    for statement in &script.statements {
                        if let Some(reason) = B::execute(tx, statement, event).await? {
                            events.pass_over(event, reason);
                        }
                    }
                }
                Target::Webhook(webhook) => webhook.send(event).await?,
                Target::Unknown => {
                    return Err(EffectError::Later {
                        reason: "give --call, --sql or --to as the running service has it"
                            .to_owned(),
                        after: None,
                    });
                }
            }
        }
        Ok(())
    }

    fn most_events(&self) -> usize {
        match self.target {
            Target::Webhook(_) => 1,
            Target::Script(_) | Target::Unknown => usize::MAX,
        }
    }

    fn erases(&self, event: &Received) -> bool {
        let event_type = event.event_type.as_ref();
        event_type.is_some_and(|name| self.erased_by.contains(name))
    }
}

/// A database that executes statements with parameters.
pub(crate) trait Execute: Backend {
    /// Returns true if the database takes this text, which may be a parameter of another program and be between brackets, for
    /// a parameter. It would be empty, or have the value of another one.
    fn is_parameter(text: &str, bracketed: bool) -> bool;

    /// Parses a statement without executing it.
    fn prepare(database: &Database<Self>, statement: &Statement) -> impl Answer<()>;

    /// Executes a statement for `event`. Returns the text that a called function returns, if it does: the reason why
    /// it had nothing to do.
    fn execute(
        tx: &mut Transaction<'_, Self>,
        statement: &Statement,
        event: &Received,
    ) -> impl Answer<Option<String>>;
}

/// The same code for both databases: sqlx has no bounds by which it could be generic.
macro_rules! execute_on {
    ($database:ty, $numbered:ident, $value:ident, $is_parameter:expr) => {
        impl Execute for $database {
            fn is_parameter(text: &str, bracketed: bool) -> bool {
                let is_parameter: fn(&str, bool) -> bool = $is_parameter;
                is_parameter(text, bracketed)
            }

            async fn prepare(database: &Database<Self>, statement: &Statement) -> sqlx::Result<()> {
                let (sql, _) = statement.$numbered();
                let mut tx = database.begin().await?;
                (&mut *tx)
                    .prepare(AssertSqlSafe(sql).into_sql_str())
                    .await?;
                tx.rollback().await
            }

            async fn execute(
                tx: &mut Transaction<'_, Self>,
                statement: &Statement,
                event: &Received,
            ) -> sqlx::Result<Option<String>> {
                let (sql, parameters) = statement.$numbered();
                let mut query = sqlx::query(AssertSqlSafe(sql));
                for parameter in parameters {
                    query = query.bind(parameter.$value(event));
                }
                if !statement.is_call {
                    query.execute(&mut **tx).await?;
                    return Ok(None);
                }
                let row = query.fetch_optional(&mut **tx).await?;
                // A function that returns void, or something else, returns no text.
                Ok(row.and_then(|row| row.try_get(0).ok().flatten()))
            }
        }
    };
}

// `?`, `@` and `#` are operators there, and a colon is between the bounds of a slice.
execute_on!(Postgres, for_postgres, postgres_value, |text, _| text
    .starts_with('$')
    && !text.ends_with('$'));
execute_on!(Sqlite, for_sqlite, value, |_, bracketed| !bracketed);
