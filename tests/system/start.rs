//! How programs start, and how they refuse to: each error is one line, names the setting and what
//! to do, and contains no password.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use harness::programs::{available, run};
use harness::{Client, DEADLINE, FreshDatabase, Process, free_address, new_order, until};

use crate::program::{Finished, program};

/// A program with these settings and an address of its own.
fn start(name: &str, settings: &[(&str, &str)], directory: &Path) -> Process {
    let mut command = program(name);
    command
        .current_dir(directory)
        .env("LISTEN", "127.0.0.1:0")
        .env_remove("RUST_LOG");
    Process::start_command(name, &mut command, settings, directory)
}

/// The error of a program that does not start.
async fn refused(name: &str, settings: &[(&str, &str)], code: i32) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "this is no database").unwrap();
    let mut process = start(name, settings, directory.path());
    let ended = process.ended().await;
    let log = process.log();
    assert_eq!(ended, Some(code), "{name} {settings:?}: {log}");
    assert!(!log.contains("s3cret"), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_setting_is_named_with_its_value_and_what_to_do() {
    for (name, variable, value, cure) in [
        (
            "order",
            "LISTEN",
            "localhost:8081",
            "write an IP address and a port",
        ),
        ("shop", "LISTEN", "8080", "such as 127.0.0.1:8080"),
        (
            "shop",
            "BASE_URL",
            "shop.example",
            "a base URL is http: or https:",
        ),
        (
            "order",
            "BASE_URL",
            "https://eve:s3cret@shop.example/",
            "a base URL is",
        ),
        ("order", "INVOICE_URL", "/invoice/", "write all of the URL"),
        (
            "order",
            "LOG_FORMAT",
            "xml",
            "[possible values: text, json]",
        ),
        ("order", "ALLOW_ANONYMOUS", "perhaps", "not a boolean"),
        (
            "invoice",
            "FEED_URL",
            "127.0.0.1:8081/feed",
            "such as http://127.0.0.1:8081/feed",
        ),
        (
            "shipping",
            "FEED_URL",
            "",
            "such as http://127.0.0.1:8081/feed",
        ),
        (
            "invoice",
            "FEED_URL",
            "http://eve:s3cret@x/feed",
            "must not hold credentials",
        ),
        (
            "invoice",
            "FEED_PROXY",
            "socks5://eve:s3cret@x:1080",
            "write the proxy as http://HOST:PORT",
        ),
        ("invoice", "POLL_INTERVAL", "5", "such as 500ms, 5s"),
        ("shop", "POLL_INTERVAL", "0s", "longer than nothing"),
        ("shop", "POLL_INTERVAL", "3601s", "1h at most"),
        ("invoice", "POLL_INTERVAL", "719h", "1h at most"),
        ("invoice", "POLL_INTERVAL", "9999h", "too long"),
        ("invoice", "POLL_INTERVAL", "5M", "5m is five minutes"),
        // A secret in place of the file that has it.
        (
            "order",
            "CREDENTIALS_FILE",
            "operate eve:s3cret",
            "cannot read",
        ),
        ("shop", "CREDENTIALS_FILE", "eve:s3cret", "cannot read"),
        // Without it, the service is open to all: as Compose passes on a variable that is not set.
        ("order", "CREDENTIALS_FILE", "", "or remove the setting"),
        ("invoice", "CREDENTIALS_FILE", "", "or remove the setting"),
        ("shop", "CREDENTIALS_FILE", "", "or remove the setting"),
        (
            "invoice",
            "FEED_CREDENTIALS_FILE",
            "eve:s3cret",
            "cannot read",
        ),
        (
            "order",
            "DATABASE_URL_FILE",
            "postgres:///db?user=u&password=s3cret",
            "cannot read",
        ),
    ] {
        let said = refused(name, &[(variable, value)], 2).await;
        let flag = format!("--{}", variable.to_lowercase().replace('_', "-"));
        let origin = format!("that is the value of {variable} in the environment");
        for expected in [cure, &flag, &origin] {
            assert!(said.contains(expected), "{name} {variable}={value}: {said}");
        }
    }
}

/// The log may be off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_that_ends_a_program_is_printed_whatever_is_logged() {
    for name in ["order", "shop"] {
        let wrong = [("RUST_LOG", "info,feed_core=nonsense")];
        let said = refused(name, &wrong, 2).await;
        assert!(
            said.contains("the value of RUST_LOG in the environment"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        for log in ["off", "wrong", ""] {
            let database = match name {
                "order" => ("DATABASE_URL", "sqlite:file"),
                _ => ("DATA_DIR", "file"),
            };
            let said = refused(name, &[("RUST_LOG", log), database], 1).await;
            assert!(
                said.contains("cannot be used (DATA"),
                "{name} {log}: {said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

/// The path of a directory is no part of a URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shops_data_are_below_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a%41b", "a?b", "a#b", "a b"] {
        let mut shop = start("shop", &[("DATA_DIR", name)], directory.path());
        let file = directory.path().join(name).join("order.db");
        until(name, async || file.exists().then_some(())).await;
        assert_eq!(shop.stop("TERM").await, Some(0));
    }
}

/// Otherwise it would run, on the wrong database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_variable_is_named() {
    for (name, variable, meant) in [
        ("order", "DATABSE_URL", "DATABASE_URL"),
        ("shop", "POLL_INTERVALL", "POLL_INTERVAL"),
        ("feed", "FEED_TITEL", "FEED_TITLE"),
    ] {
        // The second one ends the process.
        let said = refused(name, &[(variable, "x"), ("LOG_FORMAT", "xml")], 2).await;
        let warning = format!("warning: {variable} is set and has no effect");
        for expected in [&warning, &format!("did you mean {meant}?")] {
            assert!(said.contains(expected), "{name}: {said}");
        }
    }
}

/// It would seem to run on another database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_the_shop_does_not_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        ("DATABASE_URL", "postgres://eve:s3cret@localhost/shop"),
        (
            "ORDER_DATABASE_URL",
            "postgres://eve:s3cret@localhost/order",
        ),
        ("INVOICE_DATABASE_URL", ""),
    ];
    let shop = start("shop", &settings, directory.path());
    until("it has started", async || {
        shop.log().contains("stop with Ctrl-C").then_some(())
    })
    .await;
    let log = shop.log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    let said = "DATABASE_URL, ORDER_DATABASE_URL in the environment without effect";
    assert!(warned[0].contains(said), "{log}");
    assert!(
        warned[0].contains("(DATA_DIR)") && !log.contains("s3cret"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()));
    let (_taken, taken) = taken.unwrap();
    for name in ["shop", "order", "invoice"] {
        for (address, cure) in [
            (taken.as_str(), "choose another port"),
            ("192.0.2.1:1", "this machine has no such address"),
            ("0.0.0.0:0", "--allow-anonymous"),
        ] {
            let allowed = (!cure.contains("allow")).to_string();
            let settings = [("LISTEN", address), ("ALLOW_ANONYMOUS", allowed.as_str())];
            let said = refused(name, &settings, 1).await;
            for expected in [address, "(LISTEN)", cure] {
                assert!(said.contains(expected), "{name} {address}: {said}");
            }
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_is_named() {
    let postgres = FreshDatabase::postgres().await;
    let nobody = postgres
        .url()
        .replace("postgres://postgres@", "postgres://nobody:s3cret@");
    let (server, options) = postgres.url().split_once('?').unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let missing = format!("{server}/missing?{options}");
    let suspicious = refusing("28P01", "password authentication failed for user \"eve\"");
    let unknown = refusing("28000", "no pg_hba.conf entry for host \"192.0.2.7\"");
    let written = "write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME";
    let cases = [
        (
            "mysql://eve:s3cret@host/db",
            "begins with `sqlite:` or `postgres:`, not `mysql:`",
        ),
        ("s3cret@host/db", written),
        ("eve s3cret:x", written),
        (
            "postgres://eve:s3cret/@host/db",
            "in a password write %2F for a /",
        ),
        (
            "sqlite:file/order.db",
            "cannot make the directory file for the database, since a file",
        ),
        (
            "sqlite:file",
            "file has to be a SQLite file that we may write",
        ),
        ("sqlite:.", "has to be a SQLite file that we may write"),
        (nobody.as_str(), "check user, password and database"),
        (missing.as_str(), "\"missing\" does not exist"),
        (
            suspicious.as_str(),
            "password authentication failed for user \"eve\"",
        ),
        (unknown.as_str(), "check user, password and database: "),
        (unknown.as_str(), "no pg_hba.conf entry"),
    ];
    let cases = cases.map(async |(url, expected)| {
        let said = refused("order", &[("DATABASE_URL", url)], 1).await;
        for expected in [expected, "the database cannot be used (DATABASE_URL): "] {
            assert!(said.contains(expected), "{url}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{url}: {said}");
    });
    join_all(cases).await;
    let said = refused("shop", &[("DATA_DIR", "file")], 1).await;
    let expected = "the database of order below file cannot be used (DATA_DIR): ";
    assert!(
        said.contains(expected) && said.contains("a file is in the way"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// A service waits, and says for what; a command gives up, with the same reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_named() {
    let full = refusing("53300", "sorry, too many clients already");
    let starting = refusing("57P03", "the database system is starting up");
    let pooler = refusing("08P01", "server login has been failing, connect failed");
    let cases = [
        (
            "postgres://eve:s3cret@127.0.0.1:9/orders",
            "nothing answers at postgres://eve@127.0.0.1:9/orders",
        ),
        (
            "postgres://eve@127.0.0.1:9/orders?pasword=s3cret",
            "nothing answers at postgres://eve@127.0.0.1:9/orders",
        ),
        (
            "postgres://eve:s3cret@nowhere.invalid/orders",
            "nothing answers at postgres://eve@nowhere",
        ),
        (full.as_str(), "PostgreSQL refused another connection to "),
        (starting.as_str(), "accepts no connections at the moment: "),
        (pooler.as_str(), "server login has been failing"),
    ];
    let cases = cases.map(async |(url, expected)| {
        let directory = tempfile::tempdir().unwrap();
        let settings = [("DATABASE_URL", url)];
        let mut service = start("order", &settings, directory.path());
        let waits = until(&format!("it waits for {url}"), async || {
            let log = service.log();
            let waits = log.lines().any(|line| {
                line.contains(" WARN ")
                    && line.contains("still waiting: ")
                    && line.contains(expected)
            });
            waits.then_some(log)
        })
        .await;
        assert!(!waits.contains("s3cret"), "{waits}");
        assert_eq!(service.stop("TERM").await, Some(0), "{}", service.log());
        assert!(service.log().contains("stopped before it had started"));

        let mut command = program("invoice");
        command.arg("status").env("DATABASE_URL", url);
        command.current_dir(directory.path());
        let ended = tokio::task::spawn_blocking(move || Finished::by(&mut command));
        let ended = ended.await.unwrap();
        for expected in [expected, "the database cannot be used (DATABASE_URL): "] {
            assert!(ended.err.contains(expected), "{url}: {}", ended.err);
        }
        assert!(!ended.err.contains("s3cret"), "{}", ended.err);
        ended.with(2);
    });
    join_all(cases).await;
}

/// The URL of a PostgreSQL that answers every first message with an error of this code.
fn refusing(code: &'static str, message: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let _ = client.and_then(|client| refuse(client, code, message));
        }
    });
    format!("postgres://eve:s3cret@{address}/orders?sslmode=disable")
}

fn refuse(mut client: TcpStream, code: &str, message: &str) -> std::io::Result<()> {
    let mut startup = [0; 1024];
    let _ = client.read(&mut startup)?;
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    client.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_logs_its_address_and_how_to_stop_it() {
    let postgres = FreshDatabase::postgres().await;
    let secret = postgres.url().replace("postgres@", "postgres:s3cret@");
    let directory = tempfile::tempdir().unwrap();
    let feed = ("FEED_URL", "http://127.0.0.1:9/feed");
    for (name, settings, database) in [
        ("shop", vec![], "SQLite below data"),
        ("order", vec![], "sqlite:data/order.db"),
        (
            "order",
            vec![("DATABASE_URL", secret.as_str())],
            "postgres://postgres@",
        ),
        ("invoice", vec![feed], "sqlite:data/invoice.db"),
        ("shipping", vec![feed], "sqlite:data/shipping.db"),
    ] {
        let here = directory.path().join(format!("{name}-{}", settings.len()));
        std::fs::create_dir(&here).unwrap();
        let mut process = start(name, &settings, &here);
        let log = until(&format!("{name} says how to stop it"), async || {
            assert!(!process.is_gone(), "{}", process.log());
            let log = process.log();
            log.contains("stop with Ctrl-C").then_some(log)
        })
        .await;
        assert!(
            log.contains("http://127.0.0.1:") && !log.contains("127.0.0.1:0"),
            "{log}"
        );
        assert!(log.contains(&format!("database: {database}")), "{log}");
        assert!(!log.contains("s3cret"), "{log}");
        let first = log.lines().take_while(|line| !line.contains("Ctrl-C"));
        assert!(first.count() < 8, "few lines: {log}");
        assert_eq!(process.stop("INT").await, Some(0), "{log}");
    }
}

/// A database that was lost or is not mounted looks like the first start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_is_logged_once() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("not/mounted/order.db");
    let url = format!("sqlite:{}", missing.display());
    let tried = std::fs::canonicalize(directory.path()).unwrap();
    let tried = tried.join("data/order.db");
    let empty = directory.path().join("empty.db");
    std::fs::File::create(&empty).unwrap();
    let empty_url = format!("sqlite:{}", empty.display());
    for (settings, level, file) in [
        (vec![], "INFO", &tried),
        (vec![("DATABASE_URL", url.as_str())], "WARN", &missing),
        // A start on a full disk has left it.
        (vec![("DATABASE_URL", empty_url.as_str())], "INFO", &empty),
    ] {
        let created = format!("created a new, empty database at {}", file.display());
        for is_new in [true, false] {
            // Otherwise the log of the last start would be there too.
            let _ = std::fs::remove_file(directory.path().join("order.log"));
            let mut process = start("order", &settings, directory.path());
            until("it has started", async || {
                process.log().contains("stop with Ctrl-C").then_some(())
            })
            .await;
            assert_eq!(process.stop("TERM").await, Some(0));
            let log = process.log();
            let mut lines = log.lines();
            let line = lines.find(|line| line.contains("new, empty"));
            assert_eq!(line.is_some(), is_new, "{log}");
            let is_right = |line: &str| line.contains(level) && line.contains(&created);
            assert!(line.is_none_or(is_right), "{log}");
        }
    }
}

/// The first thread gets its gigabyte, and the next one does not: that of the runtime, or of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_too_few_threads_says_so_and_ends() {
    for workers in ["2", "1"] {
        let directory = tempfile::tempdir().unwrap();
        let mut order = Command::new("prlimit");
        order
            .args(["--as=1800000000", "--"])
            .arg(program("order").get_program())
            .current_dir(directory.path())
            .env("TOKIO_WORKER_THREADS", workers)
            .env("RUST_MIN_STACK", (1 << 30).to_string());
        let ended = tokio::time::timeout(DEADLINE, run(order)).await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let why = "the system has too few threads for this program: ";
        assert!(said.contains(why), "{said}");
        assert_eq!(said.starts_with(why), workers == "2", "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// Its log is on a full disk: it does its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let full = || std::fs::File::create("/dev/full").unwrap();
    let address = free_address();
    let mut shop = program("shop")
        .env("LISTEN", &address)
        .env("DATA_DIR", directory.path())
        .env_remove("RUST_LOG")
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    let client = Client::new(&format!("http://{address}/"));
    let placed = async || {
        assert_eq!(shop.try_wait().unwrap(), None, "it has ended");
        client.post_json("order/orders", &new_order()).await
    };
    let placed = until("it takes an order", placed).await;
    assert_eq!(placed.status, 201);
    until("there is an invoice", async || {
        client.json("invoice/1").await
    })
    .await;
    shop.kill().unwrap();
    shop.wait().unwrap();
}

/// One that waits for its database, and one that has no credentials to read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_ends_no_service() {
    let directory = tempfile::tempdir().unwrap();
    let none = ("DATABASE_URL", "postgres://order@127.0.0.1:9/order");
    let waiting = start("order", &[none], directory.path());
    let running = start("order", &[], directory.path());
    for (mut process, said) in [(waiting, "still waiting"), (running, "stop with Ctrl-C")] {
        until(said, async || process.log().contains(said).then_some(())).await;
        process.signal("HUP");
        // A hangup that ends it would do so before this does.
        assert_eq!(process.stop("TERM").await, Some(0), "{}", process.log());
    }
}

/// The user has closed its window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_ends_with_its_terminal() {
    if !available(&["script"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Command::new("script")
        .args(["-qfc", "exec \"$PROGRAM\" 2> log", "/dev/null"])
        .env("PROGRAM", program("order").get_program())
        .env("LISTEN", "127.0.0.1:0")
        .env_remove("RUST_LOG")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let logged = async |what: &str| {
        let file = directory.path().join("log");
        let log = async || {
            std::fs::read_to_string(&file)
                .ok()?
                .contains(what)
                .then_some(())
        };
        until(what, log).await;
    };
    logged("stop with Ctrl-C").await;
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    logged(": stopped").await;
}

/// As on a full disk: by default the system kills the process.
#[tokio::test]
async fn a_file_that_reaches_its_limit_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f 8 && exec \"$0\""])
        .arg(program("order").get_program())
        .current_dir(directory.path());
    let settings = [("LISTEN", "127.0.0.1:0")];
    let process = Process::start_command("order", &mut limited, &settings, directory.path());
    let said = "(DATABASE_URL): cannot write";
    until(said, async || process.log().contains(said).then_some(())).await;
    assert!(directory.path().join("data/order.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_json_names_the_causes_of_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        ("FEED_URL", "http://127.0.0.1:9/feed"),
        ("LOG_FORMAT", "json"),
    ];
    let process = start("invoice", &settings, directory.path());
    let cause = "Connection refused";
    until(cause, async || process.log().contains(cause).then_some(())).await;
    let log = process.log();
    let line = log.lines().find(|line| line.contains(cause)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let error = line["error"].as_str().unwrap();
    assert!(error.starts_with("cannot read the feed: "), "{error}");
}
