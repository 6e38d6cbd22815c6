//! A position in a feed, and its form on the wire.

use std::fmt;
use std::str::FromStr;

use crate::event::{EventId, LAST_SEQUENCE, Sequence};

/// A position in a feed: everything up to and including `sequence` has been read.
///
/// The anchor is the id of the event there. It distinguishes a feed that has continued from one
/// that was restored to an older state and then diverged with the same sequences.
///
/// On the wire a cursor is one string, which readers store and send back unchanged:
///
/// ```
/// use feed_core::Cursor;
///
/// let text = "k3v9x2pq.17.0192f0c1e0d07b33a1a2c3d4e5f60718";
/// let cursor: Cursor = text.parse()?;
/// assert_eq!(cursor.sequence, 17);
/// assert_eq!(cursor.to_string(), text);
/// # Ok::<(), feed_core::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The incarnation of the feed.
    pub epoch: Epoch,
    /// The last event read, 0 before the first.
    pub sequence: Sequence,
    /// The id of that event; `None` before the first.
    pub anchor: Option<EventId>,
}

impl Cursor {
    /// Returns the position before the first event of a feed: the oldest cursor.
    #[must_use]
    pub fn start(epoch: Epoch) -> Self {
        Self {
            epoch,
            sequence: 0,
            anchor: None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.epoch, self.sequence)?;
        match self.anchor {
            Some(anchor) => write!(f, "{}", anchor.0.simple()),
            None => f.write_str("0"),
        }
    }
}

/// A text that is not a cursor.
#[derive(Debug, thiserror::Error)]
#[error("a cursor is a string from a feed's <event:cursor>, such as k3v9x2pq.17.0192f0c1…")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split('.');
        let (Some(epoch), Some(sequence), Some(anchor), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidCursor);
        };
        let epoch = epoch.parse()?;
        // Accept one spelling for each cursor: no sign, no leading zeros.
        if !sequence.bytes().all(|b| b.is_ascii_digit())
            || (sequence.len() > 1 && sequence.starts_with('0'))
        {
            return Err(InvalidCursor);
        }
        let sequence: Sequence = sequence.parse().map_err(|_| InvalidCursor)?;
        if sequence > LAST_SEQUENCE {
            return Err(InvalidCursor);
        }
        let anchor = match (sequence, anchor) {
            (0, "0") => None,
            // In lower case, as cursors are written.
            (1.., hex) if hex.len() == 32 && !hex.contains(|c: char| c.is_ascii_uppercase()) => {
                Some(EventId(
                    uuid::Uuid::try_parse(hex).map_err(|_| InvalidCursor)?,
                ))
            }
            _ => return Err(InvalidCursor),
        };
        Ok(Self {
            epoch,
            sequence,
            anchor,
        })
    }
}

/// The incarnation of a feed: a short random id created with the database. Another database has
/// another epoch, so that no cache and no cursor mixes two histories.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; Epoch::LENGTH]);

impl Epoch {
    const LENGTH: usize = 8;

    /// Creates an epoch of letters and digits that are hard to confuse.
    #[must_use]
    pub fn random() -> Self {
        const ALPHABET: &[u8] = b"23456789abcdefghjkmnpqrstvwxyz";
        Self(std::array::from_fn(|_| {
            ALPHABET[fastrand::usize(..ALPHABET.len())]
        }))
    }

    /// Returns the epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Epoch {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let fits = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        match <[u8; Self::LENGTH]>::try_from(text.as_bytes()) {
            Ok(epoch) if epoch.iter().all(fits) => Ok(Self(epoch)),
            _ => Err(InvalidCursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        for wrong in [
            "",
            "start",
            "abcdefgh",
            "abcdefgh.0",
            "abcdefgh.1.0",
            "abcdefgh.0.0192f0c1e0d07b33a1a2c3d4e5f60718",
            "abcdefgh.01.0192f0c1e0d07b33a1a2c3d4e5f60718",
            "abcdefgh.1.0192F0C1E0D07B33A1A2C3D4E5F60718",
            "abcdefgh.+1.0192f0c1e0d07b33a1a2c3d4e5f60718",
            "abcdefgh.-1.0192f0c1e0d07b33a1a2c3d4e5f60718",
            "abcdefgh.99999999999999999999.0192f0c1e0d07b33a1a2c3d4e5f60718",
            "ABCDEFGH.0.0",
            "abcdefgh.0.0.0",
        ] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
        let start = Cursor::start(Epoch::random());
        assert_eq!(start.to_string().parse::<Cursor>().ok(), Some(start));
    }
}
