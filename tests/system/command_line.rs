//! The command lines of all programs: help, completion for shells, and man pages.

use std::io::Write;
use std::process::{Command, Stdio};

use harness::programs::available;

use crate::program::{Finished, program};

/// The environment variables of each program.
const PROGRAMS: &[(&str, &[&str])] = &[
    (
        "shop",
        &[
            "LISTEN",
            "BASE_URL",
            "CREDENTIALS_FILE",
            "ALLOW_ANONYMOUS",
            "DATA_DIR",
            "POLL_INTERVAL",
            "SENDER",
            "INSTANCE",
            "LOG_FORMAT",
        ],
    ),
    (
        "order",
        &[
            "LISTEN",
            "BASE_URL",
            "CREDENTIALS_FILE",
            "ALLOW_ANONYMOUS",
            "DATABASE_URL",
            "DATABASE_URL_FILE",
            "HOME_URL",
            "INVOICE_URL",
            "SHIPPING_URL",
            "INSTANCE",
            "LOG_FORMAT",
        ],
    ),
    ("invoice", FOLLOWING),
    ("invoice", &["SENDER"]),
    ("shipping", FOLLOWING),
];

const FOLLOWING: &[&str] = &[
    "LISTEN",
    "BASE_URL",
    "CREDENTIALS_FILE",
    "ALLOW_ANONYMOUS",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "HOME_URL",
    "ORDER_URL",
    "FEED_URL",
    "FEED_CREDENTIALS_FILE",
    "FEED_PROXY",
    "FEED_PROXY_SEES_CREDENTIALS",
    "POLL_INTERVAL",
    "STATUS_OF",
    "STATUS_ORIGINS",
    "INSTANCE",
    "LOG_FORMAT",
];

/// The commands of a consumer.
pub(crate) const CONSUMER: [&str; 11] = [
    "status",
    "events",
    "parked",
    "skipped",
    "decisions",
    "retry",
    "skip",
    "undo",
    "resume",
    "replay",
    "reconcile",
];

fn help(name: &str, arguments: &[&str]) -> String {
    Finished::by(program(name).args(arguments).arg("--help")).with(0)
}

#[test]
fn the_help_of_each_program_names_its_settings_and_examples() {
    for (name, variables) in PROGRAMS {
        let help = help(name, &[]);
        for variable in *variables {
            assert!(
                help.contains(&format!("[env: {variable}]")),
                "{variable}: {help}"
            );
        }
        for said in [
            "RUST_LOG",
            "--completions",
            "--man",
            "[default: 127.0.0.1:808",
            &format!("\nExamples:\n  {name}\n"),
        ] {
            assert!(help.contains(said), "{said}: {help}");
        }
        let short = Finished::by(program(name).arg("-h")).with(0);
        assert!(short.lines().count() < help.lines().count(), "{short}");
    }
    let demo = help("shop", &["demo"]);
    assert!(
        demo.contains("[env: SHOP_URL]")
            && demo.contains("[env: SHOP_CREDENTIALS_FILE]")
            && demo.contains("Examples:"),
        "{demo}"
    );
    assert!(!demo.contains("LISTEN"), "the demo listens nowhere: {demo}");
    assert!(
        !help("shop", &[]).contains("--seed"),
        "the shop has no seed"
    );
}

#[test]
fn help_fits_a_hundred_columns_and_shows_no_value_of_the_environment() {
    let of = |name: &'static str, commands: &[&'static str]| -> Vec<(&str, Vec<&str>)> {
        let commands = commands.iter().map(|command| (name, vec![*command]));
        commands.chain([(name, vec![])]).collect()
    };
    let all = [
        of("shop", &["demo"]),
        of("order", &["erase"]),
        of("invoice", &CONSUMER),
        of("shipping", &CONSUMER),
    ];
    for (name, arguments) in all.concat() {
        for help in ["-h", "--help"] {
            let mut command = program(name);
            command.args(&arguments).arg(help);
            for variable in ["DATABASE_URL", "FEED_URL", "BASE_URL", "SHOP_URL"] {
                command.env(variable, "https://eve:s3cret@example.com/");
            }
            let help = Finished::by(&mut command).with(0);
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{name} {arguments:?}: {line}");
            }
            assert!(!help.contains("s3cret"), "{help}");
        }
    }
}

#[test]
fn completions_are_scripts_in_any_environment() {
    for (name, variables) in PROGRAMS {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let mut command = program(name);
            command.args(["--completions", shell]);
            for variable in *variables {
                command.env(variable, "nonsense");
            }
            let said = Finished::by(&mut command);
            assert_eq!(said.err, "", "{name}");
            let script = said.with(0);
            assert!(script.contains("listen"), "{name}: {script}");
            if shell == "bash" {
                assert!(script.contains("--listen"), "{name}: {script}");
                is_bash(&script);
            }
        }
        let wrong = Finished::by(program(name).args(["--completions", "telnet"]));
        assert!(wrong.err.contains("possible values: bash"), "{wrong:?}");
        assert_eq!(wrong.with(2), "");
    }
}

/// In any environment, whose values are not on the page.
#[test]
fn each_program_and_command_has_a_man_page() {
    let pages = [
        ("shop", &["", "demo"][..]),
        ("order", &["", "erase"]),
        ("invoice", &["", "status"]),
        ("shipping", &["", "replay"]),
        (
            "feed",
            &["", "serve", "deliver", "deliver skip", "tail", "check"],
        ),
    ];
    let can_show = available(&["man"]);
    for (name, commands) in pages {
        for command in commands {
            let mut printed = program(name);
            printed.arg("--man").args(command.split_whitespace());
            for variable in ["DATABASE_URL", "FEED_URL", "BASE_URL", "SHOP_URL"] {
                printed.env(variable, "eve:s3cret@nonsense");
            }
            let printed = Finished::by(&mut printed);
            assert_eq!(printed.err, "", "{name} {command}");
            let page = printed.with(0);
            assert!(!page.contains("s3cret"), "{page}");
            if can_show {
                let title = format!("{name} {command}").trim_end().replace(' ', "-");
                let shown = shown(&page);
                assert!(shown.starts_with(&format!("{title}(1)")), "{shown}");
                assert!(shown.contains("\nEXAMPLES\n"), "{shown}");
            }
        }
    }
}

/// What `man` shows without a warning.
fn shown(page: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(page.as_bytes()).unwrap();
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(file.path());
    man.env("MANPAGER", "cat").env("LC_ALL", "C.UTF-8");
    let shown = Finished::by(&mut man);
    assert_eq!(shown.err, "", "{page}");
    shown.with(0)
}

/// `bash -n` accepts it, and a bash that has read it completes the program.
fn is_bash(script: &str) {
    for arguments in [&["-n"][..], &["-c", "eval \"$(cat)\" && complete -p"]] {
        let mut bash = Command::new("bash");
        bash.args(arguments);
        bash.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut bash = bash.spawn().unwrap();
        let mut input = bash.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        let said = Finished::of(bash.wait_with_output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{script}");
    }
}
