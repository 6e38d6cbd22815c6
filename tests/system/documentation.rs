//! Every command in the README and in docs/ does what it says.

use std::path::Path;
use std::process::Command;

use harness::{Client, Process, built, until};

use crate::repository::members;
use crate::words::files;
use crate::words::root;

const README: &str = include_str!("../../README.md");

/// The pages for users of a running shop.
const PAGES: [(&str, &str); 4] = [
    ("clerk", include_str!("../../docs/clerk.md")),
    ("operator", include_str!("../../docs/operator.md")),
    ("feed-reader", include_str!("../../docs/feed-reader.md")),
    ("auditor", include_str!("../../docs/auditor.md")),
];

/// The page for a team that writes a consumer, with the order service alone.
const CONSUMER: &str = include_str!("../../docs/consumer.md");

/// The address of the shop in the documentation.
const DOCUMENTED: &str = "http://127.0.0.1:8080/";

/// The lines of the shell blocks of `text`.
fn commands(text: &'static str) -> Vec<&'static str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The program that a `cargo run` starts, and its arguments; `None` for another command. It is the
/// program that was built for the tests: cargo would build it again, with other features, while
/// other tests start it.
///
/// # Panics
///
/// The workspace has no such package, program or example, or the flag is not one of these.
fn cargo_run(command: &str) -> Option<(String, String)> {
    let (flags, arguments) = match command.split_once(" -- ") {
        Some((flags, arguments)) => (flags, arguments),
        None => (command.strip_suffix(" --").unwrap_or(command), ""),
    };
    let (mut package, mut example) = (None, None);
    let mut words = flags.strip_prefix("cargo run")?.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-q" => {}
            "-p" => package = words.next(),
            "--example" => example = words.next(),
            _ => panic!("not tested: {word} of {command}"),
        }
    }
    let members = members();
    let member = members.iter().find(|member| match package {
        Some(name) => member["name"] == name,
        None => member["manifest_path"] == root().join("Cargo.toml").to_str().unwrap(),
    });
    let member = member.unwrap_or_else(|| panic!("no such package: {command}"));
    let kind = if example.is_some() { "example" } else { "bin" };
    let targets = member["targets"].as_array().unwrap().iter();
    let names = targets
        .filter(|target| target["kind"][0] == kind)
        .map(|target| target["name"].as_str().unwrap())
        .filter(|name| example.is_none_or(|example| example == *name));
    let names: Vec<&str> = names.collect();
    let [name] = names[..] else {
        panic!("not one program: {command} starts {names:?}");
    };
    let path = example.map_or(name.to_owned(), |example| format!("examples/{example}"));
    let program = built(&path).get_program().to_str().unwrap().to_owned();
    Some((name.to_owned(), format!("'{program}' {arguments}")))
}

/// The command that does what a line of the documentation says.
fn shell(line: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}")]);
    shell
}

/// Runs a command of the documentation against the shop at `base`.
fn execute(command: &str, base: &str, directory: &Path) {
    let line = match cargo_run(command) {
        Some((_, line)) => line,
        None => command.to_owned(),
    };
    assert!(
        line != command || command.starts_with("curl "),
        "not tested: {command}"
    );
    let output = Command::new("sh")
        .args(["-c", &line.replace(DOCUMENTED, base)])
        .env("SHOP_URL", base)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success() && !output.stdout.is_empty(),
        "{command}: {output:?}"
    );
}

