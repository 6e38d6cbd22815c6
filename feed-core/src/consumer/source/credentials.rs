//! What a consumer shows to a feed that asks who it is; to that feed's origin, and to no other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderValue;

use crate::http::credentials::{self, Access, CredentialsError};
use crate::http::with_causes;

/// A credential from a file, which is read again when the feed refuses it: so it can be changed
/// there without a restart. All clones show the same.
#[derive(Clone)]
pub struct FeedCredentials(Arc<Shared>);

struct Shared {
    file: PathBuf,
    shown: Mutex<HeaderValue>,
}

impl FeedCredentials {
    /// The credential in a file: `NAME:PASSWORD`, or a token. Of several, as in the file of a
    /// service that asks for them, the first one that is for reading.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is malformed, or holds none.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let file = file.into();
        let shown = Mutex::new(read(&file)?);
        Ok(Self(Arc::new(Shared { file, shown })))
    }

    /// The same for a setting; the error is told on one line.
    ///
    /// # Errors
    ///
    /// As [`FeedCredentials::from_file`].
    pub fn from_setting(file: &str) -> Result<Self, String> {
        Self::from_file(file).map_err(|error| with_causes(&error))
    }

    /// The value of `Authorization`.
    pub(crate) fn authorization(&self) -> HeaderValue {
        let shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }

    /// Another one than `refused`, if there is one by now.
    pub(crate) fn instead_of(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        match read(&self.0.file) {
            Ok(read) => {
                let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.clone_from(&read);
                (read != *refused).then_some(read)
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the credentials stay as they were"
                );
                None
            }
        }
    }
}

impl fmt::Debug for FeedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FeedCredentials")
            .field(&self.0.file)
            .finish()
    }
}

fn read(file: &Path) -> Result<HeaderValue, CredentialsError> {
    let lines = credentials::read(file, true)?;
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
