//! SQLite's constants for `statements/`, and the encoding of our types: instants and ids as text, lists as JSON.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type};
use uuid::Uuid;

#[cfg(feature = "publish")]
pub(super) use crate::dialect::sqlite::GREATEST;
pub(super) use crate::dialect::sqlite::{Db, NOW, Row, instant};
#[cfg(any(feature = "consume", feature = "publish"))]
pub(super) use crate::dialect::sqlite::{is_in, list};
use crate::event::EventId;
#[cfg(feature = "publish")]
use crate::store::publish::Text;

#[cfg(feature = "publish")]
/// The clock in whole milliseconds, the same wherever it stands in a statement.
pub(super) const NOW_MILLIS: &str = NOW;

/// A file follows no other.
pub(super) const IS_STANDBY: &str = "FALSE";

/// The function that makes a JSON object of names and values.
pub(super) const JSON_OBJECT: &str = "json_object";

#[cfg(feature = "consume")]
/// Nothing: the transaction has the write lock from its beginning, and a single statement has it too.
pub(super) const FOR_UPDATE: &str = "";
#[cfg(feature = "consume")]
/// Empty: see [`FOR_UPDATE`].
pub(super) const FOR_NO_KEY_UPDATE: &str = "";
#[cfg(feature = "consume")]
/// Empty: see [`FOR_UPDATE`].
pub(super) const FOR_UPDATE_SKIP_LOCKED: &str = "";

#[cfg(feature = "consume")]
/// Nothing: an `INSERT` may give it.
pub(super) const WITH_POSITION: &str = "";

/// An event has its number when it commits.
pub(super) const HAS_UNNUMBERED: &str = "FALSE";

#[cfg(feature = "consume")]
/// The table of the values of a list of texts.
pub(super) fn each(list: &str) -> String {
    format!("json_each({list}) AS each")
}

#[cfg(feature = "consume")]
/// The clock in so many seconds.
pub(super) fn now_plus(seconds: &str) -> String {
    format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ({seconds}) || ' seconds')")
}

#[cfg(feature = "consume")]
/// The rows of `select`: we have set nothing.
pub(super) fn restoring_planner(name: &str, select: &str) -> String {
    format!("-- {name}\n{select}")
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
