//! Every command in the README does what it says.

use std::path::Path;
use std::process::Command;

use harness::{Client, Process};

const README: &str = include_str!("../../README.md");

/// The lines of the README's shell blocks.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", fastrand::u16(12_000..32_000));
    let base = format!("http://{listen}/");
    let client = Client::new(&base);
    let mut shop = None;
    let mut run = 0;
    for command in commands() {
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
            assert!(command.starts_with("curl "), "not tested: {command}");
            let command = command.replace("http://127.0.0.1:8080/", &base);
            let output = Command::new("sh")
                .args(["-c", &command])
                .current_dir(directory.path())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && !text.is_empty(),
                "{command}: {output:?}"
            );
            run += 1;
        }
    }
    assert!(run >= 3, "the README shows how to use it with curl");
    let mut shop = shop.expect("the README says `cargo run`");
    shop.stop("INT").await;
}
