//! The command lines of all programs: help, completion for shells, and man pages.

use std::io::Write;
use std::process::{Command, Stdio};

use harness::programs::available;
use harness::{Backend, Client, FreshDatabase, Process, free_address, until};

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
        let has_comparison = help.contains("\n  reconcile ");
        assert_eq!(has_comparison, *name != "shop", "{name}: {help}");
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

#[test]
fn an_error_shows_ways_to_select_events() {
    for (command, ways) in [
        (
            "retry",
            &["retry order/17`", "--cause", "--type", "--all`"][..],
        ),
        ("skip", &["--reason", "--type"]),
    ] {
        let refused = Finished::by(program("invoice").args([command, "--by=eve"]));
        assert_eq!(refused.code, 2, "{refused:?}");
        for way in ways {
            assert!(refused.err.contains(way), "{way}: {}", refused.err);
        }
    }
}

crate::on_both! {
    the_url_of_the_database_may_come_from_a_pipe
}

/// As docs/backup.md executes a command in a pod that has no such file.
async fn the_url_of_the_database_may_come_from_a_pipe(backend: Backend) {
    let database = match backend {
        Backend::Sqlite => FreshDatabase::sqlite(),
        Backend::Postgres => FreshDatabase::postgres().await,
    };
    if let Some(file) = database.url().strip_prefix("sqlite:") {
        std::fs::File::create(file).unwrap();
    }
    let restored = [
        "restored",
        "--last-order=7",
        "--last-customer=7",
        "--last-item=7",
    ];
    let mut option = program("order");
    // As in the pod of another service.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&other, "sqlite:/missing/invoice.db").unwrap();
    option
        .env("DATABASE_URL_FILE", other.path())
        .args(["--database-url-file", "/dev/stdin"])
        .args(restored);
    let said = with_input(&mut option, database.url()).with(0);
    assert!(said.contains("The next order is 8"), "{said}");
    let mut variable = program("order");
    variable
        .env("DATABASE_URL_FILE", "/dev/stdin")
        .args(restored);
    let said = with_input(&mut variable, database.url()).with(0);
    assert!(said.contains("The next order is 8"), "{said}");
}

/// Each program reads it once. What it does then needs a service that is not there.
#[test]
fn each_file_of_a_setting_may_be_a_pipe() {
    let feed = "http://127.0.0.1:9/feed";
    let credentials = "operate eve:secret";
    for (name, arguments, input) in [
        ("order", &["--probe", "--credentials-file"][..], credentials),
        (
            "invoice",
            &["--probe", "--feed-credentials-file"],
            credentials,
        ),
        (
            "feed",
            &["tail", "--until-now", feed, "--feed-credentials-file"],
            credentials,
        ),
        (
            "feed",
            &["check", feed, "--feed-credentials-file"],
            credentials,
        ),
        (
            "feed",
            &["status", feed, "--status-credentials-file"],
            credentials,
        ),
        (
            "feed",
            &["serve", "--probe", "--database-url-file"],
            "sqlite:none.db",
        ),
        (
            "feed",
            &["serve", "--probe", "--database-direct-url-file"],
            "sqlite:none.db",
        ),
        ("feed", &["deliver", "--probe", "--sql"], "SELECT 1"),
        (
            "feed",
            &["deliver", "--probe", "--to", feed, "--secret-file"],
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
    ] {
        let mut command = program(name);
        let said = with_input(command.args(arguments).arg("/dev/stdin"), input);
        assert!(
            !said.err.contains("/dev/stdin") && !said.err.contains("Usage"),
            "{name} {arguments:?}: {said:?}"
        );
    }
}

/// Its consumers send them as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_credentials_of_the_shop_may_come_from_a_pipe() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
    let shop = program("shop");
    let mut bash = Command::new("bash");
    bash.args(["-c", "exec \"$0\" --credentials-file <(echo operate t0ken)"])
        .arg(shop.get_program())
        .env("DATA_DIR", directory.path())
        .env("LISTEN", &address);
    let shop = Process::start_command("shop", &mut bash, &[], directory.path());
    let client = Client::new(&format!("http://{address}/"));
    let status =
        |headers: &'static [(&str, &str)]| client.try_send("GET", "invoice/status", headers, "");
    until("its consumer reads the feed", async || {
        let shown = status(&[
            ("authorization", "Bearer t0ken"),
            ("accept", "application/json"),
        ])
        .await?;
        (shown.status == 200 && !shown.json()["last_contact"].is_null()).then_some(())
    })
    .await;
    assert_eq!(status(&[]).await.unwrap().status, 401, "{}", shop.log());
}

/// Runs a command with a pipe as its standard input.
fn with_input(command: &mut Command, input: &str) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input.as_bytes()).unwrap();
    drop(pipe);
    Finished::of(child.wait_with_output().unwrap())
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
        let said = with_input(bash.args(arguments), script);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{script}");
    }
}
