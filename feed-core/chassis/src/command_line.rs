//! Parses the command line of every program: help that fits a screen, completion scripts for
//! shells, man pages, and errors that name the source of a wrong value and contain no password.
//!
//! clap parses. Its own errors quote a wrong value and do not name the variable that has it, and it
//! checks all settings before an option such as `--completions` can take effect.

use std::ffi::OsString;
use std::io::Write;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;

use feed_http::credentials::redact_file;

use crate::man_page::man_page;
use crate::misspelt::misspelt;

/// The most columns of the help; a narrower terminal has fewer.
const WIDTH: usize = 100;

/// The name of the option for a completion script, also among the matches.
const COMPLETIONS: &str = "completions";

/// The beginning of a line of examples in a command's help.
const EXAMPLE: &str = "Example: ";

/// The name of the option for a man page, also among the matches.
const MAN: &str = "man";

/// Parses this process's command line and environment by `command`, with `--completions` for shells
/// and `--man` beside `--help`. On an error it ends the process with a message.
#[must_use]
pub fn parse_command_line<C: clap::FromArgMatches>(command: Command) -> C {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command = with_help(command);
    if let Some(text) = wanted_text(&command, &arguments) {
        // A reader that stops early, as in `| head`, is no error.
        let _ = std::io::stdout().write_all(&text);
        std::process::exit(0);
    }
    // The log has not begun: its form is one of the settings.
    let found = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok());
    for (name, meant) in misspelt(&command, &found.collect()) {
        eprintln!(
            "warning: {name} is set and has no effect: there is no such setting; did you mean {meant}?"
        );
    }
    parse_from(command, arguments).unwrap_or_else(|error| error.exit())
}

/// Parses these arguments, of which the first is the program.
pub(super) fn try_parse<C: clap::FromArgMatches, A: Into<OsString>>(
    command: Command,
    arguments: impl IntoIterator<Item = A>,
) -> Result<C, clap::Error> {
    let arguments = arguments.into_iter().map(Into::into).collect();
    parse_from(with_help(command), arguments)
}

fn parse_from<C: clap::FromArgMatches>(
    mut command: Command,
    arguments: Vec<OsString>,
) -> Result<C, clap::Error> {
    // Also the commands below it: an error may be about an argument of theirs.
    command.build();
    let matches = command.try_get_matches_from_mut(&arguments);
    let mut matches = matches.map_err(|error| explained(error, &command, &arguments))?;
    C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Adds what the help of all programs has in common.
fn with_help(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let versioned = command.get_version().is_some();
    let ours = |id: &'static str, action| {
        let option = Arg::new(id).long(id).action(action);
        option.help_heading("Help")
    };
    let help = ours("help", ArgAction::Help);
    let manual = reading(&command);
    let command = command
        .max_term_width(WIDTH)
        .mut_args(with_variable)
        .mut_subcommands(|command| with_examples(command, &name))
        // List the well-known options last.
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(help.short('h').global(true).help("Print help"))
        .arg(
            ours(COMPLETIONS, ArgAction::Set)
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .help("Print a script that lets the Tab key complete this command line")
                .long_help(installation(&name)),
        )
        .arg(
            ours(MAN, ArgAction::SetTrue)
                .help("Print the man page, in roff; with a command after it, that of the command")
                .long_help(manual),
        );
    if !versioned {
        return command;
    }
    let version = ours("version", ArgAction::Version).short('V');
    command.arg(version.help("Print version"))
}

/// Lets the examples of a command begin with the words before it, so that users can paste them.
fn with_examples(command: Command, before: &str) -> Command {
    let line = format!("{before} {}", command.get_name());
    let command = command
        .max_term_width(WIDTH)
        .mut_args(with_variable)
        .mut_subcommands(|command| with_examples(command, &line));
    let Some(examples) = command.get_after_help() else {
        return command;
    };
    let example = format!("{EXAMPLE}{before} ");
    let examples = examples.to_string().replace(EXAMPLE, &example);
    command.after_help(examples)
}

