//! The file of credentials, for a service that requires them and for a consumer that sends them.
//!
//! Each line is `read NAME:PASSWORD` or `operate NAME:PASSWORD` for Basic (RFC 7617), or has a
//! token in place of both for Bearer (RFC 6750), which contains no colon. `#` begins a comment.
//! Errors name the file and the line, and never quote the line: it may contain the secret.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

use crate::with_causes;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read what a consumer needs: the feed, its pages, events and their data.
    Read,
    /// Read and do everything.
    Operate,
}

/// The authentication scheme (RFC 9110, 11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// A name and a password (RFC 7617).
    Basic,
    /// A token (RFC 6750).
    Bearer,
}

impl Scheme {
    /// Returns its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Bearer => "Bearer",
        }
    }
}

/// A line of the file. It has no `Debug`, so that it is not logged by accident.
#[expect(
    missing_debug_implementations,
    reason = "what cannot be printed is not logged by accident"
)]
pub struct Line {
    /// What it allows; a consumer's own file may omit it.
    pub access: Option<Access>,
    /// Its authentication scheme.
    pub scheme: Scheme,
    /// The part after the scheme in a request.
    token: String,
}

/// Why a file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read {}", redact_file(&.0.to_string_lossy()))]
    Read(PathBuf, #[source] std::io::Error),
    /// A line cannot be parsed.
    #[error("{}, line {line}: {wrong}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// It has only comments.
    #[error("{} holds no credentials", .0.display())]
    Empty(PathBuf),
}

/// Returns the name of a file of secrets for a message. What is a secret itself, such as `NAME:PASSWORD` or the `whsec_…` of
/// a webhook in place of the file's name, is left out; a token in its place cannot be told from a name.
#[must_use]
pub fn redact_file(name: &str) -> &str {
    let is_secret = name.contains([':', ' ', '\t', '\n']) || name.starts_with("whsec_");
    match is_secret && !Path::new(name).exists() {
        true => "\u{2026}",
        false => name,
    }
}

/// Reads the credentials in `file`: at least one. Each must say what it allows, unless the file is
/// the client's `own`.
pub fn read(file: &Path, own: bool) -> Result<Vec<Line>, CredentialsError> {
    parse(&read_text(file)?, file, own)
}

/// Reads the text of such a file, for [`parse`].
pub fn read_text(file: &Path) -> Result<String, CredentialsError> {
    let text = std::fs::read_to_string(file);
    text.map_err(|error| CredentialsError::Read(file.to_owned(), error))
}

/// Parses the text of such a file.
pub fn parse(text: &str, file: &Path, own: bool) -> Result<Vec<Line>, CredentialsError> {
    let mut lines = Vec::new();
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Other blanks may be those of a password.
    let lines_of_text = text.lines().map(|line| line.trim_matches([' ', '\t']));
    for (index, line) in lines_of_text.enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = Line::parse(line, own).map_err(|wrong| CredentialsError::Line {
            file: file.to_owned(),
            line: index + 1,
            wrong,
        })?;
        lines.push(line);
    }
    match lines.is_empty() {
        true => Err(CredentialsError::Empty(file.to_owned())),
        false => Ok(lines),
    }
}

/// Returns the value of `Authorization` for a client that operates a service, from a setting of a
/// command line: the first credential in `file` that is not for reading alone. The file may be the
/// client's own, which need not say what a credential allows.
///
/// # Errors
///
/// Returns an error, on one line, if the file cannot be read, is malformed, or has no such
/// credential.
pub fn operator_authorization(file: &str) -> Result<HeaderValue, String> {
    let lines = read(Path::new(file), true).map_err(|error| with_causes(&error))?;
    let line = lines.iter().find(|line| line.access != Some(Access::Read));
    let line = line.ok_or_else(|| format!("{file} holds credentials for reading alone"))?;
    let value = HeaderValue::try_from(line.authorization());
    let mut value = value.map_err(|error| error.to_string())?;
    // Keep it out of printed requests.
    value.set_sensitive(true);
    Ok(value)
}

impl Line {
    fn parse(text: &str, own: bool) -> Result<Self, &'static str> {
        let (access, secret) = match text.split_once([' ', '\t']) {
            Some(("read", secret)) => (Some(Access::Read), secret.trim_start()),
            Some(("operate", secret)) => (Some(Access::Operate), secret.trim_start()),
            // `Operate NAME:PASSWORD` would be sent as it is, and be rejected for ever.
            Some((word, _)) if own && !word.contains(':') => {
                return Err(
                    "a name with a blank in it, or a word that is neither `read` nor `operate`: begin with one of these",
                );
            }
            _ if own => (None, text),
            _ => return Err("it must begin with `read` or `operate`, followed by a credential"),
        };
        if secret.chars().any(char::is_control) {
            return Err("it has control characters");
        }
        let (scheme, token) = match secret.split_once(':') {
            Some(("", _)) => return Err("the name before the colon is missing"),
            Some((_, "")) => return Err("the password behind the colon is missing"),
            Some(_) => (Scheme::Basic, STANDARD.encode(secret)),
            None if is_token(secret) => (Scheme::Bearer, secret.to_owned()),
            None => {
                return Err(
                    "a name and its password have a colon between them; a token has \
                            letters, digits and - . _ ~ + / alone",
                );
            }
        };
        Ok(Self {
            access,
            scheme,
            token,
        })
    }

    /// Returns the value of `Authorization` with this credential.
    pub fn authorization(&self) -> String {
        format!("{} {}", self.scheme.name(), self.token)
    }
}

