//! The commands in the README of the program do what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{FreshDatabase, built, free_address, programs, tables, until};

const README: &str = include_str!("../../feed-core/feed/README.md");

/// The whole script in an empty directory, with free ports in place of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_in_an_empty_directory() {
    if !programs::available(&["sqlite3", "curl"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    both_sides(directory.path(), |script| script).await;
    let bills = format!("sqlite:{}", directory.path().join("bills.db").display());
    there_is_one_bill(&bills).await;
}

/// With `postgres:` URLs everything is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_on_postgres() {
    if !programs::available(&["psql", "curl"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (shop, bills) = (
        FreshDatabase::postgres().await,
        FreshDatabase::postgres().await,
    );
    both_sides(directory.path(), |mut script| {
        for (file, database) in [("shop.db", &shop), ("bills.db", &bills)] {
            let url = database.url();
            script = script
                .replace(
                    &format!("sqlite3 {file}"),
                    &format!("psql -Atqd '{url}' -c"),
                )
                .replace(&format!("sqlite:{file}"), &format!("'{url}'"));
        }
        assert!(!script.contains("sqlite"), "{script}");
        script
    })
    .await;
    there_is_one_bill(bills.url()).await;
}

async fn there_is_one_bill(bills: &str) {
    until("there is one bill", async || {
        (tables::number(bills, "SELECT count(*) FROM bill").await == 1).then_some(())
    })
    .await;
}

/// Executes the script, after it was changed to `on` other databases.
async fn both_sides(directory: &Path, on: impl FnOnce(String) -> String) {
    let (shop, bills) = (free_address(), free_address());
    let script = README.split("```sh\n").nth(2).unwrap();
    let script = script.split("```").next().unwrap();
    let ready = |address: &str| {
        format!("until curl -fs http://{address}/health/ready >ready; do sleep 0.1; done\n")
    };
    let waiting = [
        format!("until curl -fs http://{shop}/feed | grep -q order/1; do sleep 0.1; done\n"),
        "until sqlite3 bills.db 'SELECT * FROM bill' | grep -q 4200; do sleep 0.1; done\n"
            .to_owned(),
    ];
    let script = script
        .replacen("sleep 2\n", &(ready(&shop) + &ready(&bills)), 1)
        .replacen("sleep 1\n", &waiting.concat(), 1)
        .replace("feed serve", &format!("feed serve --listen {shop}"))
        .replace(
            "feed deliver --database-url sqlite:bills.db --sql",
            &format!("feed deliver --listen {bills} --feed-url http://{shop}/feed --database-url sqlite:bills.db --sql"),
        )
        .replace("127.0.0.1:8081", &shop);
    assert!(script.contains("feed tail"), "{script}");
    let script = on(script);
    let feed = PathBuf::from(built("feed").get_program());
    let path = format!(
        "{}:{}",
        feed.parent().map(Path::display).unwrap(),
        std::env::var("PATH").unwrap()
    );
    // The two that run in the background end with this shell.
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", &format!("trap 'kill 0' EXIT\n{script}")])
        .current_dir(directory)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .stderr(Stdio::null());
    // A group of its own for `kill 0`.
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap());
    let output = String::from_utf8(output.await.unwrap().stdout).unwrap();
    for said in [
        "order.placed  order/1  {\"id\": 1, \"cents\": 4200}",
        "1|4200",
        "Taken up to     1 of 1",
    ] {
        assert!(output.contains(said), "{said}: {output}");
    }
}
