//! What is to become of a batch that failed: whose fault it was, and when it is tried again.

use super::EffectError;
use crate::database::patience::{TRANSACTION, within};
use crate::service::with_causes;

/// Attempts after which a failing event is left to a person.
const ATTEMPTS: i64 = 8;

/// The pause before the first retry; it doubles with each attempt.
const FIRST_RETRY: i64 = 2;

/// The longest pause between retries, in seconds.
const LONGEST_RETRY: i64 = 300;

/// Characters of a reason.
const LONGEST_REASON: usize = 500;

/// Why a transaction was rolled back.
pub(super) enum Failure {
    /// The events are to blame, or one of them.
    Effect(EffectError),
    /// Nothing that the events did: they come again.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Runs a transaction to its end, whatever becomes of the one who waits for it. An effect that
/// panics counts as one that will not work.
pub(super) async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(within(TRANSACTION, work)).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Failure::Effect(EffectError::Park(format!(
                "the effect panicked: {text}"
            ))))
        }
        Err(_) => Err(Failure::Database(sqlx::Error::WorkerCrashed)),
    }
}

/// The seconds until attempt `attempts` is followed by the next one; `None`: a person decides.
pub(super) fn retry_in(error: &EffectError, attempts: i64) -> Option<i64> {
    let retry = matches!(error, EffectError::Retry(_)) && attempts < ATTEMPTS;
    let exponent = u32::try_from(attempts - 1).unwrap_or(0);
    retry.then(|| {
        let pause = (FIRST_RETRY << exponent.min(20)).min(LONGEST_RETRY);
        // Spread out, so that what failed together does not come back together.
        pause + fastrand::i64(0..=pause / 2)
    })
}

/// The reason with its causes, for the person who reads it on the status page; bounded, since it
/// may quote what was received.
pub(super) fn describe(error: &EffectError) -> String {
    brief(&with_causes(error))
}

/// What somebody else said, as it can be kept by any database and shown on any terminal: on one line,
/// without control characters, and with an end.
pub(super) fn brief(text: &str) -> String {
    let mut characters = text.chars();
    let printable = |character: char| match character {
        '\t' | '\n' | '\r' => ' ',
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    let begin = characters.by_ref().take(LONGEST_REASON).map(printable);
    let mut brief: String = begin.collect();
    if characters.next().is_some() {
        brief.push_str(" …");
    }
    brief
}

/// What is wrong with some JSON, without the value that is wrong: a reason stands in logs, and the value
/// may be a person's.
///
/// ```
/// use feed_core::consumer::without_value;
///
/// let error = serde_json::from_str::<i64>("\"Marie\"").unwrap_err();
/// assert_eq!(without_value(&error), "invalid type: string …, expected i64 at line 1 column 7");
/// ```
#[must_use]
pub fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let value = (text.find(['"', '`']), text.rfind(", expected"));
    match value {
        (Some(from), Some(to)) if text.starts_with("invalid ") && from < to => {
            format!("{}…{}", &text[..from], &text[to..])
        }
        _ => text,
    }
}

/// True for what another attempt with the same event would meet again: a constraint, or a value
/// that does not fit. A lost connection, a deadlock or a full disk is nobody's fault.
pub(super) fn blames_the_event(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // Classes 22, data exception, and 23, integrity constraint violation.
        code.starts_with("22") || code.starts_with("23")
    } else {
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH; the low byte is the primary code.
        let code: i32 = code.parse().unwrap_or(0);
        matches!(code & 0xff, 18..=20)
    }
}