/// Settings that protect, by the names of their fields: without the first, a service requires no credentials; without
/// the second, the receiver of a webhook cannot tell who sends.
const PROTECTING: [&str; 2] = ["credentials_file", "secret_file"];

/// Hides the value of a variable in the help, since it may be a password. An empty variable is none: `${NAME:-}` in a file
/// for Compose makes one of a variable that is not set. But no default may take its place, such as that of a database;
/// and where it would take a protection away, its empty value is refused.
fn with_variable(argument: Arg) -> Arg {
    let variable = argument.get_env().and_then(std::env::var_os);
    let is_optional = argument.get_default_values().is_empty()
        && !PROTECTING.contains(&argument.get_id().as_str());
    match is_optional && variable.is_some_and(|value| value.is_empty()) {
        true => argument.env(None::<&'static str>),
        false => argument.hide_env_values(true),
    }
}

/// Returns how to install completions.
fn installation(name: &str) -> String {
    format!(
        "Print a script that lets the Tab key complete this command line. A new shell knows it after

  bash: {name} --completions bash > ~/.local/share/bash-completion/completions/{name}
  zsh:  {name} --completions zsh > \"${{fpath[1]}}/_{name}\"
  fish: {name} --completions fish > ~/.config/fish/completions/{name}.fish

(for bash, that directory has to be there, and the package bash-completion)"
    )
}

/// Returns how to read and install man pages.
fn reading(command: &Command) -> String {
    let name = command.get_name();
    let mut text = format!(
        "Print the man page, in roff

  read:    {name} --man | man -l -
  install: {name} --man > ~/.local/share/man/man1/{name}.1"
    );
    let first = command.get_subcommands().next().map(Command::get_name);
    if let Some(first) = first {
        // As git's pages are named, and as `man` looks for them.
        text += &format!(
            "

A command after it has a page of its own

  install: {name} --man {first} > ~/.local/share/man/man1/{name}-{first}.1"
        );
    }
    text
}

/// Returns the text that an option prints before the program does anything: a completion script or a man page. Errors
/// in other arguments and in the environment are ignored, except the name of an unknown command.
fn wanted_text(command: &Command, arguments: &[OsString]) -> Option<Vec<u8>> {
    // A command comes after `--man` also where it excludes all other options.
    let lenient = command.clone().args_conflicts_with_subcommands(false);
    if let Err(error) = lenient.clone().try_get_matches_from(arguments)
        && error.kind() == ErrorKind::InvalidSubcommand
    {
        return None;
    }
    let lenient = lenient.ignore_errors(true);
    let matches = lenient.try_get_matches_from(arguments).ok()?;
    if let Some(shell) = matches.get_one(COMPLETIONS) {
        return Some(completions(*shell, command.clone()));
    }
    // After an error, an option that was not given has no default.
    let wanted = matches.get_one(MAN) == Some(&true);
    wanted.then(|| man_page(command.clone(), &matches))
}

fn completions(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// Removes passwords from the error, and adds the variable that the value comes from.
fn explained(mut error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    for kind in [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ] {
        if let Some(ContextValue::String(text)) = error.get(kind) {
            let text = without_password(text);
            error.insert(kind, ContextValue::String(text));
        }
    }
    // One of several arguments may be enough, and clap names the first of them.
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(examples) = given_commands(command, arguments)
            .last()
            .and_then(|innermost| innermost.get_after_help())
    {
        let examples = examples.to_string();
        let examples = examples
            .lines()
            .filter_map(|line| line.strip_prefix(EXAMPLE));
        let tips = examples.map(|example| StyledStr::from(format!("for example `{example}`")));
        let tips = ContextValue::StyledStrs(tips.collect());
        error.insert(ContextKind::Suggested, tips);
    }
    let argument = error.get(ContextKind::InvalidArg);
    let argument =
        argument.and_then(|argument| argument_named(command, arguments, &argument.to_string()));
    let is_file = argument.as_ref().and_then(Arg::get_value_names);
    if is_file.is_some_and(|names| names == ["FILE"])
        && let Some(ContextValue::String(text)) = error.get(ContextKind::InvalidValue)
    {
        let text = redact_file(text).to_owned();
        error.insert(ContextKind::InvalidValue, ContextValue::String(text));
    }
    let variable = argument.and_then(|argument| variable_behind(&argument, arguments));
    if let Some(variable) = variable {
        let tip = StyledStr::from(format!(
            "that is the value of {variable} in the environment"
        ));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// Returns the argument that errors call `name`: of the innermost command that the command line names, since other commands
/// may have one of the same name; else of the commands around it, or of any.
fn argument_named(command: &Command, arguments: &[OsString], name: &str) -> Option<Arg> {
    let given = given_commands(command, arguments);
    let own = |command: &Command| {
        let mut known = command.get_arguments();
        known.find(|known| known.to_string() == name).cloned()
    };
    let given = given.into_iter().rev().find_map(own);
    given.or_else(|| {
        let mut below = command.get_subcommands();
        below.find_map(|command| argument_named(command, &[], name))
    })
}

/// Returns the commands that the command line names, each inside the one before it, from the program on.
fn given_commands<'a>(command: &'a Command, arguments: &[OsString]) -> Vec<&'a Command> {
    let mut given = vec![command];
    for argument in arguments.iter().skip(1) {
        let innermost = given.last().and_then(|last| last.find_subcommand(argument));
        given.extend(innermost);
    }
    given
}

/// Returns the variable that gave `argument` its value: it is set, and the command line has no
/// value.
fn variable_behind(argument: &Arg, arguments: &[OsString]) -> Option<String> {
    let variable = argument.get_env()?;
    std::env::var_os(variable)?;
    let flag = format!("--{}", argument.get_long()?);
    let said = arguments.iter().any(|argument| {
        let argument = argument.to_string_lossy();
        argument.split('=').next() == Some(flag.as_str())
    });
    (!said).then(|| variable.to_string_lossy().into_owned())
}

/// Removes the part before an `@`, such as a password in a URL, and the query of a URL, which may hold one too. What is
/// refused may lack the scheme of a URL.
fn without_password(text: &str) -> String {
    if let Some((before, _)) = text.split_once('?') {
        return without_password(before) + "?\u{2026}";
    }
    let Some((secret, rest)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    let before = secret
        .find("//")
        .map_or("", |slashes| &secret[..slashes + 2]);
    format!("{before}\u{2026}@{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    #[command(name = "probe", version, args_conflicts_with_subcommands = true)]
    struct Probe {
        #[arg(long)]
        feed: Option<feed_http::BaseUrl>,
        #[arg(long)]
        required: String,
        #[arg(long, value_name = "FILE", value_parser = crate::read_once(crate::Credentials::from_setting))]
        file: Option<crate::Credentials>,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        /// Say something
        #[command(after_help = "Example: say hello\nExample: say bye")]
        Say { what: String },
    }

    fn probe() -> Command {
        with_help(<Probe as clap::CommandFactory>::command())
    }

    fn refused(arguments: &[&str]) -> String {
        let error = try_parse::<Probe, _>(<Probe as clap::CommandFactory>::command(), arguments);
        error.expect_err("it is refused").to_string()
    }

    fn printed(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let text = wanted_text(&probe(), &arguments)?;
        Some(String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn each_command_has_a_man_page_that_needs_no_setting() {
        let program = printed(&["probe", "--man", "--feed", "nonsense"]).expect("a page");
        for known in [
            ".TH probe 1",
            "probe\\-say(1)",
            "\\-\\-required",
            "\\-\\-man",
        ] {
            assert!(program.contains(known), "{known}: {program}");
        }
        let command = printed(&["probe", "--man", "say"]).expect("a page");
        for known in [
            ".TH probe-say 1",
            ".SH EXAMPLES\n.PP\n.nf\nprobe say hello\nprobe say bye\n.fi",
        ] {
            assert!(command.contains(known), "{known}: {command}");
        }
        assert_eq!(printed(&["probe", "--man", "sing"]), None);
        assert!(refused(&["probe", "--man", "sing"]).contains("'sing'"));
    }

    #[test]
    fn completions_need_no_setting() {
        for arguments in [
            &["probe", "--completions", "bash"][..],
            &["probe", "--completions=bash", "say"][..],
            &["probe", "--completions", "bash", "--feed", "nonsense"][..],
        ] {
            let script = printed(arguments).expect("a script");
            for known in ["--feed", "--required", "--completions", "--man", "say"] {
                assert!(script.contains(known), "{known}: {script}");
            }
        }
        for arguments in [
            &["probe", "--required", "x"][..],
            &["probe", "--completions", "telnet"],
        ] {
            assert_eq!(printed(arguments), None, "{arguments:?}");
        }
        assert!(refused(&["probe", "--completions", "telnet"]).contains("[possible values: bash"));
    }

    #[test]
    fn a_file_may_be_a_pipe() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"read token").expect("it takes that");
        drop(writer);
        let file = format!(
            "--file=/dev/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&reader)
        );
        let arguments = ["probe", "--required=x", &file];
        let command = probe();
        let given = arguments.map(OsString::from).to_vec();
        assert_eq!(wanted_text(&command, &given), None);
        let parsed = parse_from::<Probe>(command, given).expect("it is read once");
        assert!(parsed.file.is_some());
        assert!(refused(&arguments).contains("holds no credentials"));
    }

    #[test]
    fn an_error_about_a_missing_argument_has_the_examples() {
        let error = refused(&["probe", "say"]);
        for said in [
            "<WHAT>",
            "for example `probe say hello`",
            "for example `probe say bye`",
        ] {
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(!refused(&["probe"]).contains("for example"));
    }

    #[test]
    fn examples_begin_with_the_program() {
        let mut probe = probe();
        let say = probe.find_subcommand_mut("say").expect("a command");
        let help = say.render_help().to_string();
        assert!(
            help.contains("Example: probe say hello\nExample: probe say bye"),
            "{help}"
        );
    }

    #[test]
    fn no_error_repeats_a_password() {
        for (arguments, shown) in [
            (
                ["probe", "--feed", "http://eve:s3cret@host/feed"],
                "'http://\u{2026}@host/feed' for '--feed",
            ),
            (
                ["probe", "--feed=eve:s3cret@host", "--required=x"],
                "'\u{2026}@host' for '--feed",
            ),
            (
                ["probe", "--required=x", "postgres://eve:s3cr@et@host/db"],
                "'postgres://\u{2026}@host/db'",
            ),
            (
                [
                    "probe",
                    "--required=x",
                    "postgres://host/db?password=s3cr@et",
                ],
                "'postgres://host/db?\u{2026}'",
            ),
            (
                ["probe", "--required=x", "--feed=host/feed?token=s3cret"],
                "'host/feed?\u{2026}' for '--feed",
            ),
            (
                ["probe", "--required=x", "--file=whsec_s3cret"],
                "'\u{2026}' for '--file <FILE>': cannot read \u{2026}:",
            ),
            (
                ["probe", "--required=x", "--file=operate eve:s3cret"],
                "'\u{2026}' for '--file <FILE>': cannot read \u{2026}:",
            ),
            (
                [
                    "probe",
                    "--required=x",
                    "--file=postgres:///db?user=u&password=s3cret",
                ],
                "'\u{2026}' for '--file <FILE>': cannot read \u{2026}:",
            ),
            (
                ["probe", "--required=x", "--file=/run/secrets/missing"],
                "'/run/secrets/missing' for '--file <FILE>': cannot read /run/secrets/missing:",
            ),
        ] {
            let text = refused(&arguments);
            assert!(text.contains(shown), "{text}");
            assert!(!text.contains("s3cr"), "{text}");
        }
    }
}
