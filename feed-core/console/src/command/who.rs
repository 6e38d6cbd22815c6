//! Who decides.

use std::process::Command;

use super::CommandError;

/// The person who decides.
#[derive(Debug, Clone, clap::Args)]
pub struct By {
    /// Who decides; it is recorded [default: $USER, or the login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl By {
    /// The name to record.
    ///
    /// # Errors
    ///
    /// Neither the command line nor the system says one.
    pub fn name(self) -> Result<String, CommandError> {
        let variable = |name| std::env::var(name).ok();
        let named = self
            .by
            .or_else(|| variable("USER").or_else(|| variable("LOGNAME")));
        let name = named.or_else(login_name).unwrap_or_default();
        match name.trim() {
            "" => Err(CommandError::Nameless),
            name => Ok(name.to_owned()),
        }
    }
}

/// What the system calls whoever runs this, where the environment does not say.
fn login_name() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()
}