/// `b64token` of RFC 6750, 2.1.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(known)
}

/// Returns the one `Authorization` of a request in canonical form.
#[must_use]
pub fn authorization(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else {
        return None;
    };
    let (name, token) = one.to_str().ok()?.split_once(' ')?;
    let scheme = [Scheme::Basic, Scheme::Bearer]
        .into_iter()
        .find(|scheme| scheme.name().eq_ignore_ascii_case(name))?;
    Some(format!("{} {}", scheme.name(), token.trim_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, own: bool) -> Result<(Option<Access>, String), &'static str> {
        Line::parse(text, own).map(|line| (line.access, line.authorization()))
    }

    #[test]
    fn what_has_a_colon_is_a_name_and_a_password() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (line, access, shown) in [
            ("read ada:pass", Access::Read, basic("ada:pass")),
            (
                "operate \t ada:pa:ss wörd#1",
                Access::Operate,
                basic("ada:pa:ss wörd#1"),
            ),
            // A name may have a blank, and a password a no-break one at its end.
            (
                "read ada b:pass\u{a0}",
                Access::Read,
                basic("ada b:pass\u{a0}"),
            ),
            (
                "read 0aZ-._~+/==",
                Access::Read,
                "Bearer 0aZ-._~+/==".to_owned(),
            ),
        ] {
            assert_eq!(parsed(line, false), Ok((Some(access), shown.clone())));
            assert_eq!(parsed(line, true), Ok((Some(access), shown)));
        }
        for own in ["ada:pass", "ada:pass word"] {
            assert_eq!(parsed(own, true), Ok((None, basic(own))));
        }
        for unknown in [
            "Operate ada:hunter2",
            "write ada:hunter2",
            "write\tada:hunter2",
            "write hunter2",
        ] {
            let wrong = parsed(unknown, true).expect_err(unknown);
            assert!(!wrong.contains("hunter"), "{wrong}");
        }
        assert_eq!(parsed("token", true), Ok((None, "Bearer token".to_owned())));
    }

    #[test]
    fn neither_an_editor_nor_blanks_around_a_line_change_a_credential() {
        for own in [true, false] {
            for text in [
                "\u{feff}read ada:pass\nread eve:\u{a0}",
                "read ada:pass\r\nread eve:\u{a0}\r\n",
                " \t read ada:pass \t \n\n\tread eve:\u{a0}\t",
                "\u{feff}# ours\r\nread  ada:pass\r\nread\teve:\u{a0} ",
            ] {
                let lines = parse(text, Path::new("file"), own).expect(text);
                let shown: Vec<String> = lines.iter().map(Line::authorization).collect();
                assert_eq!(shown, ["Basic YWRhOnBhc3M=", "Basic ZXZlOsKg"], "{text:?}");
            }
        }
        let own = parse("\u{feff}ada:pass\r\n", Path::new("file"), true).expect("a line");
        assert_eq!(own[0].authorization(), "Basic YWRhOnBhc3M=");
    }

    #[test]
    fn errors_do_not_contain_the_secret() {
        for line in [
            "hunter2",
            "ada:hunter2",
            "write ada:hunter2",
            "read",
            "read :hunter2",
            "read ada:",
            "read hunter 2",
            "read hunter2!",
            "read =",
            "read ada:hunter\u{7}2",
        ] {
            let wrong = parsed(line, false).expect_err(line);
            assert!(!wrong.contains("hunter"), "{wrong}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        let refused = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            let read = read(&file, false).map(|lines| lines.len());
            read.expect_err(text).to_string()
        };
        let name = file.display();
        let third = refused("# ours\n\nhunter2\n");
        assert!(third.starts_with(&format!("{name}, line 3: ")), "{third}");
        assert_eq!(refused("# none\n"), format!("{name} holds no credentials"));
        // In place of the file's name.
        for secret in [
            "operate ada:hunter2",
            "ada:hunter2",
            "operate hunter2",
            "whsec_hunter2",
        ] {
            let error = read(Path::new(secret), false)
                .map(|_| ())
                .expect_err(secret);
            assert_eq!(error.to_string(), "cannot read \u{2026}");
        }
        let missing = directory.path().join("missing");
        let error = read(&missing, false)
            .map(|_| ())
            .expect_err("there is none");
        assert!(error.to_string().ends_with("missing"), "{error}");
    }

    #[test]
    fn an_operator_sends_no_credential_for_reading() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        let path = file.to_str().expect("UTF-8");
        for (text, expected) in [
            ("ada:pass\n", Ok("Basic YWRhOnBhc3M=")),
            ("read ada\noperate eve\noperate bob\n", Ok("Bearer eve")),
            ("read ada\n", Err("for reading alone")),
            ("# nothing\n", Err("holds no credentials")),
            (
                "ada:\n",
                Err("line 1: the password behind the colon is missing"),
            ),
        ] {
            std::fs::write(&file, text).expect("a file");
            match (operator_authorization(path), expected) {
                (Ok(value), Ok(expected)) => {
                    assert_eq!(value, expected);
                    assert!(value.is_sensitive());
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}
