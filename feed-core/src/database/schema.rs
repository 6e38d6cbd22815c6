//! The migrations that a program knows of, compared with those that a database has had.

use crate::store::AppliedMigration;

/// Migrations that a program knows of: the table that lists them, and their numbers.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) table: &'static str,
    pub(super) versions: Vec<i64>,
}

impl Schema {
    pub(super) fn of(table: &'static str, files: &[(i64, &'static str, &'static str)]) -> Self {
        let versions = files.iter().map(|&(version, ..)| version).collect();
        Self { table, versions }
    }

    /// What is wrong with a database that has had these migrations.
    pub(super) fn compare(&self, applied: &[AppliedMigration]) -> Option<String> {
        let Self { table, versions } = self;
        let is_applied =
            |version: &&i64| applied.iter().any(|applied| applied.version == **version);
        let pending = versions.iter().find(|version| !is_applied(version));
        match (self.unknown(applied), pending) {
            (Some(AppliedMigration { version, .. }), _) => Some(format!(
                "the schema is newer than this program: migration {version} in {table} is unknown here"
            )),
            (None, Some(version)) => Some(format!(
                "the schema is older than this program: migration {version} in {table} is pending; a \
                 restart makes it"
            )),
            (None, None) => None,
        }
    }

    /// A migration that we do not know of, and cannot work beside.
    pub(super) fn unknown<'a>(
        &self,
        applied: &'a [AppliedMigration],
    ) -> Option<&'a AppliedMigration> {
        let mut unknown = applied
            .iter()
            .filter(|applied| !self.versions.contains(&applied.version));
        unknown.find(|applied| !applied.is_expansion())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_is_older_or_newer_is_reported() {
        let schema = Schema {
            table: "_feed_migrations",
            versions: vec![1, 2],
        };
        let all = |versions: &[i64], description: &str| -> Vec<AppliedMigration> {
            let one = |version: &i64| AppliedMigration {
                version: *version,
                description: description.to_owned(),
            };
            versions.iter().map(one).collect()
        };
        let said = |applied: &[AppliedMigration]| schema.compare(applied).unwrap_or_default();
        assert_eq!(said(&all(&[1, 2], "feed")), "");
        assert!(said(&all(&[1], "feed")).contains("older than this program: migration 2"));
        let newer = all(&[1, 2, 3], "contract something");
        assert!(said(&newer).contains("newer than this program: migration 3"));
        assert_eq!(said(&all(&[1, 2, 3], "expand something")), "");
        assert_eq!(said(&all(&[1, 2, 3], "expand_something")), "");
        assert!(said(&all(&[1, 2, 3], "expanded")).contains("migration 3"));
        assert!(said(&all(&[1, 3], "expand something")).contains("migration 2"));
    }
}
