//! Finds variables in the environment whose names are almost those of settings: without a warning, a
//! service with a misspelt `DATABASE_URL` runs on the wrong database.

use std::collections::BTreeSet;

use clap::Command;

/// Returns each of `found` that names no setting of `command`, with the setting that its name is close to and that is
/// not set.
pub(super) fn misspelt(command: &Command, found: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut settings = BTreeSet::new();
    collect(command, &mut settings);
    let unset: Vec<&String> = settings.difference(found).collect();
    let close = |name: &String| {
        let meant = unset.iter().find(|setting| are_close(name, setting))?;
        Some((name.clone(), (*meant).clone()))
    };
    found.difference(&settings).filter_map(close).collect()
}

/// Adds the variables of `command` and of the commands below it.
fn collect(command: &Command, settings: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    settings.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for below in command.get_subcommands() {
        collect(below, settings);
    }
}

/// Returns true if so few letters differ, in any case, that it is hardly by chance.
fn are_close(name: &str, setting: &str) -> bool {
    let differing = strsim::damerau_levenshtein(&name.to_uppercase(), setting);
    differing <= (setting.len() / 4).min(2)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn a_name_that_is_almost_a_setting_is_found() {
        let set = |name: &'static str| Arg::new(name).long(name).env(name);
        let below = Command::new("below").arg(set("FEED_URL"));
        let command = (Command::new("probe").args([set("DATABASE_URL"), set("LISTEN")]))
            .arg(Arg::new("plain").long("plain"))
            .subcommand(below);
        let found = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            misspelt(&command, &names)
        };
        for (name, meant) in [
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("database_url", "DATABASE_URL"),
            ("DATABASEURL", "DATABASE_URL"),
            ("FEEDURL", "FEED_URL"),
            ("FEED_RUL", "FEED_URL"),
            ("LISTENS", "LISTEN"),
        ] {
            let expected = [(name.to_owned(), meant.to_owned())];
            assert_eq!(found(&["HOME", name]), expected);
            assert_eq!(found(&[meant, name]), [], "the setting itself is set");
        }
        let others = [
            "HOME",
            "LISTEN_FDS",
            "PATH",
            "DATABASE",
            "PLAIN",
            "",
            "DATABASE_USER",
        ];
        assert_eq!(found(&others), []);
    }
}
