//! Every command in the README and in docs/ does what it says.

use std::path::Path;
use std::process::Command;

use harness::{Client, Process};

const README: &str = include_str!("../../README.md");

/// The pages for those who use a shop that is open.
const PAGES: [(&str, &str); 4] = [
    ("clerk", include_str!("../../docs/clerk.md")),
    ("operator", include_str!("../../docs/operator.md")),
    ("feed-reader", include_str!("../../docs/feed-reader.md")),
    ("auditor", include_str!("../../docs/auditor.md")),
];

/// Where the documentation has the shop.
const DOCUMENTED: &str = "http://127.0.0.1:8080/";

fn root() -> &'static Path {
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
