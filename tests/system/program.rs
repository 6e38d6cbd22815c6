//! The real programs, run until they have finished.

use std::process::{Command, Output};

use serde_json::Value;

/// A program of ours.
pub(crate) fn program(name: &str) -> Command {
    harness::built(name)
}

/// The output and the exit code of a program.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    /// Runs a command until it has finished.
    pub(crate) fn by(command: &mut Command) -> Self {
        Self::of(command.output().unwrap())
    }

    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its output, if it has ended with that code.
    pub(crate) fn with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.out
    }

    pub(crate) fn json(self, code: i32) -> Value {
        let out = self.with(code);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}
