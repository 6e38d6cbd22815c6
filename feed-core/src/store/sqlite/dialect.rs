//! How SQLite says what `statements/` leave open, and how it holds our types: instants and ids as text, lists
//! as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
#[cfg(feature = "consume")]
use serde_json::json;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteRow, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type};
use uuid::Uuid;

use crate::event::EventId;
#[cfg(feature = "publish")]
use crate::store::publish::Text;

/// The database.
pub(super) type Db = Sqlite;
/// One of its rows.
pub(super) type Row = SqliteRow;

/// The clock, at this moment; the same wherever it stands in a statement.
pub(super) const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

#[cfg(feature = "publish")]
/// The clock in whole milliseconds, the same wherever it stands in a statement.
pub(super) const NOW_MILLIS: &str = NOW;

#[cfg(feature = "publish")]
/// One second after the end of the second in which `updated` is.
pub(super) const SECOND_CLOSES: &str = "strftime('%Y-%m-%dT%H:%M:%S.000Z', updated, '+2 seconds')";

#[cfg(feature = "publish")]
/// The function that takes the largest of its arguments.
pub(super) const GREATEST: &str = "max";

/// The function that makes a JSON object of names and values.
pub(super) const JSON_OBJECT: &str = "json_object";

#[cfg(feature = "consume")]
/// Nothing: the transaction has the write lock from its beginning, and a single statement has it too.
pub(super) const FOR_UPDATE: &str = "";
#[cfg(feature = "consume")]
/// Nothing either.
pub(super) const FOR_UPDATE_SKIP_LOCKED: &str = "";

/// An event has its number when it commits.
pub(super) const HAS_UNNUMBERED: &str = "FALSE";

#[cfg(feature = "consume")]
/// The clock in so many seconds.
pub(super) fn now_plus(seconds: &str) -> String {
    format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ({seconds}) || ' seconds')")
}

#[cfg(feature = "consume")]
/// The rows of `select`: we have set nothing.
pub(super) fn restoring_planner(select: &str) -> String {
    select.to_owned()
}

#[cfg(feature = "consume")]
/// The condition that what stands before it is in a [`list`].
pub(super) fn is_in(list: &str) -> String {
    format!("IN (SELECT value FROM json_each({list}))")
}

#[cfg(feature = "consume")]
/// Several texts as one parameter.
pub(super) fn list(texts: &[&str]) -> String {
    json!(texts).to_string()
}

/// An instant as a parameter.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Type<Sqlite> for EventId {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for EventId {
    fn encode_by_ref(&self, arguments: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<Sqlite>>::encode(self.to_string(), arguments)
    }
}

impl Decode<'_, Sqlite> for EventId {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Sqlite>>::decode(value)?;
        Ok(Self(Uuid::try_parse(text)?))
    }
}

#[cfg(feature = "publish")]
impl Type<Sqlite> for Text {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }

    fn compatible(found: &SqliteTypeInfo) -> bool {
        <String as Type<Sqlite>>::compatible(found)
    }
}

#[cfg(feature = "publish")]
impl<'r> Decode<'r, Sqlite> for Text {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <&[u8] as Decode<'r, Sqlite>>::decode(value).map(Self::from)
    }
}
