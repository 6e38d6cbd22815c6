//! What a consumer shows to a feed that asks who it is; to that feed's origin, and to no other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use crate::http::credentials::{self, Access, CredentialsError};
use crate::http::with_causes;

/// A credential: a value, or one from a file. It is never printed.
///
/// The file is read again when the feed refuses the credential: so it can be changed there without a restart. All
/// clones show the same.
#[derive(Clone)]
pub struct FeedCredentials(Arc<Shared>);

struct Shared {
    file: Option<PathBuf>,
    shown: Mutex<HeaderValue>,
}

/// A name or a token that cannot be shown to a feed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// It would be read as a shorter name and a longer password (RFC 7617, 2).
    #[error("a user's name has no colon")]
    Name,
    /// It is not of the form of RFC 6750, 2.1.
    #[error("a token has letters, digits and -._~+/ only, and may end with =")]
    Token,
}

impl FeedCredentials {
    /// A name and a password, for Basic (RFC 7617).
    ///
    /// ```
    /// use feed_core::consumer::FeedCredentials;
    ///
    /// let credentials = FeedCredentials::basic("invoice", "secret").unwrap();
    /// assert_eq!(format!("{credentials:?}"), "FeedCredentials(\"a value\")");
    /// ```
    ///
    /// # Errors
    ///
    /// The name has a colon.
    pub fn basic(name: &str, password: &str) -> Result<Self, InvalidCredentials> {
        if name.contains(':') {
            return Err(InvalidCredentials::Name);
        }
        let token = STANDARD.encode(format!("{name}:{password}"));
        Self::of_value(&format!("Basic {token}")).ok_or(InvalidCredentials::Name)
    }

    /// A token, for Bearer (RFC 6750).
    ///
    /// # Errors
    ///
    /// No token looks like that.
    pub fn bearer(token: &str) -> Result<Self, InvalidCredentials> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let letters = token.trim_end_matches('=');
        match !letters.is_empty() && letters.bytes().all(is_token) {
            true => Self::of_value(&format!("Bearer {token}")).ok_or(InvalidCredentials::Token),
            false => Err(InvalidCredentials::Token),
        }
    }

    fn of_value(authorization: &str) -> Option<Self> {
        let mut shown = HeaderValue::try_from(authorization).ok()?;
        // It is not in what is printed of a request.
        shown.set_sensitive(true);
        Some(Self(Arc::new(Shared {
            file: None,
            shown: Mutex::new(shown),
        })))
    }

    /// The credential in a file: `NAME:PASSWORD`, or a token. Of several, as in the file of a
    /// service that asks for them, the first one that is for reading.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is malformed, or holds none.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let file = file.into();
        let text = credentials::read_text(&file)?;
        Self::from_text(&text, file)
    }

    /// The same from the text of `file`, which was read already. It is read again when the feed refuses the credential.
    ///
    /// # Errors
    ///
    /// The text is malformed, or holds none.
    pub fn from_text(text: &str, file: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let file = file.into();
        let shown = Mutex::new(parse(text, &file)?);
        Ok(Self(Arc::new(Shared {
            file: Some(file),
            shown,
        })))
    }

    /// The same for a setting; the error is one line.
    ///
    /// # Errors
    ///
    /// As [`FeedCredentials::from_file`].
    pub fn from_setting(file: &str) -> Result<Self, String> {
        Self::from_file(file).map_err(|error| with_causes(&error))
    }

    /// The value of `Authorization`, for requests to the feed that do not go through a [`Subscription`]. It is for the
    /// feed's origin alone.
    ///
    /// [`Subscription`]: crate::consumer::Subscription
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        let shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }

    /// Another one than `refused`, if there is one by now.
    pub(crate) fn instead_of(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        let file = self.0.file.as_deref()?;
        match credentials::read_text(file).and_then(|text| parse(&text, file)) {
            Ok(read) => {
                let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.clone_from(&read);
                (read != *refused).then_some(read)
            }
            Err(error) => {
                tracing::error!(
                    error = with_causes(&error),
                    "the credentials stay as they were"
                );
                None
            }
        }
    }
}

impl fmt::Debug for FeedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_tuple("FeedCredentials");
        match &self.0.file {
            Some(file) => shown.field(file).finish(),
            None => shown.field(&"a value").finish(),
        }
    }
}

fn parse(text: &str, file: &Path) -> Result<HeaderValue, CredentialsError> {
    let lines = credentials::parse(text, file, true)?;
    let for_reading = lines
        .iter()
        .find(|line| line.access != Some(Access::Operate));
    let line = for_reading.or(lines.first());
    let shown = line.and_then(|line| HeaderValue::try_from(line.authorization()).ok());
    // It is not in what is printed of a request.
    let mut shown = shown.ok_or_else(|| CredentialsError::Empty(file.to_owned()))?;
    shown.set_sensitive(true);
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_to_the_feed_and_to_nobody_else() {
        let basic = FeedCredentials::basic("ada", "pass").expect("a name without a colon");
        let bearer = FeedCredentials::bearer("to-ken==").expect("a token");
        for (credentials, expected) in [(basic, "Basic YWRhOnBhc3M="), (bearer, "Bearer to-ken==")]
        {
            assert_eq!(credentials.authorization(), expected);
            let debug = format!("{credentials:?} {:?}", credentials.authorization());
            assert_eq!(debug, "FeedCredentials(\"a value\") Sensitive");
            assert_eq!(credentials.instead_of(&credentials.authorization()), None);
        }
        assert!(FeedCredentials::basic("ada:", "pass").is_err());
        for token in ["", "=", "two words", "line\nend", "a=b", "ä"] {
            assert!(FeedCredentials::bearer(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn of_several_the_first_for_reading_is_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        for (text, expected) in [
            ("ada:pass\n", "Basic YWRhOnBhc3M="),
            ("# ours\ntoken\n", "Bearer token"),
            ("operate eve\nread ada\nread bob\n", "Bearer ada"),
            ("operate eve\noperate mallory\n", "Bearer eve"),
        ] {
            std::fs::write(&file, text).expect("a file");
            let credentials = FeedCredentials::from_file(&file).expect("a credential");
            assert_eq!(credentials.authorization(), expected);
            let debug = format!("{credentials:?} {:?}", credentials.authorization());
            assert!(!debug.contains(expected), "{debug}");
            assert_eq!(credentials.instead_of(&credentials.authorization()), None);
            std::fs::write(&file, "new").expect("a file");
            let new = credentials.instead_of(&credentials.authorization());
            assert_eq!(new.expect("another one"), "Bearer new");
            assert_eq!(credentials.authorization(), "Bearer new");
            std::fs::write(&file, "").expect("a file");
            assert_eq!(credentials.instead_of(&credentials.authorization()), None);
            assert_eq!(credentials.authorization(), "Bearer new");
        }
    }
}
