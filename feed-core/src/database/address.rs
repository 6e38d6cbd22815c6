//! The URL of a database: its kind, and how to show it.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnectOptions;

use crate::store::DatabaseError;

/// Which backend the URL of a database names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sqlite:`
    Sqlite,
    /// `postgres:` or `postgresql:`
    Postgres,
}

impl Kind {
    /// Refuses the URL of another backend: sqlx takes it for the name of a SQLite file.
    pub(crate) fn check(self, url: &str) -> Result<(), DatabaseError> {
        match url.parse()? {
            found if found == self => Ok(()),
            found => Err(DatabaseError::OtherBackend(self, found)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite:",
            Self::Postgres => "postgres:",
        })
    }
}

impl FromStr for Kind {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        // The scheme alone is repeated: the rest of the URL may hold a password.
        let (scheme, rest) = url.split_once(':').ok_or(DatabaseError::NoUrl)?;
        match scheme {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" if ends_in_the_password(rest) => Err(DatabaseError::Password),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            other if other.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(DatabaseError::Scheme(other.to_owned()))
            }
            _ => Err(DatabaseError::NoUrl),
        }
    }
}

/// Returns true if an `@` comes after the host. A `/`, `?` or `#` in a password ends the host, and all behind it would be shown
/// as the name of the database. A parameter may have an `@`, such as `?user=eve@shop`.
fn ends_in_the_password(url: &str) -> bool {
    let behind = match url.strip_prefix("//") {
        Some(host) => host.find(['/', '?', '#']).map_or("", |end| &host[end..]),
        None => url,
    };
    behind.split_once('@').is_some_and(|(before, _)| {
        let query = before.split_once('?');
        !query.is_some_and(|(_, parameters)| parameters.contains('='))
    })
}

/// The address of a database without its password, for logs.
///
/// ```
/// # use feed_core::redact_url;
/// assert_eq!(redact_url("sqlite:data/order.db?mode=rwc"), "sqlite:data/order.db");
/// let url = "postgres://eve:secret@db.example/orders?sslmode=require";
/// assert_eq!(redact_url(url), "postgres://eve@db.example:5432/orders");
/// ```
#[must_use]
pub fn redact_url(url: &str) -> String {
    match url.parse() {
        Ok(Kind::Sqlite) => url.split('?').next().unwrap_or_default().to_owned(),
        Ok(Kind::Postgres) => redact_postgres(url),
        Err(_) => "a malformed URL".to_owned(),
    }
}

#[cfg(feature = "postgres")]
fn redact_postgres(url: &str) -> String {
    match PgConnectOptions::from_str(url) {
        Ok(options) => show_server(&options),
        Err(_) => "a malformed postgres: URL".to_owned(),
    }
}

/// Where these options lead, and as whom.
#[cfg(feature = "postgres")]
pub(crate) fn show_server(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    // Without a database name, PostgreSQL uses the user's name.
    let name = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@/{name}?host={}", socket.display()),
        None => {
            let (host, port) = (options.get_host(), options.get_port());
            format!("postgres://{user}@{host}:{port}/{name}")
        }
    }
}

/// Only the driver knows which parts of such a URL are secret.
#[cfg(not(feature = "postgres"))]
fn redact_postgres(_: &str) -> String {
    "a postgres: URL".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_ends_the_host_is_refused_and_not_shown() {
        for url in [
            "postgres://eve:/s3cret@host/shop",
            "postgresql://eve:a/s3cret@host/shop",
            "postgres://eve:a@b/s3cret@host/shop",
            "postgres://eve:/a=s3cret@host/shop",
            "postgres://eve:?s3cret@host/shop",
            "postgres://eve:#s3cret@host/shop",
            "postgres:eve:s3cret@host/shop",
        ] {
            let error = url.parse::<Kind>().expect_err(url);
            assert!(error.to_string().contains("%2F for a /"), "{error}");
            assert_eq!(redact_url(url), "a malformed URL", "{url}");
        }
        for url in [
            "postgres://eve:%2Fs3cret@host/shop",
            "postgres://host/shop?user=eve@shop&password=s3cr@et",
            "postgres://?host=/run/postgresql&user=eve@shop",
            "postgres:///shop",
        ] {
            assert_eq!(url.parse::<Kind>().expect(url), Kind::Postgres);
            assert!(!redact_url(url).contains("s3cr"), "{url}");
        }
        assert_eq!(
            "sqlite:a/b@c".parse::<Kind>().expect("a file"),
            Kind::Sqlite
        );
    }
}
