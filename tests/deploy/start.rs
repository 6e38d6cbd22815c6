//! How a service starts in a container: the URL of its database comes from a file, and it checks
//! its own health.

use harness::{Backend, Client, Process, Service, built, free_address, programs, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_url_of_the_database_comes_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("there.db");
    let file = directory.path().join("url");
    std::fs::write(&file, format!(" sqlite:{}\n", database.display())).unwrap();
    for name in ["order", "invoice", "shipping"] {
        let address = free_address();
        let settings = [
            ("LISTEN", address.as_str()),
            ("DATABASE_URL_FILE", file.to_str().unwrap()),
        ];
        let mut process = Process::start(name, &settings, directory.path());
        let client = Client::new(&format!("http://{address}/"));
        process.ready(&client).await;
        assert!(database.exists(), "{name}");
        assert_eq!(process.stop("TERM").await, Some(0));
        std::fs::remove_file(&database).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let missing = directory.path().join("missing");
    for (arguments, url, expected) in [
        (vec![], None, "cannot read the file"),
        (vec!["status"], None, "cannot read the file"),
        (
            vec!["--database-url-file", empty.to_str().unwrap()],
            None,
            "the file is empty",
        ),
        (
            vec!["--database-url-file", empty.to_str().unwrap()],
            Some("sqlite:x"),
            "empty",
        ),
        (
            vec!["--database-url", "sqlite:x"],
            None,
            "cannot read the file",
        ),
    ] {
        let mut invoice = built("invoice");
        invoice.env_remove("DATABASE_URL").args(&arguments);
        invoice.env("DATABASE_URL_FILE", &missing);
        invoice.envs(url.map(|url| ("DATABASE_URL", url)));
        let output = programs::run(invoice).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for expected in [expected, "--database-url-file"] {
            assert!(said.contains(expected), "{arguments:?}: {said}");
        }
    }
    // Both at once: choosing one would be a guess.
    let file = directory.path().join("url");
    std::fs::write(&file, "sqlite:x").unwrap();
    let mut invoice = built("invoice");
    invoice
        .env("DATABASE_URL", "sqlite:y")
        .env("DATABASE_URL_FILE", &file);
    let output = programs::run(invoice).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("cannot be used with"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_checks_its_own_service() {
    let mut invoice = Service::new("invoice", Backend::Sqlite).await;
    let listen = invoice.client.url("");
    let listen = listen
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let probe = async || {
        let mut probe = built("invoice");
        // As in a container, where the service listens on all addresses.
        let (_, port) = listen.split_once(':').unwrap();
        probe
            .env("LISTEN", format!("0.0.0.0:{port}"))
            .arg("--probe");
        let output = programs::run(probe).await;
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = probe().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("(LISTEN): Connection refused"), "{said}");

    // A feed that is gone permanently halts the service: it lives, and is not ready.
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.start().await;
    invoice.set("FEED_URL", order.client.url("feed"));
    invoice.start().await;
    assert_eq!(probe().await, (Some(0), String::new()));
    harness::load::place(&order.client, 1).await.unwrap();
    until("the invoice is there", async || {
        invoice.client.json("1").await
    })
    .await;
    order.kill();
    let mut other = Service::new("order", Backend::Sqlite).await;
    let address = order.client.url("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    other.set("LISTEN", address.to_owned());
    other.client = order.client.clone();
    other.start().await;
    let said = until("it is halted", async || {
        let (code, said) = probe().await;
        (code == Some(1)).then_some(said)
    })
    .await;
    assert!(
        said.starts_with("HTTP/1.1 503 ") && said.contains("halted"),
        "{said}"
    );
}