/// Each `cargo run` in a document, also in the middle of a sentence, names a program of ours.
#[test]
fn every_cargo_run_of_the_documents_starts_a_program() {
    let mut found = 0;
    for file in files(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for command in text.split("cargo run").skip(1) {
            let end = command.find(['\n', '`', '#']).unwrap_or(command.len());
            let command = format!("cargo run{}", command[..end].trim_end());
            assert!(cargo_run(&command).is_some(), "{command}");
            found += 1;
        }
    }
    assert!(found >= 8, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_pages_works() {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", fastrand::u16(12_000..32_000));
    let base = format!("http://{listen}/");
    let data = directory.path().join("data");
    let settings = [
        ("LISTEN", listen.as_str()),
        ("DATA_DIR", data.to_str().unwrap()),
    ];
    let mut shop = Process::start("shop", &settings, directory.path());
    shop.ready(&Client::new(&base)).await;
    let mut run = 0;
    for (name, text) in PAGES {
        assert!(text.contains(DOCUMENTED), "{name} says where the shop is");
        for command in commands(text) {
            execute(command, &base, directory.path());
            run += 1;
        }
    }
    assert!(run >= 20, "the pages show how it is used with curl");
    shop.stop("INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_for_a_team_that_adds_a_consumer_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let port = fastrand::u16(12_000..32_000);
    let order = format!("127.0.0.1:{port}");
    let sales = format!("127.0.0.1:{}", port + 1);
    let feed = format!("http://{order}/feed");
    let here = |command: &str| {
        let command = command.replace("127.0.0.1:8081", &order);
        let command = command.replace("127.0.0.1:8084", &sales);
        let script = root.join("tests/consumer.py");
        command.replace("tests/consumer.py", script.to_str().unwrap())
    };
    let mut running = Vec::new();
    let (mut servers, mut tried) = (0, 0);
    for command in commands(CONSUMER) {
        let server = match cargo_run(command) {
            None if command.starts_with("python3 tests/consumer.py ") => {
                Some(("ledger".to_owned(), here(command)))
            }
            server => server,
        };
        if let Some((name, line)) = server {
            let listen = if name == "order" { &order } else { &sales };
            let database = format!("sqlite:{name}.db");
            let settings = [
                ("LISTEN", listen.as_str()),
                ("DATABASE_URL", database.as_str()),
                ("FEED_URL", feed.as_str()),
            ];
            let mut command = shell(&line);
            command.current_dir(directory.path());
            let process = Process::start_command(&name, &mut command, &settings, directory.path());
            running.push(process);
            servers += 1;
        } else {
            // A reader has waited until the server answers.
            let line = here(command);
            until(command, async || {
                let mut shell = Command::new("sh");
                shell.args(["-c", &line]).current_dir(directory.path());
                let output = shell.output().unwrap();
                let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                let is_empty = printed.is_empty() || printed == "[]";
                (output.status.success() && !is_empty).then_some(())
            })
            .await;
            tried += 1;
        }
    }
    assert_eq!((servers, tried), (3, 10), "all of the page was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_readme_works() {
    let root = root();
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", fastrand::u16(12_000..32_000));
    let base = format!("http://{listen}/");
    let client = Client::new(&base);
    let mut shop = None;
    let mut run = 0;
    for command in commands(README) {
        if command == "tests/run" {
            // It runs this test.
            assert!(root.join(command).exists());
        } else if command == "cargo run" {
            let data = directory.path().join("data");
            let settings = [
                ("LISTEN", listen.as_str()),
                ("DATA_DIR", data.to_str().unwrap()),
            ];
            let (name, line) = cargo_run(command).unwrap();
            let mut process =
                Process::start_command(&name, &mut shell(&line), &settings, directory.path());
            process.ready(&client).await;
            shop = Some(process);
        } else {
            execute(command, &base, directory.path());
            run += 1;
        }
    }
    assert!(run >= 3, "the README shows how to use it with curl");
    let mut shop = shop.expect("the README says `cargo run`");
    shop.stop("INT").await;
}

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Each entry of the runbook names a test that causes it, a program prints the message that it quotes,
/// and each alert has an entry.
#[test]
fn every_entry_of_the_runbook_was_caused_in_a_test() {
    let mut sources = String::new();
    for folder in ["src", "http/src", "chassis/src", "console/src"] {
        read_sources(&root().join("feed-core").join(folder), &mut sources);
    }
    read_sources(&root().join("services"), &mut sources);
    let entries: Vec<&str> = OPERATIONS.split("\n### ").skip(1).collect();
    assert!(entries.len() > 12);
    for entry in entries {
        let (title, _) = entry.split_once('\n').unwrap();
        for said in title.split('`').skip(1).step_by(2) {
            assert!(sources.contains(said), "no program says {said:?}");
        }
        names_a_test(entry);
    }
    let alerts = include_str!("../../deploy/alerts.yml");
    let alerts: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 9);
    for alert in alerts {
        assert!(
            OPERATIONS.contains(&format!("`{alert}`")),
            "no entry for {alert}"
        );
    }
}

fn read_sources(directory: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // Long messages go over two lines in the source.
            let text = std::fs::read_to_string(path).unwrap();
            let text: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
            sources.push_str(&text.concat());
        }
    }
}

/// The entry names the tests that show it, and they exist.
fn names_a_test(entry: &str) {
    let (title, _) = entry.split_once('\n').unwrap();
    let (_, shown) = entry.split_once("Shown by ").expect(title);
    let (shown, _) = shown.split_once("\n\n").unwrap_or((shown, ""));
    let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
    let (pairs, rest) = names.as_chunks::<2>();
    assert!(!pairs.is_empty() && rest.is_empty(), "{title}");
    for [file, test] in pairs {
        let tests = std::fs::read_to_string(root().join(file)).expect(file);
        let is_there = [format!("fn {test}("), format!("fn {test}<")];
        let is_there = is_there.iter().any(|name| tests.contains(name));
        assert!(is_there, "{file} has no {test}");
    }
}

/// Each guarantee names the tests that show it.
#[test]
fn every_guarantee_is_shown_by_a_test() {
    let guarantees = include_str!("../../docs/guarantees.md");
    let entries: Vec<&str> = guarantees.split("\n### ").skip(1).collect();
    for (number, entry) in (1..).zip(&entries) {
        assert!(entry.starts_with(&format!("I{number}: ")), "{entry}");
        names_a_test(entry);
    }
    assert_eq!(entries.len(), 12);
}
