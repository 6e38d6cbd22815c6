//! PostgreSQL's constants for `statements/`, and the encoding of our types.

#[cfg(any(feature = "consume", feature = "publish"))]
use chrono::{DateTime, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

#[cfg(feature = "consume")]
use super::session::OWN_PLANNER;
#[cfg(feature = "publish")]
pub(super) use crate::dialect::postgres::GREATEST;
pub(super) use crate::dialect::postgres::{Db, Row};
#[cfg(any(feature = "consume", feature = "publish"))]
pub(super) use crate::dialect::postgres::{is_in, list};
use crate::event::EventId;
#[cfg(feature = "publish")]
use crate::store::publish::Text;

/// The clock, at this moment.
pub(super) const NOW: &str = "clock_timestamp()";

#[cfg(feature = "publish")]
/// The clock in whole milliseconds, the same wherever it stands in a statement.
pub(super) const NOW_MILLIS: &str = "date_trunc('milliseconds', now())";

/// True if the server follows another one, and cannot be written to.
pub(super) const IS_STANDBY: &str = "pg_is_in_recovery()";

/// The function that makes a JSON object of names and values.
pub(super) const JSON_OBJECT: &str = "json_build_object";

#[cfg(feature = "consume")]
/// Locks the rows that a `SELECT` finds.
pub(super) const FOR_UPDATE: &str = "FOR UPDATE";

#[cfg(feature = "consume")]
/// Locks them, but not against rows that reference them.
pub(super) const FOR_NO_KEY_UPDATE: &str = "FOR NO KEY UPDATE";

#[cfg(feature = "consume")]
/// Locks them, and leaves out those that another transaction has locked.
pub(super) const FOR_UPDATE_SKIP_LOCKED: &str = "FOR UPDATE SKIP LOCKED";

/// True if events have been committed that have no number yet.
pub(super) const HAS_UNNUMBERED: &str = "EXISTS (SELECT FROM feed_outbox)";

#[cfg(feature = "consume")]
/// Lets an `INSERT` give the number that the table would assign.
pub(super) const WITH_POSITION: &str = "OVERRIDING SYSTEM VALUE";

#[cfg(any(feature = "consume", feature = "publish"))]
/// An instant as a parameter.
pub(super) fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

#[cfg(feature = "consume")]
/// The table of the values of a list of texts.
pub(super) fn each(list: &str) -> String {
    format!("UNNEST({list}::text[]) AS each (value)")
}

#[cfg(feature = "consume")]
/// The clock in so many seconds.
pub(super) fn now_plus(seconds: &str) -> String {
    format!("{NOW} + make_interval(secs => {seconds})")
}

#[cfg(feature = "consume")]
/// The rows of `select`, in a statement after which the planner is as the role has set it; a row of nothing more, if
/// there are none.
pub(super) fn restoring_planner(name: &str, select: &str) -> String {
    format!(
        "WITH -- {name}
         own AS MATERIALIZED (SELECT {OWN_PLANNER})
         SELECT found.* FROM own LEFT JOIN ({select}) AS found ON TRUE"
    )
}

impl Type<Postgres> for EventId {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for EventId {
    fn encode_by_ref(&self, arguments: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<Postgres>>::encode_by_ref(&self.0, arguments)
    }
}

impl Decode<'_, Postgres> for EventId {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <Uuid as Decode<Postgres>>::decode(value).map(Self)
    }
}

#[cfg(feature = "publish")]
impl Type<Postgres> for Text {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        <String as Type<Postgres>>::compatible(found)
    }
}

#[cfg(feature = "publish")]
impl Decode<'_, Postgres> for Text {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(value.as_bytes()?.into())
    }
}
