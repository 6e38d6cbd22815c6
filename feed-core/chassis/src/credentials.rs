//! The credentials that a service requires (I12): several at a time, so that they can be rotated
//! one by one, and from a file that a running service can reload.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use feed_http::credentials::{self, Access, CredentialsError, Line, Scheme, authorization};
use feed_http::with_causes;

/// The valid credentials; all clones share them.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    file: PathBuf,
    valid: RwLock<Valid>,
}

struct Valid {
    known: Vec<(Access, [u8; 32])>,
    /// The challenges: `WWW-Authenticate` (RFC 9110, 11.6.1).
    challenges: Vec<HeaderValue>,
}

impl Credentials {
    /// Reads the credentials in a file: one a line, `read NAME:PASSWORD` or `operate
    /// NAME:PASSWORD`, or a token in place of both.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is malformed, or contains none.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let file = file.into();
        let text = credentials::read_text(&file)?;
        Self::from_text(&text, file)
    }

    /// Takes the credentials from the text of `file`, which was read already. Only a reload reads the file again.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is malformed, or contains none.
    pub fn from_text(text: &str, file: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let file = file.into();
        let valid = RwLock::new(Valid::parse(text, &file)?);
        Ok(Self(Arc::new(Shared { file, valid })))
    }

    /// Reads the file of a command line's setting.
    ///
    /// # Errors
    ///
    /// As [`Credentials::from_file`], on one line.
    pub fn from_setting(file: &str) -> Result<Self, String> {
        Self::from_text(&Self::text_of_setting(file)?, file).map_err(|error| with_causes(&error))
    }

    /// Reads the text of the file of a command line's setting, for [`Credentials::from_text`].
    ///
    /// # Errors
    ///
    /// Returns an error, on one line, if the file cannot be read.
    pub fn text_of_setting(file: &str) -> Result<String, String> {
        if file.is_empty() {
            // It may come from a variable that ought to have a value.
            return Err(
                "it is empty, and without it the service would be open to all: name the file with the credentials, or \
                 remove the setting to require none"
                    .to_owned(),
            );
        }
        credentials::read_text(Path::new(file)).map_err(|error| with_causes(&error))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Reloads the file, and returns the number of credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is invalid; the earlier credentials then stay valid.
    pub fn renew(&self) -> Result<usize, CredentialsError> {
        let read = Valid::parse(&credentials::read_text(&self.0.file)?, &self.0.file)?;
        let count = read.known.len();
        *self.0.valid.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(count)
    }

    /// Returns what a request with these headers may do; `None` without a valid credential.
    pub(super) fn granted(&self, headers: &HeaderMap) -> Option<Access> {
        let shown = digest(&authorization(headers)?);
        let (mut read, mut operate) = (Choice::from(0), Choice::from(0));
        // Compare with all of them, so that the time reveals nothing.
        for (access, digest) in &self.valid().known {
            let same = digest.ct_eq(&shown);
            match access {
                Access::Read => read |= same,
                Access::Operate => operate |= same,
            }
        }
        if operate.into() {
            Some(Access::Operate)
        } else {
            bool::from(read).then_some(Access::Read)
        }
    }

    /// Returns the challenges for a request without credentials.
    pub(super) fn challenges(&self) -> Vec<HeaderValue> {
        self.valid().challenges.clone()
    }

    fn valid(&self) -> std::sync::RwLockReadGuard<'_, Valid> {
        self.0.valid.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0.file).finish()
    }
}

impl Valid {
    fn parse(text: &str, file: &Path) -> Result<Self, CredentialsError> {
        let lines = credentials::parse(text, file, false)?;
        let has = |scheme| lines.iter().any(|line| line.scheme == scheme);
        // A browser asks for a name and a password only if the file has some.
        let challenges = [
            (Scheme::Basic, "Basic realm=\"services\", charset=\"UTF-8\""),
            (Scheme::Bearer, "Bearer realm=\"services\""),
        ];
        let challenges = challenges.iter().filter(|(scheme, _)| has(*scheme));
        let known = |line: &Line| Some((line.access?, digest(&line.authorization())));
        Ok(Self {
            challenges: challenges
                .map(|(_, challenge)| HeaderValue::from_static(challenge))
                .collect(),
            known: lines.iter().filter_map(known).collect(),
        })
    }
}

/// Returns a digest: all have the same length and do not reveal the credential.
fn digest(authorization: &str) -> [u8; 32] {
    Sha256::digest(authorization.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    fn granted(credentials: &Credentials, shown: &[&str]) -> Option<Access> {
        let shown = shown.iter().map(|shown| {
            let value = shown.parse().expect("a header value");
            (header::AUTHORIZATION, value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in shown {
            headers.append(name, value);
        }
        credentials.granted(&headers)
    }

    #[test]
    fn each_valid_credential_opens_what_it_says_and_nothing_else_does() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        let text = "# two of each, for a change\nread ada:first\nread ada:second\n\
                    operate eve:Ünique pass\noperate 0aZ-token\nread both:same\noperate both:same\n";
        std::fs::write(&file, text).expect("a file");
        let credentials = Credentials::from_file(&file).expect("they can be read");
        let read = Some(Access::Read);
        let operate = Some(Access::Operate);
        for (shown, expected) in [
            (&["Basic YWRhOmZpcnN0"][..], read),
            (&["bAsIc   YWRhOnNlY29uZA=="], read),
            (&["Basic ZXZlOsOcbmlxdWUgcGFzcw=="], operate),
            (&["Bearer 0aZ-token"], operate),
            (&["bearer 0aZ-token"], operate),
            (&["Basic Ym90aDpzYW1l"], operate),
            (&[], None),
            (&[""], None),
            (&["Basic"], None),
            (&["Basic "], None),
            (&["Basic YWRhOnRoaXJk"], None),
            (&["Basic YWRhOg=="], None),
            (&["Basic ada:first"], None),
            (&["Bearer YWRhOmZpcnN0"], None),
            (&["Basic 0aZ-token"], None),
            (&["Bearer 0aZ-toke"], None),
            (&["Bearer 0aZ-token2"], None),
            (&["0aZ-token"], None),
            (&["Digest 0aZ-token"], None),
            (&["Bearer 0aZ-token", "Bearer 0aZ-token"], None),
            (&["Bearer 0aZ-token", "Basic YWRhOmZpcnN0"], None),
        ] {
            assert_eq!(granted(&credentials, shown), expected, "{shown:?}");
        }
        let debug = format!("{credentials:?}");
        assert!(!debug.contains("first"), "{debug}");

        std::fs::write(&file, "read ada:third\noperate").expect("a file");
        credentials.renew().expect_err("the second line is none");
        assert_eq!(granted(&credentials, &["Basic YWRhOmZpcnN0"]), read);
        std::fs::write(&file, "read ada:third\n").expect("a file");
        assert_eq!(credentials.renew().expect("one line"), 1);
        assert_eq!(granted(&credentials, &["Basic YWRhOmZpcnN0"]), None);
        assert_eq!(granted(&credentials, &["Basic YWRhOnRoaXJk"]), read);
        assert_eq!(credentials.challenges().len(), 1);
    }
}
