//! Every command in the README and in docs/ does what it says.

use std::path::Path;
use std::process::Command;

use harness::{Client, Process, built, until};

const README: &str = include_str!("../../README.md");

/// The pages for those who use a shop that is open.
const PAGES: [(&str, &str); 4] = [
    ("clerk", include_str!("../../docs/clerk.md")),
    ("operator", include_str!("../../docs/operator.md")),
    ("feed-reader", include_str!("../../docs/feed-reader.md")),
    ("auditor", include_str!("../../docs/auditor.md")),
];

/// The page for a team that writes a consumer, with the order service alone.
const CONSUMER: &str = include_str!("../../docs/consumer.md");

/// Where the documentation has the shop.
const DOCUMENTED: &str = "http://127.0.0.1:8080/";

pub(crate) fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap()
}

/// The lines of the shell blocks of `text`.
fn commands(text: &'static str) -> Vec<&'static str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// Runs a command of the documentation against the shop at `base`.
fn carry_out(command: &str, base: &str, directory: &Path) {
    let known = ["curl ", "cargo run -q -- demo"];
    let is_known = known.iter().any(|known| command.starts_with(known));
    assert!(is_known, "not tested: {command}");
    let manifest = root().join("Cargo.toml");
    let cargo = format!(
        "{} run --manifest-path {}",
        env!("CARGO"),
        manifest.display()
    );
    let command = command.replace("cargo run", &cargo);
    let output = Command::new("sh")
        .args(["-c", &command.replace(DOCUMENTED, base)])
        .env("SHOP_URL", base)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success() && !output.stdout.is_empty(),
        "{command}: {output:?}"
    );
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
            carry_out(command, &base, directory.path());
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
        let server = match command {
            "cargo run -p order" => Some(("order", built("order"), order.as_str())),
            "cargo run -p feed-console --example sales" => {
                Some(("sales", built("examples/sales"), sales.as_str()))
            }
            _ if command.starts_with("python3 tests/consumer.py ") => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("exec {}", here(command))]);
                Some(("ledger", shell, ""))
            }
            _ => None,
        };
        if let Some((name, mut command, listen)) = server {
            let database = format!("sqlite:{name}.db");
            let settings = [
                ("LISTEN", listen),
                ("DATABASE_URL", database.as_str()),
                ("FEED_URL", feed.as_str()),
            ];
            command.current_dir(directory.path());
            let process = Process::start_command(name, &mut command, &settings, directory.path());
            running.push(process);
            servers += 1;
        } else {
            // It is for somebody who has waited until the server was there.
            let line = here(command);
            until(command, async || {
                let mut shell = Command::new("sh");
                shell.args(["-c", &line]).current_dir(directory.path());
                let output = shell.output().unwrap();
                let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                (output.status.success() && !told.is_empty() && told != "[]").then_some(())
            })
            .await;
            tried += 1;
        }
    }
    assert_eq!((servers, tried), (3, 5), "all of the page was tried");
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
            // What runs this test.
            assert!(root.join(command).exists());
        } else if command == "cargo run" {
            let data = directory.path().join("data");
            let settings = [
                ("LISTEN", listen.as_str()),
                ("DATA_DIR", data.to_str().unwrap()),
            ];
            // However long it takes to build; then it opens at once.
            let mut build = Command::new(env!("CARGO"));
            assert!(
                build
                    .arg("build")
                    .current_dir(root)
                    .status()
                    .unwrap()
                    .success()
            );
            let mut cargo = Command::new(env!("CARGO"));
            cargo.arg("run").current_dir(root);
            // Cargo itself does not end with its child; the shop is what is stopped.
            let mut process =
                Process::start_command("cargo", &mut cargo, &settings, directory.path());
            process.ready(&client).await;
            shop = Some(process);
        } else {
            carry_out(command, &base, directory.path());
            run += 1;
        }
    }
    assert!(run >= 3, "the README shows how to use it with curl");
    let mut shop = shop.expect("the README says `cargo run`");
    shop.stop("INT").await;
}

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Each entry of the runbook names a test that has caused it, what is quoted there is said by a program,
/// and there is an entry for each alert.
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

/// The entry says by which tests it is shown, and they are there.
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

/// Each guarantee names what shows it.
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
