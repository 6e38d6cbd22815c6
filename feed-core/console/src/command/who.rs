//! The operator's name.

use std::process::Command;

use super::CommandError;

/// The name of the operator.
#[derive(Debug, Clone, clap::Args)]
pub struct By {
    /// Your name, which is recorded [default: $USER, or the login name]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    by: Option<String>,
}

impl By {
    /// Returns the name to record.
    ///
    /// # Errors
    ///
    /// Returns an error if neither the command line nor the system has one.
    pub fn name(self) -> Result<String, CommandError> {
        let variable = |name| parse_name(&std::env::var(name).ok()?).ok();
        let named = self
            .by
            .or_else(|| variable("USER").or_else(|| variable("LOGNAME")));
        named.or_else(login_name).ok_or(CommandError::Nameless)
    }
}

/// Parses a name from the command line.
fn parse_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("write your name".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Returns the login name, for an environment without one.
fn login_name() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok()?;
    output.status.success().then_some(())?;
    parse_name(&String::from_utf8(output.stdout).ok()?).ok()
}
